#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which networks import, and whether the integer network is what ONNX Runtime runs.

    networks.py export FOLDER [--networks NAME ...] [--exporters NAME ...]
    networks.py check  QNUDGE FOLDER [--results results.jsonl]
    networks.py table  results.jsonl

`export` writes <network>.<exporter>.onnx with random weights (seed 0) and BatchNorm statistics of random images.
`check` inspects every file; what imports is tuned with strategy `none` on noise at 8 bits per channel, and its
predictions, integer and float, are compared image by image with those of ONNX Runtime on tuned.onnx and on the file
itself. One JSON object per file. `table` writes the results as a Markdown table, a row per network.

Needs torch, torchvision, timm, onnx, onnxscript, onnxruntime, numpy and pillow from PyPI.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

TORCHVISION = """alexnet convnext_tiny densenet121 efficientnet_b0 googlenet inception_v3 mnasnet1_0 mobilenet_v2
    mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d
    shufflenet_v2_x1_0 squeezenet1_1 swin_t vgg16_bn vit_b_16""".split()
TIMM = """convmixer_768_32 cspresnet50 deit_tiny_patch16_224 dla34 edgenext_xx_small efficientformer_l1
    efficientnet_lite0 fbnetc_100 gcresnext26ts ghostnet_100 hardcorenas_a hrnet_w18_small lcnet_050
    levit_128s mixer_b16_224 mobilenetv2_100 mobilenetv4_conv_small mobileone_s0 mobilevit_xxs nf_resnet50
    poolformer_s12 pvt_v2_b0 regnetx_002 regnety_002 repvgg_a0 resnet18d resnet26t selecsls42b seresnet18
    tinynet_a vovnet39a xception41 xcit_nano_12_p16_224""".split()
SEGMENTATION = ["deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large"]
# name: (opset, whether torch.export traces it, whether the batch is symbolic)
EXPORTERS = {"script13": (13, False, True), "script17": (17, False, True), "trace18": (18, True, True),
             "default": (None, True, False)}
IMAGES = 48


def build(name):
    """The network in evaluation mode, and the height and width of its images."""
    import torch
    import torchvision
    torch.manual_seed(0)
    if name in SEGMENTATION:
        inner = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None)

        class Scores(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, image):
                return self.inner(image)["out"]
        model, size = Scores(), 224
    elif name in TIMM:
        import timm
        model = timm.create_model(name, pretrained=False)
        size = model.default_cfg["input_size"][-1]
    else:
        without_aux = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        model, size = getattr(torchvision.models, name)(weights=None, **without_aux), 299 if name == "inception_v3" else 224
    settle(model, size)
    return model, size


def settle(model, size):
    """Replaces BatchNorm's initial statistics by those of four random images."""
    import torch
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        model(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1)))
    model.eval()


def export(arguments):
    import torch
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks or TORCHVISION + TIMM + SEGMENTATION:
        model = None
        for exporter in arguments.exporters or EXPORTERS:
            opset, traced, symbolic = EXPORTERS[exporter]
            path = arguments.folder / f"{name}.{exporter}.onnx"
            if path.exists():
                continue
            if model is None:
                model, size = build(name)
            image = (torch.zeros(1, 3, size, size),)
            options = {"opset_version": opset} if opset else {}
            if symbolic and traced:
                options.update(dynamo=True, external_data=False, dynamic_shapes=({0: torch.export.Dim("N")},))
            elif symbolic:
                options.update(dynamo=False, input_names=["image"], output_names=["scores"],
                               dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}})
            try:
                torch.onnx.export(model, image, path, **options)
                print(path, flush=True)
            except Exception as error:  # what an exporter cannot write is nothing to import
                path.unlink(missing_ok=True)
                print(f"{path}: not written: {str(error).splitlines()[0][:100]}", flush=True)


def write_noise(folder, size):
    """Smooth noise, so that activations are spread as photographs spread them, and a list of labels that nobody needs."""
    import numpy as np
    from PIL import Image
    random = np.random.default_rng(2)
    names = []
    for i in range(IMAGES):
        blocks = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        blocks.resize((size, size), Image.BICUBIC).save(folder / f"{i}.png")
        names.append(f"{i}.png 0")
    (folder.parent / "labels.txt").write_text("\n".join(names) + "\n")


