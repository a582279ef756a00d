#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the ResNet-8 of the quickstart on Fashion-MNIST and export it as float ONNX.

The network is a small CIFAR-style ResNet: a 3x3 stem (1 -> 16 channels), three stages of one basic block each
(16, 32, 64 channels; strides 1, 2, 2; 1x1 convolution and BatchNorm on the skip where the shape changes), global
average pooling and one linear layer. It has 10 weighted layers and 77,754 parameters, and needs
about 9 million multiply-adds per 28x28 image.

Only the training images are used for training; nothing is chosen by looking at the test images, whose accuracy is
computed once, at the end. Pixels are normalised as (x / 255 - 0.2860) / 0.3530.

The exported file has input "input" [N, 1, 28, 28], output "logits" [N, 10], opset 13, and separate Conv and
BatchNormalization nodes. The same seed, thread count, PyTorch version and CPU give the same file.

Needs NumPy and PyTorch 1.13 or later (Debian: python3-torch, dataset-fashion-mnist); PyTorch 2 also needs the Python
package onnx for its exporter.
"""
import argparse
import gzip
import math
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training import BasicBlock, count_correct, descend, positive, sgd_with_cycle, shift_and_mirror, torch_to_onnx, write_file

MEAN, STD = 0.2860, 0.3530
SIZE, CLASSES = 28, 10
MAX_SHIFT = 2  # pixels, augmentation


class ResNet8(nn.Module):
    """[N, 1, 28, 28] normalised pixels to [N, 10] logits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(BasicBlock(16, 16, 1))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2))
        self.layer3 = nn.Sequential(BasicBlock(32, 64, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                # The two biases that meet in an addition get the same gradients: from the same start they would stay
                # equal for ever, and the exporter would merge them.
                nn.init.normal_(module.bias, std=0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def read_idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """The uint8 array of an IDX file, plain or with .gz; ValueError if it is not exactly one."""
    path = folder / name
    if not path.exists():
        path = folder / (name + ".gz")
    if not path.exists():
        raise FileNotFoundError(f"{folder}: neither {name} nor {name}.gz is there; install dataset-fashion-mnist or pass --data")
    try:
        blob = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error})") from error
    header = 4 + 4 * dimensions
    if len(blob) < header or blob[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path}: not an IDX file of unsigned bytes with {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", blob[4:header])
    if len(blob) - header != math.prod(shape):
        raise ValueError(f"{path}: the header promises {math.prod(shape)} bytes, the file holds {len(blob) - header}")
    return np.frombuffer(blob, np.uint8, offset=header).reshape(shape)


def load_split(folder: Path, prefix: str):
    """Images [N, 1, 28, 28] uint8 and labels [N] int64 of "train" or "t10k"."""
    images = read_idx(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if images.shape[1:] != (SIZE, SIZE) or len(images) != len(labels) or len(images) == 0 or labels.max() >= CLASSES:
        raise ValueError(f"{folder}: {prefix} has images {images.shape} and {len(labels)} labels; wanted N images of {SIZE}x{SIZE} and N labels below {CLASSES}")
    return torch.from_numpy(images.copy()).unsqueeze(1), torch.from_numpy(labels.astype(np.int64))


def normalise(images: torch.Tensor) -> torch.Tensor:
    """[N, 1, 28, 28] bytes to floats in channels-last order."""
    return ((images.to(torch.float32) / 255.0 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace) -> None:
    """SGD with Nesterov momentum and one learning-rate cycle; no decay on BatchNorm and biases."""
    steps = len(images) // args.batch
    optimiser, schedule = sgd_with_cycle(model, args.lr, 5e-4, args.epochs * steps)
    started = time.monotonic()
    for epoch in range(args.epochs):
        model.train()
        order = torch.randperm(len(images))
        loss_sum, correct = 0.0, 0
        for step in range(steps):
            pick = order[step * args.batch:(step + 1) * args.batch]
            logits = model(normalise(shift_and_mirror(images[pick], MAX_SHIFT)))
            loss = F.cross_entropy(logits, labels[pick])
            descend(loss, optimiser, schedule)
            loss_sum += loss.item()
            correct += int((logits.argmax(1) == labels[pick]).sum())
        print(f"epoch {epoch + 1:2d}/{args.epochs}  loss {loss_sum / steps:.4f}  "
              f"training top-1 {100 * correct / (steps * args.batch):.2f} %  {time.monotonic() - started:.0f} s", flush=True)


def parse_arguments() -> argparse.Namespace:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Train the ResNet-8 of the quickstart on Fashion-MNIST and export it as float ONNX.",
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="folder with the four IDX files, plain or .gz")
    parser.add_argument("--out", type=Path, default=here.parent / "models" / "fashion_mnist_resnet8.onnx", help="ONNX file to write")
    parser.add_argument("--epochs", type=positive, default=14, help="passes over the 60,000 training images")
    parser.add_argument("--seed", type=int, default=1, help="of initial weights, order and augmentation")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument("--batch", type=positive, default=128, help="images per step")
    parser.add_argument("--lr", type=float, default=0.1, help="peak learning rate")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    try:
        images, labels = load_split(args.data, "train")
        test_images, test_labels = load_split(args.data, "t10k")
    except (OSError, ValueError) as error:
        print(f"train_fashion_mnist.py: {error}", file=sys.stderr)
        return 3
    if args.batch > len(images):
        print(f"train_fashion_mnist.py: --batch {args.batch} is more than the {len(images)} training images", file=sys.stderr)
        return 2
    started = time.monotonic()
    model = ResNet8().to(memory_format=torch.channels_last)
    try:
        torch_to_onnx(model, (1, SIZE, SIZE), "logits")  # fail now rather than after the training
    except torch.onnx.errors.OnnxExporterError as error:
        print(f"train_fashion_mnist.py: PyTorch {torch.__version__} cannot export ONNX: {error} (PyTorch 2 needs the Python package onnx)", file=sys.stderr)
        return 1
    train(model, images, labels, args)
    correct = count_correct(model, test_images, test_labels, normalise)
    write_file(args.out, torch_to_onnx(model, (1, SIZE, SIZE), "logits"))
    print(f"test top-1 {100 * correct / len(test_labels):.2f} % ({correct} of {len(test_labels)}), float, "
          f"{time.monotonic() - started:.0f} s; wrote {args.out} ({args.out.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
