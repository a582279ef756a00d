#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exports PyTorch networks with random weights and lets qnudge run them.

`check_export.py QNUDGE FOLDER DATA:MODEL...`, e.g. `cifar100:resnet20 imagenet:vgg16`: each network is exported by
scripts/export_model.py into FOLDER; images are made up, with drawn labels, and `qnudge eval --float` must find PyTorch's
mean cross entropy, which sees every weight. CIFAR networks are also lowered and compared between the reference
and the host backend. Exit code 0 if all is well, 1 if not, 77 without PyTorch.
"""

import json
import pathlib
import subprocess
import sys

try:
    import numpy as np
    import torch
    from PIL import Image
except ImportError as error:
    print(f"check_export.py: skipped: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import export_model  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = {"imagenet": 6, "cifar100": 60}
SIDE = {"imagenet": 224, "cifar100": 32}


def pictures(count, side):
    """[count, side, side, 3] bytes that differ from one another at every scale."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).repeat(side // 4, 1).repeat(side // 4, 2)
    return np.clip(coarse + random.normal(0, 40, (count, side, side, 3)), 0, 255).astype(np.uint8)


def mean_cross_entropy(model, images, labels):
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.no_grad():
        logits = torch.cat([model.eval()(part) for part in x.split(2)])
    return torch.nn.functional.cross_entropy(logits.double(), torch.tensor(labels)).item()


def write_data(folder, data, images, labels):
    """Files in the layout that the network's config names; returns that part of the config."""
    folder.mkdir()
    common = {"mean": MEAN, "std": STD, "calibration": 2, "fitness": 2, "gate": 2}
    if data == "cifar100":
        records = [bytes([0, label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels)]
        (folder / "images.bin").write_bytes(b"".join(records))
        return common | {"format": data, "train_images": str(folder / "images.bin"), "test_images": str(folder / "images.bin")}
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    (folder / "labels.txt").write_text("".join(f"{number}.png {label}\n" for number, label in enumerate(labels)))
    sets = {f"{side}_{part}": str(folder / name) for side in ("train", "test") for part, name in (("images", "images"), ("labels", "labels.txt"))}
    return common | sets | {"format": "image_folder", "crop": SIDE[data], "cache": str(folder / "cache")}


def check(qnudge, folder, data, name):
    arguments = ["--model", name, "--data", data, "--weights", "random", "--out", str(folder / f"{data}_{name}.onnx")]
    args = export_model.parse_arguments(arguments)
    if export_model.export(args) != 0:
        return False
    images = pictures(IMAGES[data], SIDE[data])
    labels = np.random.default_rng(4).integers(0, export_model.CLASSES[data], len(images)).tolist()
    expected = mean_cross_entropy(export_model.make_network(args), images, labels)
    config = {"model": str(args.out), "protocol": "paper", "data": write_data(folder / f"{data}_{name}", data, images, labels)}
    file = folder / f"{data}_{name}.json"
    file.write_text(json.dumps(config))
    found = json.loads(subprocess.run([qnudge, "eval", str(file), "--float", "--json", "--quiet"], check=True, capture_output=True).stdout)
    loss = found["results"]["float"]["test"]["cross_entropy"]
    print(f"{data} {name}: cross entropy {loss:.5f} nats, PyTorch's {expected:.5f}", flush=True)
    if data == "cifar100":
        subprocess.run([qnudge, "check", str(file), "--images", "2", "--quiet"], check=True)
    return abs(loss - expected) < 1e-3


def main(arguments):
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(arguments[1])
    results = [check(arguments[0], folder, *network.split(":")) for network in arguments[2:]]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