def outputs_of(path, images):
    import numpy as np
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    tensor = session.get_inputs()[0]
    batch = tensor.shape[0] if isinstance(tensor.shape[0], int) else len(images)
    parts = [session.run(None, {tensor.name: images[i:i + batch]})[0] for i in range(0, len(images), batch)]
    return np.concatenate(parts)


def run(qnudge, *arguments):
    done = subprocess.run([qnudge, *map(str, arguments)], capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]}: {done.stderr.strip().splitlines()[-1]}")


def compare(qnudge, path, size, classes, row):
    import numpy as np
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "images").mkdir()
        write_noise(folder / "images", size)
        config = {"model": str(path), "quant": {"grid": {"bits": 8, "scheme": "per_channel"}},
                  "search": {"strategy": "none", "start": "nearest"},
                  "data": {"format": "image_folder", "train_images": str(folder / "images"), "classes": classes,
                           "train_labels": str(folder / "labels.txt"), "test_from": "train", "crop": size,
                           "mean": [0.5] * 3, "std": [0.25] * 3, "cache": str(folder / "cache"),
                           "calibration": 16, "fitness": 16, "gate": 8, "test": 16}}
        (folder / "config.json").write_text(json.dumps(config))
        run(qnudge, "tune", folder / "config.json", "-q", "--out", folder / "run")
        tuned = folder / "run/tuned.onnx"
        run(qnudge, "eval", "--model", tuned, "-q", "--predictions", folder / "int.npy", "--save-inputs", folder / "x.npy")
        run(qnudge, "eval", folder / "config.json", "--float", "-q", "--predictions", folder / "float.npy")
        images = np.load(folder / "x.npy").astype(np.float32)
        real, codes = outputs_of(path, images), outputs_of(tuned, images)

        def equal(outputs, file):
            last = np.moveaxis(outputs, 1, -1) if outputs.ndim > 2 else outputs  # the largest of all pixels' scores
            return float((last.reshape(len(images), -1).argmax(1) == np.load(file).reshape(-1)).mean())
        row.update(float_agreement=equal(real, folder / "float.npy"), integer_agreement=equal(codes, folder / "int.npy"))


def check_file(qnudge, path):
    import onnx
    row = {"file": path.name}
    seen = subprocess.run([qnudge, "inspect", path, "--json"], capture_output=True, text=True, errors="replace")
    if seen.returncode != 0:
        refused = json.loads(seen.stdout)["unsupported"] if seen.stdout else []
        row["refused"] = f"{refused[0]['op']}: {refused[0]['reason']}" if refused else seen.stderr.strip()
        return row
    graph = onnx.load(path, load_external_data=False).graph
    sizes = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    try:
        compare(qnudge, path, sizes[2] or 224, classes, row)
    except Exception as error:  # of either program: the rest goes on
        row["failed"] = str(error).splitlines()[0]
    return row


def check(arguments):
    for path in sorted(arguments.folder.glob("*.onnx")):
        line = json.dumps(check_file(arguments.qnudge, path))
        print(line, flush=True)
        if arguments.results:
            with arguments.results.open("a") as file:
                file.write(line + "\n")


def table(arguments):
    networks = collections.defaultdict(dict)
    for line in arguments.results.read_text().splitlines():
        row = json.loads(line)
        network, exporter, _ = row["file"].rsplit(".", 2)
        networks[network][exporter] = row
    print("| network | " + " | ".join(EXPORTERS) + " |\n|---|" + "---|" * len(EXPORTERS))
    for network, rows in sorted(networks.items()):
        cells = []
        for exporter in EXPORTERS:
            row = rows.get(exporter)
            cells.append("-" if row is None else row.get("refused") or row.get("failed") or
                         f"{100 * row['float_agreement']:.1f} / {100 * row['integer_agreement']:.1f}")
        print(f"| {network} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_export = commands.add_parser("export")
    of_export.add_argument("folder", type=pathlib.Path)
    of_export.add_argument("--networks", nargs="+")
    of_export.add_argument("--exporters", nargs="+", choices=list(EXPORTERS))
    of_check = commands.add_parser("check")
    of_check.add_argument("qnudge")
    of_check.add_argument("folder", type=pathlib.Path)
    of_check.add_argument("--results", type=pathlib.Path)
    commands.add_parser("table").add_argument("results", type=pathlib.Path)
    arguments = parser.parse_args()
    return {"export": export, "check": check, "table": table}[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
