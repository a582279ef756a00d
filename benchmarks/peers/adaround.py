#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""AdaRound, block by block, as a gradient-based peer for search quality on CIFAR ResNets.

Learns by gradient whether each weight is rounded up or down (Nagel et al. 2020), one residual block at a time (Li et
al. 2021): the block reads what the already quantised blocks before it give and is fitted to the float model's output
of the block. Grids, activation scales and images are qnudge's, taken from a run folder that holds nearest rounding:

    qnudge tune CONFIG --set search.strategy=none --set search.start=nearest --out nearest
    adaround.py nearest --out adaround        writes adaround.json (for `qnudge bench quality --peer`), adaround.onnx

Activations are 8-bit codes as in the integer network, rounded with a straight-through gradient. Biases are learned
along with the rounding, and so is one gain per output channel, unless --fixed-gain: descent fits both too. What is
written to adaround.onnx is integer, so that `qnudge eval --model adaround.onnx` is the last word on its accuracy.

Needs PyTorch 2.0 or later, onnx and numpy; runs on the CPU.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

SOFT_LOW, SOFT_HIGH = -0.1, 1.1  # of the stretched sigmoid
WARM_UP = 0.2  # share of the iterations before rounding is pushed to 0 or 1
SETTLE = 0.1  # share of the iterations at the end that leave the rounding alone and fit biases and gains to it
BETA_FIRST, BETA_LAST = 20.0, 2.0


class RoundClamp(torch.autograd.Function):
    """8-bit codes; the gradient passes where nothing saturates."""

    @staticmethod
    def forward(ctx, steps):
        ctx.save_for_backward((steps >= -128) & (steps <= 127))
        return steps.round().clamp(-128, 127)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


def codes_of(x: torch.Tensor, scale: float) -> torch.Tensor:
    """x as values of 8-bit codes with this scale."""
    return RoundClamp.apply(x / scale) * scale


class Layer:
    """One convolution or product with its BatchNorm merged: float weights, grid, and the rounding that is learned."""

    def __init__(self, name: str, floats: dict, quantised: dict, bits: int):
        self.name, self.weight, self.bias = name, floats[name][0], floats[name][1]
        self.stride, self.padding = floats[name][2], floats[name][3]
        q = quantised[name]
        self.out_scale = q["out_scale"]  # None: float output
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.scale = q["scale"].reshape([-1] + [1] * (self.weight.dim() - 1))
        steps = (self.weight / self.scale).clamp(self.low, self.high)
        self.floor = steps.floor()
        rest = (steps - self.floor).clamp(0.01, 0.99)
        self.v = torch.log((rest - SOFT_LOW) / (SOFT_HIGH - rest)).requires_grad_()
        self.shift = self.bias.clone().requires_grad_()
        self.gain = torch.ones_like(self.bias).requires_grad_()

    def soft(self) -> torch.Tensor:
        return (torch.sigmoid(self.v) * (SOFT_HIGH - SOFT_LOW) + SOFT_LOW).clamp(0, 1)

    def codes(self) -> torch.Tensor:
        return (self.floor + (self.soft() >= 0.5)).clamp(self.low, self.high)

    def linear(self, x, weight, bias):
        if weight.dim() == 2:
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, self.stride, self.padding)

    def exact(self, x):
        """The float model's layer."""
        return self.linear(x, self.weight, self.bias)

    def __call__(self, x, hard: bool):
        codes = self.codes() if hard else (self.floor + self.soft()).clamp(self.low, self.high)
        gain = self.gain.reshape(self.scale.shape)
        y = self.linear(x, codes * self.scale * gain, self.shift)
        return y if self.out_scale is None else codes_of(y, self.out_scale)


class Block:
    """Layers that are fitted together; `run(apply, x)` computes the block with `apply(layer, x)` for each layer."""

    def __init__(self, layers, run):
        self.layers, self.run = layers, run

    def exact(self, x):
        return self.run(lambda layer, y: layer.exact(y), x, lambda y, _: y)

    def __call__(self, x, hard: bool):
        return self.run(lambda layer, y: layer(y, hard), x, codes_of)


