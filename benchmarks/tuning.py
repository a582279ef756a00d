#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tuning throughput in one go: qnudge over population sizes, chunks, streams and images, the PyTorch peers beside it on
the same device, one table and one plot.

    benchmarks/tuning.py CONFIG.json                          on the GPU: OUT.json, OUT.svg, a table on stdout
    benchmarks/tuning.py CONFIG.json --backend host --peer 'python3 benchmarks/peers/pytorch_loop.py --model resnet8'

Peers are commands that print one JSON object with candidate_images_per_second; on the GPU they default to both ways of
benchmarks/peers/pytorch_gpu.py. A peer that fails is named and left out. The plot needs matplotlib; without it there is
none, and a sentence says so.
"""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VARIED = {
    "host": ["search.offspring=1,8,32,128", "data.fitness=256,512,1024", "threads=1,2"],
    "cuda": ["search.offspring=1,4,16,32,64,128,256", "data.fitness=250,500,1000,2000", "device.images=8,16,32,64,128",
             "device.streams=1,2,4,8", "device.graphs=true,false", "device.autotune=true,false"],
}


def run_json(command: list) -> dict:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def run_peers(commands: list) -> list:
    peers = []
    for command in commands:
        print(f"peer: {command}", file=sys.stderr)
        try:
            peers.append({"command": command, **run_json(shlex.split(command))})
        except (RuntimeError, ValueError) as error:
            print(f"peer left out: {error}", file=sys.stderr)
    return peers


def markdown(result: dict) -> str:
    plain = result["qnudge"]["inference_images_per_second"]
    rows = [("qnudge", result["qnudge"])] + [(v["setting"], v) for v in result["qnudge"]["varied"]]
    lines = [f"{result['qnudge']['device']}", "", "| what | P | images | candidate-images/s | times plain inference |", "|---|---|---|---|---|"]
    for name, row in rows:
        rate = row["candidate_images_per_second"]
        lines.append(f"| {name} | {row['offspring']} | {row['images']} | {rate:,.0f} | {rate / row.get('inference_images_per_second', plain):.2f} |")
    for peer in result["peers"]:
        rate = peer["candidate_images_per_second"]["median"]
        ours = result["qnudge"]["candidate_images_per_second"] / rate
        lines.append(f"| {peer['peer']} (qnudge is {ours:.1f} times that) | {peer['candidates']} | {peer['images']} | {rate:,.0f} | |")
    return "\n".join(lines)


def plot(result: dict, path: pathlib.Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    keys = list(dict.fromkeys(v["setting"].split("=")[0] for v in result["qnudge"]["varied"]))
    figure, all_axes = pyplot.subplots(1, len(keys), figsize=(3.2 * len(keys), 3.4), sharey=True, squeeze=False, layout="constrained")
    for axes, key in zip(all_axes[0], keys):
        points = [v for v in result["qnudge"]["varied"] if v["setting"].split("=")[0] == key]
        labels = [p["setting"].split("=")[1] for p in points]
        axes.plot(labels, [p["candidate_images_per_second"] for p in points], marker="o", color="#1f5fa8", label="qnudge")
        axes.plot(labels, [p["inference_images_per_second"] for p in points], marker=".", linestyle="--", color="#777777", label="plain inference")
        for peer, style in zip(result["peers"], (":", "-.")):
            axes.axhline(peer["candidate_images_per_second"]["median"], linestyle=style, color="#b3541e", label=peer["peer"])
        axes.set_xlabel(key)
        axes.set_ylim(bottom=0)
        axes.grid(True, axis="y", alpha=0.3)
    all_axes[0][0].set_ylabel("candidate-images per second")
    all_axes[0][0].legend(fontsize=7)
    figure.suptitle(result["qnudge"]["device"], fontsize=9)
    figure.savefig(path)
    print(f"plot in {path}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("config")
    add("--qnudge", default=str(HERE.parent / "build/cuda/bin/qnudge"), help="the program (default build/cuda/bin/qnudge)")
    add("--backend", choices=sorted(VARIED), default="cuda")
    add("--vary", action="append", metavar="KEY=VALUE,VALUE...", help="instead of the usual keys; can be given repeatedly")
    add("--set", action="append", default=[], metavar="KEY=VALUE")
    add("--layers", default="all", help="layers to time (default all)")
    add("--peer", action="append", metavar="COMMAND", help="instead of the usual peers; can be given repeatedly")
    add("--out", default="tuning", metavar="OUT", help="name of the results without ending (default tuning)")
    args = parser.parse_args()

    command = [args.qnudge, "bench", "tuning", args.config, "--backend", args.backend, "--layers", args.layers, "--json"]
    for setting in args.set:
        command += ["--set", setting]
    for setting in args.vary or VARIED[args.backend]:
        command += ["--vary", setting]
    print(shlex.join(command), file=sys.stderr)
    try:
        measured = run_json(command)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"tuning.py: {error}", file=sys.stderr)
        return 1
    usual = [f"{sys.executable} {HERE}/peers/pytorch_gpu.py --way {way}" for way in ("loop", "stack")] if args.backend == "cuda" else []
    result = {"command": shlex.join(command), "qnudge": measured, "peers": run_peers(args.peer if args.peer is not None else usual)}
    out = pathlib.Path(args.out)
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(markdown(result))
    plot(result, out.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
