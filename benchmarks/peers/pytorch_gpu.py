#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What PyTorch makes of a population on a GPU, as a peer for tuning throughput: ResNet18, fp16, channels-last.

Two ways, both with random weights, images and labels, because they do not change the time:

loop   For each of P candidates: mutate the layer's codes, copy them into the model, one full forward over all images,
       count the top-1 hits. The forward over all batches is captured as one CUDA graph and replayed, so that launches
       cost next to nothing; hits stay on the device until the generation ends.
stack  torch.func: the layer's P filters stacked, torch.vmap over functional_call, so that one call evaluates as many
       candidates as --stack says. Everything else is shared.

candidate_images_per_second is P * N * layers / seconds over the measured layers: median, minimum and maximum of the
repeats. Compare with `qnudge bench tuning` for the same network, P and N on the same device, in the same minutes.

One JSON line goes to standard output. Needs PyTorch 2 with CUDA; --device cpu (without graphs) tries the script itself.
"""
import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

LOW, HIGH = -8, 7  # 4-bit codes
MUTATION_PROBABILITY = 0.02
STEPS = (-2.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 2.0)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Identity()
        if stride != 1:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResNet18(nn.Module):
    """[N, 3, S, S] to [N, classes]: at 32 a 3x3 stem without pooling, at 224 the 7x7 stem with it."""

    def __init__(self, size: int, classes: int):
        super().__init__()
        small = size <= 64
        self.conv1 = nn.Conv2d(3, 64, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        blocks, inputs = [], 64
        for outputs in (64, 128, 256, 512):
            blocks += [Block(inputs, outputs, 1 if outputs == 64 else 2), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(self.blocks(x).mean((2, 3)))


def mutated(codes: torch.Tensor, count: int) -> torch.Tensor:
    """[count, *codes.shape] mutated copies."""
    shape = (count, *codes.shape)
    steps = torch.tensor(STEPS, device=codes.device)[torch.randint(len(STEPS), shape, device=codes.device)]
    mask = torch.rand(shape, device=codes.device) < MUTATION_PROBABILITY
    return (codes + mask * steps).clamp(LOW, HIGH)


class Subject:
    """A network, its images, and the hits of one forward pass over all of them."""

    def __init__(self, args: argparse.Namespace):
        torch.manual_seed(args.seed)
        self.device = torch.device(args.device)
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        classes = 100 if args.size <= 64 else 1000
        model = ResNet18(args.size, classes).eval()
        self.model = model.to(self.device, self.dtype, memory_format=torch.channels_last)
        images = torch.randn(args.images, 3, args.size, args.size)
        self.images = images.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(classes, (args.images,), device=self.device)
        self.batch = args.batch
        self.hits = torch.zeros((), dtype=torch.int64, device=self.device)

    def batches(self):
        return zip(self.images.split(self.batch), self.labels.split(self.batch))

    def count_hits(self) -> None:
        self.hits.zero_()
        for x, y in self.batches():
            self.hits += (self.model(x).argmax(1) == y).sum()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def layers(self) -> list:
        return [(n, m) for n, m in self.model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def captured(subject: Subject):
    """A callable that counts hits: a replayed graph on a GPU."""
    if subject.device.type != "cuda":
        return subject.count_hits
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            subject.count_hits()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        subject.count_hits()
    return graph.replay


def loop_generation(subject: Subject, forward, layer: nn.Module, codes: torch.Tensor, scale: float, candidates: int) -> None:
    fitness = torch.zeros(candidates, dtype=torch.int64, device=subject.device)
    for p in range(candidates):
        layer.weight.copy_(mutated(codes, 1)[0] * scale)
        forward()
        fitness[p] = subject.hits
    fitness.tolist()


def stack_generation(subject: Subject, name: str, codes: torch.Tensor, scale: float, candidates: int, stack: int) -> None:
    key = f"{name}.weight"
    shared = {**dict(subject.model.named_parameters()), **dict(subject.model.named_buffers())}

    def logits(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(subject.model, {**shared, key: weight}, (x,))

    population = (mutated(codes, candidates) * scale).to(subject.dtype)
    fitness = []
    for weights in population.split(stack):
        hits = torch.zeros(len(weights), dtype=torch.int64, device=subject.device)
        for x, y in subject.batches():
            hits += (torch.vmap(logits, in_dims=(0, None))(weights, x).argmax(2) == y).sum(1)
        fitness.append(hits)
    torch.cat(fitness).tolist()


def spread(items: list, count: int) -> list:
    if count == 0 or count >= len(items):
        return items
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def measure(args: argparse.Namespace) -> dict:
    subject = Subject(args)
    forward = captured(subject) if args.way == "loop" else None
    chosen = spread(subject.layers(), args.layers)

    def generation(name: str, layer: nn.Module) -> float:
        before = layer.weight.detach().clone()
        scale = 2.0 ** (before.float().abs().max().log2().ceil().item() - 3)
        codes = (before.float() / scale).round().clamp(LOW, HIGH)
        subject.synchronize()
        begun = time.perf_counter()
        if args.way == "loop":
            loop_generation(subject, forward, layer, codes, scale, args.candidates)
        else:
            stack_generation(subject, name, codes, scale, args.candidates, args.stack)
        subject.synchronize()
        seconds = time.perf_counter() - begun
        layer.weight.copy_(before)
        return seconds

    for name, layer in chosen[:1]:
        generation(name, layer)  # warm up
    runs = [[generation(name, layer) for name, layer in chosen] for _ in range(args.repeats)]
    work = args.candidates * args.images
    totals = [work * len(chosen) / sum(run) for run in runs]
    name = torch.cuda.get_device_name() if subject.device.type == "cuda" else "CPU"
    return {
        "peer": f"pytorch_gpu {args.way}", "model": f"ResNet18, {args.size}x{args.size}", "dtype": str(subject.dtype),
        "candidates": args.candidates, "images": args.images, "batch": args.batch, "layers": len(chosen), "repeats": args.repeats,
        "candidate_images_per_second": {
            "median": round(statistics.median(totals), 1), "min": round(min(totals), 1), "max": round(max(totals), 1)},
        "by_layer": {name: round(work / statistics.median(run[i] for run in runs), 1) for i, (name, _) in enumerate(chosen)},
        "torch": torch.__version__, "device": name,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--way", choices=["loop", "stack"], default="loop")
    add("--device", choices=["cuda", "cpu"], default="cuda")
    add("--size", type=int, choices=[32, 224], default=32, help="height and width of the images (default 32)")
    add("--candidates", type=int, default=32, metavar="P")
    add("--images", type=int, default=1000, metavar="N")
    add("--batch", type=int, default=500, help="images per forward (default 500)")
    add("--stack", type=int, default=8, help="candidates per call of way `stack` (default 8)")
    add("--layers", type=int, default=3, metavar="K", help="layers to measure, spread over the network; 0 for all (default 3)")
    add("--repeats", type=int, default=3)
    add("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("pytorch_gpu: PyTorch sees no GPU; --device cpu tries the script itself", file=sys.stderr)
        return 4
    with torch.no_grad():
        print(json.dumps(measure(args)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
