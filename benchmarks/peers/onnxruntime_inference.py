#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plain inference: qnudge's integer evaluation against ONNX Runtime, fp32 and int8, on the same network.

The float model is the config's, the int8 model the tuned.onnx (QDQ) of a run of it; ONNX Runtime gets its graph
optimisations, the same number of threads and the fastest of several batch sizes each. qnudge's number is "plain
inference" of `qnudge bench tuning`: the host executor on its own tiles, from input codes to fitness. All three take
turns, --repeats times, so that a busy machine slows each of them; medians, minima and maxima are reported. Images are
random for ONNX Runtime, because they do not change its time.

How to read the result: images per second; one JSON line goes to standard output, one line for humans per engine to
standard error. Needs NumPy and onnxruntime.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

class Runtime:
    """One model in ONNX Runtime."""

    def __init__(self, path: str, threads: int, images: int, batches: list):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        source = self.session.get_inputs()[0]
        self.name, shape = source.name, source.shape[1:]
        self.images = np.random.default_rng(1).normal(size=(images, *shape)).astype(np.float32)
        self.run(batches[0])  # warm-up
        self.batch = max(batches, key=self.run)

    def run(self, batch: int = 0) -> float:
        """Images per second over all images."""
        batch = batch or self.batch
        started = time.perf_counter()
        for first in range(0, len(self.images), batch):
            self.session.run(None, {self.name: self.images[first:first + batch]})
        return len(self.images) / (time.perf_counter() - started)


def qnudge_rate(args: argparse.Namespace) -> float:
    """Images per second of the host executor; as little of the search as the command allows."""
    command = [args.qnudge, "bench", "tuning", args.config, "--layers", args.layer, "--generations", "1", "--repeats", "1",
               "--threads", str(args.threads), "--backend", "host", "--json", "--quiet"]
    for setting in (f"data.fitness={args.images}", f"data.calibration={args.images}", "data.gate=1", "search.parents=1",
                    "search.offspring=1", *args.set):
        command += ["--set", setting]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["inference_images_per_second"]


def summary(rates: list) -> dict:
    return {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--qnudge", default="build/host/bin/qnudge", help="program")
    parser.add_argument("--config", required=True, help="config of the run")
    parser.add_argument("--float", required=True, dest="float_model", help="float ONNX model of that config")
    parser.add_argument("--int8", required=True, dest="int8_model", help="tuned.onnx of a run of that config")
    parser.add_argument("--layer", required=True, help="a small layer for the search that the bench wants, e.g. the last")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="more settings for qnudge")
    parser.add_argument("--images", type=int, default=64, help="images per measurement")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="batch sizes that ONNX Runtime may choose from")
    parser.add_argument("--threads", type=int, default=2, help="threads for each")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    float32 = Runtime(args.float_model, args.threads, args.images, args.batches)
    int8 = Runtime(args.int8_model, args.threads, args.images, args.batches)
    engines = {"onnxruntime fp32": float32.run, "onnxruntime int8": int8.run, "qnudge int8": lambda: qnudge_rate(args)}
    rates = {name: [] for name in engines}
    for _ in range(args.repeats):
        for name, measure in engines.items():
            rates[name].append(measure())
    results = {name: summary(values) for name, values in rates.items()}
    for name, result in results.items():
        print(f"{name:17} {result['median']:8.1f} images/s ({result['min']:.1f} to {result['max']:.1f})", file=sys.stderr)
    print(json.dumps({"onnxruntime": onnxruntime.__version__, "threads": args.threads, "images": args.images,
                      "batch_fp32": float32.batch, "batch_int8": int8.batch, "images_per_second": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
