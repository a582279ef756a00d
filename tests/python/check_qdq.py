#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a QDQ model with ONNX Runtime's graph optimisations and compares it with qnudge.

Two things must hold: every convolution and matrix product runs in an integer kernel (except those that qnudge itself
writes for float kernels: transposed convolutions, and a convolution that is the network's output), and the predictions
agree with the expected ones, image by image. With --half, for half activations, nothing runs in integer kernels, sums
are rounded, and predictions need to agree on 999 of 1,000 images. With --near, for normalisations and products of
activations, which run in float, predictions need to agree on 995 of 1,000 images and outputs to 40 dB. Exit code 0 if
so, else 1.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}
INTEGER_LAYERS = {"QLinearConv", "QGemm", "QLinearMatMul"}


def float_by_design(model):
    """Layers followed by a Mul with their scales: exact in float."""
    mul_inputs = {name for node in model.graph.node if node.op_type == "Mul" for name in node.input}
    return [node for node in model.graph.node if node.op_type in LAYERS and node.output[0] in mul_inputs]


def run(model_path, images, batch, threads):
    """The outputs for all images, and the graph that was really executed."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Without it, CPUs before VNNI sum pairs of products in 16 bits, which saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    with tempfile.TemporaryDirectory() as folder:
        optimised = pathlib.Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(optimised)
        session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        outputs = [session.run(None, {name: images[i : i + batch]})[0] for i in range(0, len(images), batch)]
        return np.concatenate(outputs), onnx.load(str(optimised))


def leftovers(model, executed):
    """Layers of the model that ONNX Runtime left in float against qnudge's intention."""
    total = sum(node.op_type in LAYERS for node in model.graph.node)
    meant = len(float_by_design(model))
    integer = sum(node.op_type in INTEGER_LAYERS for node in executed.graph.node)
    floats = [f"{node.op_type} {node.name}" for node in executed.graph.node if node.op_type in LAYERS]
    print(f"layers: {total}, in integer kernels: {integer}, in float by design: {meant}")
    kept = sorted({n.op_type for n in executed.graph.node} - INTEGER_LAYERS)
    print(f"other operators executed: {' '.join(kept)}")
    if integer + meant == total and len(floats) == meant:
        return []
    return floats or ["a layer has vanished"]


def predictions(values):
    """Class per image and position, ties to the lower class."""
    return values if values.ndim == 1 else np.argmax(values, axis=1)


def check(model_path, inputs_path, expected_path, args):
    """Prints the comparison; True if everything is as it should be."""
    print(f"model: {model_path}")
    model = onnx.load(model_path)
    onnx.checker.check_model(model, full_check=True)
    expected = np.load(expected_path)
    actual, executed = run(model_path, np.load(inputs_path), args.batch, args.threads)
    floats = [] if args.half or args.near else leftovers(model, executed)
    for layer in floats:
        print(f"not in an integer kernel: {layer}")
    if len(expected) != len(actual) or (expected.ndim > 1 and expected.shape != actual.shape):
        print(f"shapes differ: {actual.shape}, expected {expected.shape}")
        return False
    same = (predictions(actual) == predictions(expected)).reshape(len(expected), -1).all(axis=1)
    print(f"predictions agree: {same.sum()} of {same.size} images")
    if not same.all():
        print(f"first image that differs: {np.flatnonzero(~same)[0]}")
    exact = True
    if expected.ndim > 1:
        equal = actual == expected
        print(f"outputs bit-equal: {equal.sum()} of {equal.size}")
        exact = equal.all() or not args.exact
        if args.near:
            noise = np.square(actual - expected, dtype=np.float64).sum()
            decibels = 10 * np.log10(np.square(expected, dtype=np.float64).sum() / max(noise, 1e-30))
            print(f"signal over difference: {decibels:.1f} dB")
            exact = decibels >= 40
    agreed = same.mean() >= (0.999 if args.half else 0.995 if args.near else 1)
    return not floats and agreed and exact


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files",
        nargs="+",
        metavar="MODEL INPUTS EXPECTED",
        help="any number of triples: QDQ model; .npy, float32 [N, C, H, W] or [N, C, L]; .npy, float32 logits of the "
        "output's shape, or integer predictions [N]",
    )
    parser.add_argument("--exact", action="store_true", help="fail also where an output differs in any bit")
    parser.add_argument("--half", action="store_true", help="the model has half activations")
    parser.add_argument("--near", action="store_true", help="parts of the model run in float by design")
    parser.add_argument("--batch", type=int, default=256, help="images per run")
    parser.add_argument("--threads", type=int, default=2, help="threads of ONNX Runtime")
    args = parser.parse_args()
    if len(args.files) % 3 != 0:
        parser.error("files come in threes: model, inputs, expected")
    triples = zip(args.files[0::3], args.files[1::3], args.files[2::3])
    results = [check(*triple, args) for triple in triples]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
