#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train a CIFAR network on CIFAR-100 and export it as float ONNX.

ResNet-18 (3x3 stem, no first pool), VGG16-BN (classifier for 32x32) or ResNet-20, -32, -44, -56, as scripts/networks.py
has them. --train and --test name files in the official binary layout (records of coarse label, fine label, 1024 R, 1024
G, 1024 B). SGD with Nesterov momentum, one learning-rate cycle, label smoothing, images shifted by up to 4 pixels and
mirrored; on a GPU in bfloat16 with fp32 weights. Only the training images are used for training and nothing is chosen
by looking at the test images, whose accuracy is computed once, at the end. Pixels are normalised as (x / 255 - mean) /
std with mean .5070 .4865 .4409 and std .2673 .2564 .2761, which is what the config of a run must say.

The ONNX file has separate Conv and BatchNormalization nodes. Exit codes: 0 done, 2 usage, 3 data that cannot be read.
Needs NumPy, PyTorch and the Python package onnx.
"""
import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from networks import CIFAR_NETWORKS, make_cifar_network, to_onnx
from training import count_correct, descend, positive, sgd_with_cycle, shift_and_mirror, write_file

MEAN, STD = (0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)
SIDE, CLASSES, RECORD = 32, 100, 2 + 3 * 32 * 32
MAX_SHIFT = 4  # pixels


def read_records(paths: list) -> tuple:
    """Images [N, 3, 32, 32] uint8 and fine labels [N] of all files; ValueError if one is not whole."""
    images, labels = [], []
    for path in paths:
        blob = np.fromfile(path, np.uint8)
        if blob.size == 0 or blob.size % RECORD != 0:
            raise ValueError(f"{path}: {blob.size} bytes are no whole number of records of {RECORD} bytes")
        records = blob.reshape(-1, RECORD)
        if records[:, 1].max() >= CLASSES:
            raise ValueError(f"{path}: record {int(records[:, 1].argmax())} has label {records[:, 1].max()}; labels are 0..{CLASSES - 1}")
        images.append(records[:, 2:].reshape(-1, 3, SIDE, SIDE))
        labels.append(records[:, 1].astype(np.int64))
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))


def normalise(images: torch.Tensor) -> torch.Tensor:
    """[N, 3, 32, 32] bytes to floats in channels-last order."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((images.float() / 255.0 - mean) / std).contiguous(memory_format=torch.channels_last)


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace) -> None:
    """No weight decay on BatchNorm and biases; the last, smaller batch of an epoch is left out."""
    steps = len(images) // args.batch
    optimiser, schedule = sgd_with_cycle(model, args.lr, args.decay, args.epochs * steps)
    started = time.monotonic()
    for epoch in range(args.epochs):
        model.train()
        order = torch.randperm(len(images), device=images.device)
        loss_sum = torch.zeros((), device=images.device)
        for pick in order[:steps * args.batch].split(args.batch):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
                loss = F.cross_entropy(model(normalise(shift_and_mirror(images[pick], MAX_SHIFT))), labels[pick], label_smoothing=0.1)
            descend(loss, optimiser, schedule)
            loss_sum += loss.detach()
        print(f"epoch {epoch + 1:3d}/{args.epochs}  loss {loss_sum.item() / steps:.4f}  {time.monotonic() - started:.0f} s", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", choices=tuple(CIFAR_NETWORKS), required=True, help="network")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="binary files of training images")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="binary files of test images")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--epochs", type=positive, default=60, help="passes over the training images")
    parser.add_argument("--batch", type=positive, default=128, help="images per step")
    parser.add_argument("--lr", type=float, default=0.1, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    parser.add_argument("--seed", type=int, default=1, help="of initial weights, order and augmentation")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    torch.manual_seed(args.seed)
    try:
        images, labels = (t.to(args.device) for t in read_records(args.train))
        test_images, test_labels = (t.to(args.device) for t in read_records(args.test))
    except (OSError, ValueError) as error:
        print(f"train_cifar.py: {error}", file=sys.stderr)
        return 3
    if args.batch > len(images):
        print(f"train_cifar.py: --batch {args.batch} is more than the {len(images)} training images", file=sys.stderr)
        return 2
    started = time.monotonic()
    model = make_cifar_network(args.model, CLASSES)
    to_onnx(model, (3, SIDE, SIDE))  # fail now rather than after the training
    model = model.to(args.device, memory_format=torch.channels_last)
    train(model, images, labels, args)
    correct = count_correct(model, test_images, test_labels, normalise)
    write_file(args.out, to_onnx(model, (3, SIDE, SIDE)))
    print(f"test top-1 {100 * correct / len(test_labels):.2f} % ({correct} of {len(test_labels)}), float, "
          f"{time.monotonic() - started:.0f} s; wrote {args.out} ({args.out.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
