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
import copy
import gzip
import inspect
import io
import math
import os
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MEAN, STD = 0.2860, 0.3530
SIZE, CLASSES = 28, 10
MAX_SHIFT = 2  # pixels, augmentation


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, and a skip that is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + skip)


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
    """Images [N, 28, 28] uint8 and labels [N] int64 of "train" or "t10k"."""
    images = read_idx(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if images.shape[1:] != (SIZE, SIZE) or len(images) != len(labels) or len(images) == 0 or labels.max() >= CLASSES:
        raise ValueError(f"{folder}: {prefix} has images {images.shape} and {len(labels)} labels; wanted N images of {SIZE}x{SIZE} and N labels below {CLASSES}")
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def normalise(images: torch.Tensor) -> torch.Tensor:
    """[N, 28, 28] bytes to [N, 1, 28, 28] floats in channels-last order."""
    x = (images.to(torch.float32) / 255.0 - MEAN) / STD
    return x.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def augment(images: torch.Tensor) -> torch.Tensor:
    """Each image shifted by up to MAX_SHIFT pixels (black comes in) and mirrored with probability one half."""
    n = len(images)
    padded = F.pad(images, [MAX_SHIFT] * 4)
    span = torch.arange(SIZE)
    rows = span + torch.randint(0, 2 * MAX_SHIFT + 1, (n, 1))
    columns = torch.where(torch.rand(n, 1) < 0.5, span, span.flip(0)) + torch.randint(0, 2 * MAX_SHIFT + 1, (n, 1))
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace) -> None:
    """SGD with Nesterov momentum and one learning-rate cycle; no decay on BatchNorm and biases."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=args.lr, momentum=0.9, nesterov=True)
    steps = len(images) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.lr, total_steps=args.epochs * steps, pct_start=0.2,
                                                   cycle_momentum=False)
    started = time.monotonic()
    for epoch in range(args.epochs):
        model.train()
        order = torch.randperm(len(images))
        loss_sum, correct = 0.0, 0
        for step in range(steps):
            pick = order[step * args.batch:(step + 1) * args.batch]
            logits = model(normalise(augment(images[pick])))
            loss = F.cross_entropy(logits, labels[pick])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += loss.item()
            correct += int((logits.argmax(1) == labels[pick]).sum())
        print(f"epoch {epoch + 1:2d}/{args.epochs}  loss {loss_sum / steps:.4f}  "
              f"training top-1 {100 * correct / (steps * args.batch):.2f} %  {time.monotonic() - started:.0f} s", flush=True)


def count_correct(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    """Top-1 hits in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return sum(int((model(normalise(x)).argmax(1) == y).sum()) for x, y in zip(images.split(500), labels.split(500)))


def to_onnx(model: nn.Module) -> bytes:
    """The float ONNX file of the model in evaluation mode; Conv and BatchNormalization stay apart."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    # Without PRESERVE the exporter folds BatchNorm into the convolutions, although the model is in evaluation mode.
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "opset_version": 13,
               "input_names": ["input"], "output_names": ["logits"],
               "dynamic_axes": {"input": {0: "N"}, "logits": {0: "N"}}}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the newer exporter rewrites the graph and has no opset 13
    buffer = io.BytesIO()
    torch.onnx.export(model, torch.zeros(1, 1, SIZE, SIZE), buffer, **options)
    return buffer.getvalue()


def write_file(path: Path, blob: bytes) -> None:
    """Write through a temporary name, so that an interrupted run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(blob)
    os.replace(temporary, path)


def parse_arguments() -> argparse.Namespace:
    def positive(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"{value} is not at least 1")
        return value

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
        to_onnx(model)  # fail now rather than after the training
    except torch.onnx.errors.OnnxExporterError as error:
        print(f"train_fashion_mnist.py: PyTorch {torch.__version__} cannot export ONNX: {error} (PyTorch 2 needs the Python package onnx)", file=sys.stderr)
        return 1
    train(model, images, labels, args)
    correct = count_correct(model, test_images, test_labels)
    write_file(args.out, to_onnx(model))
    print(f"test top-1 {100 * correct / len(test_labels):.2f} % ({correct} of {len(test_labels)}), float, "
          f"{time.monotonic() - started:.0f} s; wrote {args.out} ({args.out.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
