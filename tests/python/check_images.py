#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares qnudge's decoded, resized and cropped images with Pillow's, pixel by pixel.

`make FOLDER [MORE]` writes FOLDER/images, of every kind that both can read, and FOLDER/labels.txt; MORE is a folder of
images of which some are copied. `compare FOLDER RESIZE CROP INPUTS` prints how far INPUTS, float32 [N, 3, CROP, CROP]
of bytes / 255 as `qnudge eval --save-inputs` writes them with mean 0 and deviation 1, are from Pillow's. Exit code 0 if
by at most 1 of 255 everywhere, else 1. Resizing and cropping are torchvision's Resize and CenterCrop on PIL images.
"""

import pathlib
import shutil
import sys

import numpy as np
from PIL import Image

SIZES = [(64, 64), (97, 301), (500, 375), (640, 427), (257, 256), (131, 70)]
COPIES = 24


def picture(width, height, seed):
    """RGB with slopes, edges and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (3 + 5 * c) + seed) * 60 + np.cos(y / (7 + 3 * c)) * 60 + 128 for c in range(3)]
    pixels = np.stack(waves, axis=-1) + random.normal(0, 12, (height, width, 3))
    pixels[height // 3 : height // 2, width // 4 : width // 3] = (255, 0, 128)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def alpha_of(image):
    return Image.linear_gradient("L").resize(image.size)


def kinds(image):
    """Every kind of file that both programs take, by name."""
    yield "444.jpg", image, {"quality": 92, "subsampling": 0}
    yield "422.jpg", image, {"quality": 85, "subsampling": 1}
    yield "420.JPEG", image, {"quality": 75, "subsampling": 2}
    yield "progressive.jpg", image, {"quality": 60, "progressive": True}
    yield "grey.jpg", image.convert("L"), {"quality": 90}
    yield "cmyk.jpg", image.convert("CMYK"), {"quality": 95}
    yield "rgb.png", image, {}
    yield "grey.png", image.convert("L"), {}
    yield "bilevel.png", image.convert("1"), {}
    yield "palette.png", image.convert("P", palette=Image.Palette.ADAPTIVE, colors=200), {}
    yield "few.png", image.convert("P", palette=Image.Palette.ADAPTIVE, colors=7), {"bits": 4}
    yield "clear.png", image.convert("P", palette=Image.Palette.ADAPTIVE, colors=50), {"transparency": 3}
    yield "lossy.webp", image, {"quality": 80}
    yield "exact.webp", image, {"lossless": True}
    yield "plain.tif", image, {}
    yield "lzw.tiff", image, {"compression": "tiff_lzw"}
    yield "grey.tif", image.convert("L"), {"compression": "tiff_deflate"}
    yield "palette.tif", image.convert("P", palette=Image.Palette.ADAPTIVE, colors=200), {}
    yield "rgb.bmp", image, {}
    yield "grey.bmp", image.convert("L"), {}
    yield "palette.bmp", image.convert("P", palette=Image.Palette.ADAPTIVE, colors=200), {}
    yield "bilevel.bmp", image.convert("1"), {}
    yield "rgb.ppm", image, {}
    yield "grey.pgm", image.convert("L"), {}
    transparent = image.copy()
    transparent.putalpha(alpha_of(image))
    yield "rgba.png", transparent, {}
    yield "rgba.webp", transparent, {"lossless": True, "exact": True}
    faded = image.convert("L")
    faded.putalpha(alpha_of(image))
    yield "la.png", faded, {}


def make(folder, more):
    images = folder / "images"
    images.mkdir(parents=True)
    for number, (width, height) in enumerate(SIZES):
        for name, image, options in kinds(picture(width, height, number)):
            image.save(images / f"{width}x{height} {name}", **options)
    if more is not None:
        for path in sorted(more.iterdir())[:: max(1, len(list(more.iterdir())) // COPIES)]:
            shutil.copy(path, images / path.name)
    names = sorted(path.name for path in images.iterdir())
    lines = [f"{name} {number % 10}" for number, name in enumerate(names)]
    (folder / "labels.txt").write_text("\r\n".join(lines) + "\r\n")


def expected(path, resize, crop):
    """[3, crop, crop] bytes."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = min(width, height)
    if resize not in (0, short):
        longer = int(resize * max(width, height) / short)
        image = image.resize((resize, longer) if width <= height else (longer, resize), Image.Resampling.BILINEAR)
    width, height = image.size
    left, top = round((width - crop) / 2.0), round((height - crop) / 2.0)
    return np.asarray(image.crop((left, top, left + crop, top + crop))).transpose(2, 0, 1)


def compare(folder, resize, crop, inputs):
    names = [line.rsplit(" ", 1)[0] for line in (folder / "labels.txt").read_text().splitlines()]
    found = np.rint(np.load(inputs) * 255).astype(np.int64)
    if found.shape != (len(names), 3, crop, crop):
        print(f"{inputs}: holds {found.shape} values, {(len(names), 3, crop, crop)} expected")
        return False
    far = {}
    for name, pixels in zip(names, found):
        far[name] = np.abs(pixels - expected(folder / "images" / name, resize, crop)).max()
    differing = [name for name, distance in far.items() if distance > 0]
    print(f"resize {resize}, crop {crop}: {len(names)} images, {len(names) - len(differing)} equal, most {max(far.values())} of 255")
    for name in differing:
        print(f"  {name}: {far[name]}")
    return max(far.values()) <= 1


def main(arguments):
    if len(arguments) in (2, 3) and arguments[0] == "make":
        make(pathlib.Path(arguments[1]), pathlib.Path(arguments[2]) if len(arguments) == 3 else None)
        return 0
    if len(arguments) == 5 and arguments[0] == "compare":
        folder, resize, crop, inputs = arguments[1:]
        return 0 if compare(pathlib.Path(folder), int(resize), int(crop), inputs) else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
