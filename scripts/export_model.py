#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Export a PyTorch network as float ONNX with BatchNorm kept, for `qnudge tune`.

For ImageNet (--data imagenet, 224x224) torchvision's resnet18, resnet34, resnet50, vgg16 and vgg16_bn; for CIFAR
(--data cifar10 or cifar100, 32x32) resnet20, resnet32, resnet44, resnet56, resnet18 with a 3x3 stem and no pool behind
it, and vgg16_bn with a classifier for 32x32 (scripts/networks.py).

--weights is a file of weights as torch.save writes a state_dict, "download" for the ones that torchvision offers (its
terms are torchvision's and the data's), or "random". Nothing that the file holds is executed. Exit codes: 0 done, 2
usage, 3 weights that cannot be read or do not fit.

Needs PyTorch and the Python package onnx, for ImageNet also torchvision.
"""
import argparse
import pickle
import sys
from pathlib import Path

import torch
from torch import nn

from networks import CIFAR_NETWORKS, make_cifar_network, to_onnx
from training import write_file

IMAGENET_NETWORKS = ("resnet18", "resnet34", "resnet50", "vgg16", "vgg16_bn")
CLASSES = {"imagenet": 1000, "cifar10": 10, "cifar100": 100}


class Refusal(Exception):
    """One sentence for the user, and the exit code."""

    def __init__(self, code: int, sentence: str):
        super().__init__(sentence)
        self.code = code


def read_weights(path: Path) -> dict:
    """The state_dict of a file: itself, or under "state_dict" or "model"; DataParallel's "module." is cut off."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise Refusal(3, f"{path}: is no file of weights that can be read: {str(error).splitlines()[0]}") from error
    for key in ("state_dict", "model"):
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise Refusal(3, f"{path}: holds no state_dict; a mapping of names to tensors is needed")
    return {name.removeprefix("module."): value for name, value in stored.items()}


def imagenet_network(name: str, download: bool, classes: int) -> nn.Module:
    try:
        from torchvision import models
    except ImportError as error:
        raise Refusal(2, f"--model {name}: needs torchvision, which is not installed: {error}") from error
    weights = models.get_model_weights(name).IMAGENET1K_V1 if download else None
    return models.get_model(name, weights=weights, num_classes=None if download else classes)


def make_network(args: argparse.Namespace) -> nn.Module:
    download, classes = args.weights == "download", args.classes or CLASSES[args.data]
    known = IMAGENET_NETWORKS if args.data == "imagenet" else tuple(CIFAR_NETWORKS)
    if args.model not in known:
        raise Refusal(2, f"--model {args.model}: is not known for --data {args.data}; known are {', '.join(known)}")
    if download and (args.data != "imagenet" or classes != CLASSES["imagenet"]):
        raise Refusal(2, "--weights download: torchvision offers weights for ImageNet's 1000 classes only; name a file")
    torch.manual_seed(args.seed)
    if args.data == "imagenet":
        model = imagenet_network(args.model, download, classes)
    else:
        model = make_cifar_network(args.model, classes)
    if args.weights == "random":
        randomise_batch_norms(model)
    elif not download:
        try:
            model.load_state_dict(read_weights(Path(args.weights)))
        except RuntimeError as error:
            raise Refusal(3, f"{args.weights}: does not fit {args.model}: {' '.join(str(error).split())[:300]}") from error
    return model


def randomise_batch_norms(model: nn.Module) -> None:
    """Statistics and factors as a trained network might have them: all alike, they would test nothing. Factors below 1
    keep the sum of 27 residual blocks within what a loss can tell apart."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.8)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


def parse_arguments(arguments: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", required=True, help=f"imagenet: {', '.join(IMAGENET_NETWORKS)}; cifar: {', '.join(CIFAR_NETWORKS)}")
    parser.add_argument("--data", choices=tuple(CLASSES), default="imagenet", help="what the network sees")
    parser.add_argument("--weights", required=True, help='a file, "download" or "random"')
    parser.add_argument("--classes", type=int, default=0, help="outputs; 0: as many as the data has classes")
    parser.add_argument("--seed", type=int, default=1, help="of random weights")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    return parser.parse_args(arguments)


def export(args: argparse.Namespace) -> int:
    """Writes the file that the arguments ask for; the exit code."""
    side = 224 if args.data == "imagenet" else 32
    try:
        blob = to_onnx(make_network(args), (3, side, side))
        write_file(args.out, blob)
    except Refusal as refusal:
        print(f"export_model.py: {refusal}", file=sys.stderr)
        return refusal.code
    except OSError as error:
        print(f"export_model.py: {args.out}: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out} ({len(blob)} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(export(parse_arguments(sys.argv[1:])))
