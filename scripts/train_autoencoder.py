#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the convolutional autoencoder of a series config on its training series and export it as float ONNX.

    scripts/train_autoencoder.py configs/msl_autoencoder.json

The config is the one that `qnudge tune` reads: its data keys name the files, columns, window and scaling (configs/README.md),
and the network is written to the file that its key "model" names. The window's rows are the channels of the network and the
sensors are the length, so an input is [N, window, sensors]. An encoder of 1-D convolutions with stride 1 is followed by
its mirror image of transposed convolutions; BatchNorm and ReLU follow every one of them:

    swat  84 123 205             channels, kernels 2 6 4        padding 1
    msl   95 126 138 261 685 927 channels, kernels 7 2 4 3 3 2  padding 3 1 1 1 1 1
    smap  75 70 273 437 694 1041 channels, kernels 3 2 5 3 2 2  padding 1

Every step draws windows of the training series at random and lowers their mean squared reconstruction error (Adam, one
cosine cycle). Nothing is chosen by looking at the test series, which are not read. Windows that cross a gap in time or
hold a row marked as anomalous are left out, as `qnudge` leaves them out. The same seed, thread count, PyTorch version and
CPU give the same file.

Needs NumPy, PyTorch 1.13 or later and the Python package onnx.
"""
import argparse
import csv
import json
import os
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training import descend, positive, torch_to_onnx, write_file

ARCHITECTURES = {
    "swat": ([84, 123, 205], [2, 6, 4], [1, 1, 1]),
    "msl": ([95, 126, 138, 261, 685, 927], [7, 2, 4, 3, 3, 2], [3, 1, 1, 1, 1, 1]),
    "smap": ([75, 70, 273, 437, 694, 1041], [3, 2, 5, 3, 2, 2], [1, 1, 1, 1, 1, 1]),
}
GAP = 5  # a step of time longer than this many usual ones ends a series
TIME_FORMATS = ["%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"]


def autoencoder(window: int, architecture: str) -> nn.Sequential:
    """[N, window, sensors] to the same shape."""
    channels, kernels, paddings = ARCHITECTURES[architecture]
    layers, widths = [], [window] + channels
    for i, (kernel, padding) in enumerate(zip(kernels, paddings)):
        layers += [nn.Conv1d(widths[i], widths[i + 1], kernel, 1, padding, bias=False), nn.BatchNorm1d(widths[i + 1]), nn.ReLU()]
    for i in reversed(range(len(kernels))):
        layers += [nn.ConvTranspose1d(widths[i + 1], widths[i], kernels[i], 1, paddings[i], bias=False), nn.BatchNorm1d(widths[i]), nn.ReLU()]
    return nn.Sequential(*layers)


def expand(path: str) -> Path:
    """The path with ${NAME} replaced by the environment variable, as qnudge does."""
    def value(match: re.Match) -> str:
        if match[1] not in os.environ:
            raise ValueError(f"{path}: the environment variable {match[1]} is not set")
        return os.environ[match[1]]
    return Path(re.sub(r"\$\{(\w+)\}", value, path))


def training_files(data: dict) -> list:
    """The files that data.train_images names; of a folder all *_train.csv or .npy."""
    named = data["train_images"]
    files = []
    for path in map(expand, [named] if isinstance(named, str) else named):
        files += sorted(path.glob(f"*_train.{data['format']}")) if path.is_dir() else [path]
    if not files:
        raise ValueError("data.train_images: names no training file")
    return files


def seconds_of(text: str) -> float:
    """A time stamp as seconds; ValueError if it is none."""
    text = text.strip().replace("T", " ").rstrip("Z")
    for form in TIME_FORMATS:
        try:
            return (datetime.strptime(text, form) - datetime(1970, 1, 1)).total_seconds()
        except ValueError:
            pass
    return float(text)


def is_anomalous(text: str) -> bool:
    """"A ttack" is a typing error of the published files."""
    word = text.replace(" ", "").lower()
    return word == "attack" if word in ("normal", "attack") else float(word.replace(",", ".")) != 0


def read_csv(path: Path, series: dict) -> tuple:
    """Rows [time, sensors] float64, and the runs [first, last) of consecutive normal rows."""
    label, when, skipped = series.get("label_column", ""), series.get("time_column", ""), series.get("skip_columns", [])
    lines = path.read_bytes().decode("utf-8-sig").splitlines()
    delimiter = ";" if ";" in lines[0] else "\t" if "\t" in lines[0] else ","
    table = list(csv.reader(lines, delimiter=delimiter))
    head = next((i for i in range(2) if {label, when} & {name.strip() for name in table[i]} - {""}), 0)
    names = [name.strip() for name in table[head]]
    sensors = [i for i, name in enumerate(names) if name not in {label, when, *skipped}]
    body = [row for row in table[head + 1:] if row]
    short = [i for i, row in enumerate(body) if len(row) != len(names)]
    if short:
        raise ValueError(f"{path}: row {head + 2 + short[0]} has {len(body[short[0]])} fields; the header has {len(names)}")
    rows = np.array([[float(row[i].replace(",", ".")) for i in sensors] for row in body])
    normal = np.ones(len(rows), bool)
    if label in names:
        normal = np.array([not is_anomalous(row[names.index(label)]) for row in body])
    breaks = np.zeros(len(rows), bool)
    if when in names:
        steps = np.diff([seconds_of(row[names.index(when)]) for row in body])
        moves = np.sort(steps[steps > 0])
        breaks[1:] = steps > GAP * (moves[len(moves) // 2] if len(moves) else 0)
    runs, first = [], 0
    for i in range(len(rows) + 1):
        if i == len(rows) or breaks[i] or not normal[i]:
            runs.append((first, i))
            first = i if i < len(rows) and normal[i] else i + 1
    return rows, [(a, b) for a, b in runs if b > a]


def read_series(data: dict) -> tuple:
    """All normal training rows [time, sensors], and their runs."""
    parts, runs, at = [], [], 0
    for path in training_files(data):
        if data["format"] == "npy":
            rows = np.load(path, allow_pickle=False).astype(np.float64)
            found = [(0, len(rows))]
        else:
            rows, found = read_csv(path, data["series"])
        if rows.ndim != 2 or not np.isfinite(rows).all() or (parts and rows.shape[1] != parts[0].shape[1]):
            raise ValueError(f"{path}: not a table of finite numbers with as many sensors as the other files")
        for first, last in found:
            parts.append(rows[first:last])
            runs.append((at, at + last - first))
            at += last - first
    return np.concatenate(parts), runs


def scaled(rows: np.ndarray, series: dict) -> np.ndarray:
    """(x - offset) / scale per sensor; unless given, smallest value and range of the rows, or 1 for a constant sensor."""
    offset, scale = np.array(series.get("offset", [])), np.array(series.get("scale", []))
    if offset.size == 0:
        offset, scale = rows.min(0), rows.max(0) - rows.min(0)
        scale[scale == 0] = 1
    return ((rows - offset) / scale).astype(np.float32)


def train(model: nn.Module, rows: torch.Tensor, starts: torch.Tensor, window: int, args: argparse.Namespace) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.steps)
    span, started, total = torch.arange(window), time.monotonic(), 0.0
    model.train()
    for step in range(1, args.steps + 1):
        picked = starts[torch.randint(len(starts), (args.batch,))]
        batch = rows[picked[:, None] + span]  # [batch, window, sensors]
        loss = nn.functional.mse_loss(model(batch), batch)
        descend(loss, optimiser, schedule)
        total += loss.item()
        if step % 50 == 0 or step == args.steps:
            print(f"step {step:5d}/{args.steps}  mean squared error {total / (step % 50 or 50):.6f}  {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the convolutional autoencoder of a series config and export it as float ONNX.",
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("config", type=Path, help="config of qnudge whose data are CSV or NPY series")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), required=True, help="channels and kernels")
    parser.add_argument("--out", type=Path, help="ONNX file to write; unset: the config's model")
    parser.add_argument("--steps", type=positive, default=1000, help="batches of training")
    parser.add_argument("--batch", type=positive, default=64, help="windows per step")
    parser.add_argument("--lr", type=float, default=0.001, help="first learning rate")
    parser.add_argument("--seed", type=int, default=1, help="of initial weights and drawn windows")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    try:
        config = json.loads(args.config.read_text())
        data = config["data"]
        if data["format"] not in ("csv", "npy"):
            raise ValueError(f"{args.config}: data.format is '{data['format']}'; an autoencoder is trained on csv or npy")
        window = data["series"]["window"]
        out = args.out or expand(config["model"])
        rows, runs = read_series(data)
        starts = [torch.arange(first, last - window + 1) for first, last in runs if last - first >= window]
        if not starts:
            raise ValueError(f"{args.config}: no training series is as long as a window of {window} rows")
    except (OSError, KeyError, ValueError) as error:
        print(f"train_autoencoder.py: {error}", file=sys.stderr)
        return 3
    starts = torch.cat(starts)
    print(f"{len(starts)} windows of {window} x {rows.shape[1]} in {len(runs)} series", flush=True)
    model = autoencoder(window, args.architecture)
    torch_to_onnx(model, (window, rows.shape[1]), "output")  # fail now rather than after the training
    train(model, torch.from_numpy(scaled(rows, data["series"])), starts, window, args)
    write_file(out, torch_to_onnx(model, (window, rows.shape[1]), "output"))
    print(f"wrote {out} ({out.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
