#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The obvious PyTorch loop, as a peer for tuning throughput on the CPU.

For each of P candidates of one layer: mutate the layer's 4-bit codes, copy the weights into the model, run one full
forward over all N images in batches, count the top-1 hits. Nothing is cached between candidates and all arithmetic is
floating point: this is what one writes in ten minutes, with the free speed-ups taken (channels-last, inference mode,
the fastest of several batch sizes; --fold also merges each BatchNorm into its convolution).

How to read the result: candidate_images_per_second is P * N * layers / seconds, summed over the measured layers, as
median, minimum and maximum over the repeats. Each candidate is a full forward, so the choice of layer hardly matters;
by_layer shows it. Compare with `candidate_images_per_second` of `qnudge bench` for the same network, P, N and number
of threads. Weights, images and labels are random, because they do not change the time.
In bf16, look at bf16_native: where it is false, the CPU has no bfloat16 instructions and the number is an emulation.

One JSON line goes to standard output, one line for humans to standard error. Needs PyTorch 1.13 or later, nothing else.
"""
import argparse
import json
import platform
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

NETWORKS = {  # name: (input channels, image size, basic blocks per stage, classes)
    "resnet8": (1, 28, 1, 10),
    "resnet20": (3, 32, 3, 100),
}
BITS = 4
MUTATION_PROBABILITY = 0.02
STEPS = torch.tensor([-2.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 2.0])  # LSBs; drawn uniformly
PROBE_CANDIDATES = 2


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
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)).add_(skip), inplace=True)


class ResNet(nn.Module):
    """CIFAR-style ResNet: [N, C, S, S] to [N, classes]; stages of 16, 32, 64 channels with strides 1, 2, 2."""

    def __init__(self, channels: int, blocks: int, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, 1, blocks)
        self.layer2 = self.stage(16, 32, 2, blocks)
        self.layer3 = self.stage(32, 64, 2, blocks)
        self.fc = nn.Linear(64, classes)

    @staticmethod
    def stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(inputs, outputs, stride), *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def fold_batch_norms(model: nn.Module) -> None:
    """Replace each convolution by itself times its BatchNorm, and the BatchNorm by nothing."""
    for parent in list(model.modules()):
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
            if isinstance(getattr(parent, conv, None), nn.Conv2d) and isinstance(getattr(parent, norm, None), nn.BatchNorm2d):
                setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
                setattr(parent, norm, nn.Identity())


def build_model(args: argparse.Namespace, dtype: torch.dtype) -> nn.Module:
    channels, _, blocks, classes = NETWORKS[args.model]
    model = ResNet(channels, blocks, classes).eval()
    if args.fold:
        fold_batch_norms(model)
    return model.to(dtype=dtype, memory_format=torch.channels_last)


class CandidateLayer:
    """The layer under search: its 4-bit codes on a power-of-two grid, and its place in the model."""

    def __init__(self, module: nn.Module):
        self.weight = module.weight
        weight = module.weight.detach().float()
        self.scale = 2.0 ** (weight.abs().max().log2().ceil().item() - (BITS - 1))
        self.codes = self.clamp((weight / self.scale).round())

    @staticmethod
    def clamp(codes: torch.Tensor) -> torch.Tensor:
        return codes.clamp(-(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1)

    def set_mutated(self) -> None:
        steps = STEPS[torch.randint(len(STEPS), self.codes.shape)]
        mask = torch.rand(self.codes.shape) < MUTATION_PROBABILITY
        self.weight.copy_(self.clamp(self.codes + mask * steps) * self.scale)

    def restore(self) -> None:
        self.weight.copy_(self.codes * self.scale)


def evaluate(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int) -> int:
    """Top-1 hits of one candidate over all images: one full forward."""
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in zip(images.split(batch), labels.split(batch)))


def time_candidates(model: nn.Module, layer: CandidateLayer, images: torch.Tensor, labels: torch.Tensor, batch: int, candidates: int) -> float:
    """Seconds for that many candidates of one layer."""
    started = time.perf_counter()
    best = 0
    for _ in range(candidates):
        layer.set_mutated()
        best = max(best, evaluate(model, images, labels, batch))
    seconds = time.perf_counter() - started
    layer.restore()
    return seconds


def probe_batches(model: nn.Module, layer: CandidateLayer, images: torch.Tensor, labels: torch.Tensor, batches: list) -> dict:
    """Candidate-images per second by batch size: the median of three short runs each, after a warm-up."""
    rates = {}
    for batch in batches:
        time_candidates(model, layer, images, labels, batch, 1)
        runs = [time_candidates(model, layer, images, labels, batch, PROBE_CANDIDATES) for _ in range(3)]
        rates[batch] = PROBE_CANDIDATES * len(images) / statistics.median(runs)
    return rates


def spread(items: list, count: int) -> list:
    """That many items, evenly spread from the first to the last; all of them for 0."""
    if count == 0 or count >= len(items):
        return items
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def cpu_description() -> dict:
    """Name and instruction-set flags of the first CPU, as far as Linux tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            fields = dict((part.strip() for part in line.split(":", 1)) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        fields = {}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {"name": fields.get("model name") or platform.processor() or platform.machine(),
            "bf16_native": any(flag in ("avx512_bf16", "amx_bf16", "bf16") for flag in flags)}


def measure(args: argparse.Namespace) -> dict:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    channels, size, _, classes = NETWORKS[args.model]
    model = build_model(args, dtype)
    images = torch.randn(args.images, channels, size, size).to(dtype).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (args.images,))
    weighted = [(name, CandidateLayer(m)) for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for _, layer in weighted:
        layer.restore()
    chosen = spread(weighted, args.layers)
    probe = probe_batches(model, chosen[0][1], images, labels, args.batch)
    batch = max(probe, key=probe.get)
    runs = [[time_candidates(model, layer, images, labels, batch, args.candidates) for _, layer in chosen] for _ in range(args.repeats)]
    work = args.candidates * args.images
    cpu = cpu_description()
    totals = [work * len(chosen) / sum(run) for run in runs]
    return {
        "peer": "pytorch_loop", "model": args.model, "dtype": args.dtype, "bf16_native": cpu["bf16_native"], "fold": args.fold,
        "threads": args.threads, "candidates": args.candidates, "images": args.images, "repeats": args.repeats, "seed": args.seed,
        "batch": batch, "candidate_images_per_second": {
            "median": round(statistics.median(totals), 1), "min": round(min(totals), 1), "max": round(max(totals), 1)},
        "by_layer": {name: round(work / statistics.median(run[i] for run in runs), 1) for i, (name, _) in enumerate(chosen)},
        "by_batch_probe": {str(b): round(rate, 1) for b, rate in probe.items()},
        "seconds": round(sum(map(sum, runs)), 2), "torch": torch.__version__, "cpu": cpu["name"],
    }


def at_least(minimum: int):
    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is not at least {minimum}")
        return value

    parse.__name__ = "integer"
    return parse


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="example: pytorch_loop.py --model resnet20 --dtype bf16 --threads 2")
    add = parser.add_argument
    add("--model", choices=sorted(NETWORKS), default="resnet8", help="resnet8: 1x28x28, 10 classes; resnet20: 3x32x32, 100 classes (default resnet8)")
    add("--dtype", choices=["fp32", "bf16"], default="fp32", help="type of weights and activations (default fp32)")
    add("--threads", type=at_least(1), default=1, help="CPU threads (default 1)")
    add("--candidates", type=at_least(1), default=32, metavar="P", help="candidates per layer (default 32)")
    add("--images", type=at_least(1), default=1024, metavar="N", help="images per candidate (default 1024)")
    add("--layers", type=at_least(0), default=3, metavar="K", help="layers to measure, spread over the network; 0 for all (default 3)")
    add("--repeats", type=at_least(1), default=3, help="repeats, for the median (default 3)")
    add("--batch", type=at_least(1), nargs="+", default=[128, 64, 256], metavar="B", help="batch sizes to try; the fastest is measured (default 128 64 256)")
    add("--fold", action="store_true", help="merge BatchNorm into the convolutions first: a stronger peer")
    add("--seed", type=int, default=1, help="of weights, images and mutations (default 1)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    with torch.inference_mode():
        result = measure(args)
    rate = result["candidate_images_per_second"]
    print(f"PyTorch loop, {args.model}, {args.dtype}{' folded' if args.fold else ''}, {args.threads} thread(s), batch {result['batch']}: "
          f"{rate['median']:.0f} candidate-images/s (min {rate['min']:.0f}, max {rate['max']:.0f}, {args.repeats} repeats)", file=sys.stderr)
    if args.dtype == "bf16" and not result["bf16_native"]:
        print("PyTorch loop: this CPU has no bfloat16 instructions; the number is an emulation", file=sys.stderr)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
