# SPDX-License-Identifier: MIT
"""What the training scripts share. Needs PyTorch alone, so that train_fashion_mnist.py runs with a distribution's own."""
import argparse
import copy
import inspect
import io
import os
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


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


def shift_and_mirror(images: torch.Tensor, reach: int) -> torch.Tensor:
    """[N, C, S, S], each image shifted by up to `reach` pixels (black comes in) and mirrored with probability one half."""
    n, size, device = len(images), images.shape[-1], images.device
    padded = F.pad(images, [reach] * 4)
    span = torch.arange(size, device=device)
    rows = span + torch.randint(0, 2 * reach + 1, (n, 1), device=device)
    straight = torch.rand(n, 1, device=device) < 0.5
    columns = torch.where(straight, span, span.flip(0)) + torch.randint(0, 2 * reach + 1, (n, 1), device=device)
    return padded[torch.arange(n, device=device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def sgd_with_cycle(model: nn.Module, rate: float, decay: float, steps: int) -> tuple:
    """SGD with Nesterov momentum, no decay on BatchNorm and biases, and its one learning-rate cycle over `steps`."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2, cycle_momentum=False)
    return optimiser, schedule


def descend(loss: torch.Tensor, optimiser: torch.optim.Optimizer, schedule) -> None:
    """One step down the gradient of `loss`."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    schedule.step()


def count_correct(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, normalise) -> int:
    """Top-1 hits in evaluation mode, fp32."""
    model.eval()
    with torch.no_grad():
        return sum(int((model(normalise(x)).argmax(1) == y).sum()) for x, y in zip(images.split(500), labels.split(500)))


def torch_to_onnx(model: nn.Module, shape: tuple, output: str) -> bytes:
    """The float ONNX file, by PyTorch's exporter, of the model in evaluation mode for samples of `shape`; N stays
    symbolic, convolutions and BatchNormalization stay apart."""
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    # Without PRESERVE the exporter folds BatchNorm into the convolutions, although the model is in evaluation mode.
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "opset_version": 13,
               "input_names": ["input"], "output_names": [output], "dynamic_axes": {"input": {0: "N"}, output: {0: "N"}}}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the newer exporter rewrites the graph and has no opset 13
    buffer = io.BytesIO()
    torch.onnx.export(model, torch.zeros(1, *shape), buffer, **options)
    return buffer.getvalue()


def write_file(path: Path, blob: bytes) -> None:
    """Write through a temporary name, so that an interrupted run leaves no half file; devices and pipes directly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(blob)
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".qnudge-", suffix=".tmp", delete=False) as temporary:
        temporary.write(blob)
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, path)


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value