def read_float(path: str) -> dict:
    """Layer name -> (weight, bias, stride, padding), BatchNorm merged into both."""
    graph = onnx.load(path).graph
    values = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    readers = {name: node for node in graph.node for name in node.input}
    layers = {}
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Gemm":
            layers[node.name] = (values[node.input[1]], values[node.input[2]], None, None)
        if node.op_type != "Conv":
            continue
        weight = values[node.input[1]]
        norm = readers[node.output[0]]
        gamma, beta, mean, variance = (values[name] for name in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        gain = gamma / torch.sqrt(variance + epsilon)
        layers[node.name] = (weight * gain.reshape(-1, 1, 1, 1), beta - mean * gain, attributes["strides"],
                             attributes["pads"][:2])
    return layers


def read_quantised(model) -> tuple[dict, dict]:
    """Layer name -> weight scales per channel and scale of the output codes; node name -> scale of its codes."""
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    scales = {n.input[0]: float(values[n.input[1]]) for n in model.graph.node if n.op_type == "QuantizeLinear"}
    layers = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            scale = np.broadcast_to(values[f"{node.name}/weight_scale"], len(values[f"{node.name}/bias"]))
            layers[node.name] = {"scale": torch.from_numpy(scale.copy()), "out_scale": scales.get(node.output[0])}
    return layers, scales


def make_blocks(layers: dict, scales: dict) -> list[Block]:
    """The stem, one block per residual block, the classifier; node names as torchvision-style exports give them."""

    def stem(apply, x, _):
        return F.relu(apply(layers["/conv1/Conv"], x))

    def classifier(apply, x, quantise):
        return apply(layers["/fc/Gemm"], quantise(x.mean((2, 3)), scales["/ReduceMean"]))

    def residual(path):
        sum_scale = scales[f"{path}/Add"]

        def run(apply, x, quantise):
            y = F.relu(apply(layers[f"{path}/conv1/Conv"], x))
            y = apply(layers[f"{path}/conv2/Conv"], y)
            down = layers.get(f"{path}/downsample/downsample.0/Conv")
            return F.relu(quantise(y + (x if down is None else apply(down, x)), sum_scale))

        return Block([layer for name, layer in layers.items() if name.startswith(path + "/")], run)

    paths = list(dict.fromkeys(name.rsplit("/", 2)[0] for name in layers if name.endswith("/conv1/Conv")))
    blocks = [Block([layers["/conv1/Conv"]], stem)]
    blocks += [residual(path) for path in paths if path]
    return blocks + [Block([layers["/fc/Gemm"]], classifier)]


def read_images(files, mean, std) -> tuple[torch.Tensor, torch.Tensor]:
    """CIFAR-100's binary records as normalised [N, 3, 32, 32] and fine labels."""
    records = np.concatenate([np.fromfile(f, np.uint8) for f in files]).reshape(-1, 3074)
    pixels = torch.from_numpy(records[:, 2:].reshape(-1, 3, 32, 32).astype(np.float32)) / 255
    shape = (1, 3, 1, 1)
    return ((pixels - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape),
            torch.from_numpy(records[:, 1].astype(np.int64)))


@torch.no_grad()
def in_batches(function, x, size=250):
    return torch.cat([function(part) for part in x.split(size)])


def rounding_loss(layers, progress: float) -> torch.Tensor:
    """Mean over the weights, 0 where every one has decided; sharper from iteration to iteration."""
    beta = BETA_LAST + (BETA_FIRST - BETA_LAST) * 0.5 * (1 + np.cos(progress * np.pi))
    soft = torch.cat([layer.soft().flatten() for layer in layers])
    return (1 - (2 * soft - 1).abs().pow(beta)).mean()


def fit(block: Block, x, target, options, generator) -> None:
    """Both losses are relative, the error to what it is before the push and the rounding to the number of weights, so
    that one --weight suits blocks of any size and outputs of any unit."""
    free = [layer.v for layer in block.layers]
    affine = [layer.shift for layer in block.layers]
    if not options.fixed_gain:
        affine += [layer.gain for layer in block.layers]
    adam = torch.optim.Adam([{"params": free, "lr": options.lr}, {"params": affine, "lr": options.affine_lr}])
    warm, push = round(WARM_UP * options.iterations), round((1 - SETTLE) * options.iterations)
    unit, seen = 0.0, 0
    for step in range(options.iterations):
        adam.param_groups[1]["lr"] = options.affine_lr * 0.5 * (1 + np.cos(np.pi * step / options.iterations))
        hard = step >= push
        chosen = torch.randint(len(x), (options.batch,), generator=generator)
        loss = (block(x[chosen], hard) - target[chosen]).pow(2).mean()
        if warm / 2 <= step < warm:
            unit, seen = unit + float(loss.detach()), seen + 1
        if warm <= step < push:
            loss = loss * seen / unit + options.weight * rounding_loss(block.layers, (step - warm) / (push - warm))
        adam.zero_grad()
        loss.backward()
        adam.step()


def write_model(model, layers, path) -> None:
    """Codes, scales and biases into the nearest model's places."""
    values = {i.name: i for i in model.graph.initializer}

    def put(name, array):
        values[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))

    for name, layer in layers.items():
        old_scale = numpy_helper.to_array(values[f"{name}/weight_scale"])
        input_scale = numpy_helper.to_array(values[f"{name}/bias_scale"]) / old_scale
        scale = np.broadcast_to(old_scale, len(layer.bias)) * layer.gain.detach().numpy()
        put(f"{name}/weight", layer.codes().detach().numpy().astype(np.int8))
        put(f"{name}/weight_scale", scale.astype(np.float32))
        bias_scale = (scale * input_scale).astype(np.float32)
        put(f"{name}/bias_scale", bias_scale)
        put(f"{name}/bias", np.rint(layer.shift.detach().numpy() / bias_scale).astype(np.int32))
    onnx.save(model, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="run folder with nearest rounding")
    parser.add_argument("--out", required=True, help="where to write, without .json and .onnx")
    parser.add_argument("--iterations", type=int, default=2000, help="per block")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-1, help="of the rounding")
    parser.add_argument("--affine-lr", type=float, default=1e-3, help="of biases and gains")
    parser.add_argument("--weight", type=float, default=200.0, help="of the rounding loss")
    parser.add_argument("--fixed-gain", action="store_true", help="learn rounding and biases only")
    parser.add_argument("--judge", choices=["test", "gate"], default="test", help="images to report on")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    config = json.loads((options.folder / "config.resolved.json").read_text())
    splits = json.loads((options.folder / "splits.json").read_text())
    grid, data = config["quant"]["grid"], config["data"]
    model = onnx.load(options.folder / "tuned.onnx")
    quantised, scales = read_quantised(model)
    floats = read_float(os.path.expandvars(config["model"]))
    layers = {name: Layer(name, floats, quantised, grid["bits"]) for name in floats}
    train, train_labels = read_images(map(os.path.expandvars, data["train_images"]), data["mean"], data["std"])
    test, test_labels = read_images(map(os.path.expandvars, data["test_images"]), data["mean"], data["std"])

    begun = time.perf_counter()
    generator = torch.Generator().manual_seed(config["seed"])
    exact = train[splits["calibration"]]
    seen = codes_of(exact, scales["input"])
    blocks = make_blocks(layers, scales)
    for block in blocks:
        exact = in_batches(block.exact, exact)
        fit(block, seen, exact, options, generator)
        seen = in_batches(lambda x: block(x, True), seen)
        error = float((seen - exact).pow(2).mean() / exact.pow(2).mean())
        undecided = float(torch.cat([((l.soft() > 0) & (l.soft() < 1)).flatten() for l in block.layers]).float().mean())
        print(f"{block.layers[0].name}: relative error {error:.5f}, {100 * undecided:.2f} % undecided, "
              f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    seconds = time.perf_counter() - begun

    def logits(x, exact: bool):
        x = x if exact else codes_of(x, scales["input"])
        for block in blocks:
            x = block.exact(x) if exact else block(x, True)
        return x

    write_model(model, layers, options.out + ".onnx")
    images, labels = (test, test_labels) if options.judge == "test" or "gate_of_test" in splits else (train, train_labels)
    chosen = slice(None) if options.judge == "test" else splits.get("gate", splits.get("gate_of_test"))
    judged, labels = images[chosen], labels[chosen]
    wanted, found = (in_batches(lambda x, exact=exact: logits(x, exact), judged) for exact in (True, False))
    predicted = found.argmax(1)
    kl = F.kl_div(found.log_softmax(1), wanted.softmax(1), reduction="batchmean")
    print(f"{100 * float((predicted == labels).float().mean()):.2f} %, KL {float(kl):.4f} on {len(labels)} "
          f"{options.judge} images", file=sys.stderr)
    if options.judge == "test":
        result = {"rung": "adaround", "bits": grid["bits"], "seed": config["seed"], "seconds": seconds,
                  "predicted": predicted.tolist()}
        pathlib.Path(options.out + ".json").write_text(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
