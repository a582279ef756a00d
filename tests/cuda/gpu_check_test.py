#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs scripts/gpu_check.sh on stand-ins for its programs: what it writes must hold whatever becomes of a step.

gpu_check_test.py SCRIPT
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

QNUDGE = r"""#!/bin/bash
case "$1" in
  --version) echo "qnudge 1" ;;
  devices)
    if [[ "$*" == *--try* ]]; then echo '{"graphs": [{"problem": ""}]}'; exit; fi
    printf '{\n  "cuda": {\n    "nvrtc": "%s",\n    "usable": %s,\n    "devices": []\n  }\n}\n' "$NVRTC" "$USABLE" ;;
  tune)
    while [[ $# -gt 0 && "$1" != --out ]]; do shift; done
    mkdir -p "$2" "$QNUDGE_PLAN_CACHE"
    [[ -n "$TUNES_NOTHING" ]] || echo same >"$2/tuned.onnx"
    [[ ! -e "$QNUDGE_PLAN_CACHE/plans.json" ]] || touch "$OUT/plans.were.there"
    echo made >"$QNUDGE_PLAN_CACHE/plans.json"
    echo '{"tuned": true}' ;;
  check)
    cp "$OUT/gpu_check.jsonl" "$OUT/early"
    printf 'x%.0s' {1..3001} >&2; printf '\u00e9%.0s' {1..1000} >&2; printf . >&2; echo '{}' ;;
  bench) [[ "$*" != *autotune* || -z "$BROKEN" ]] || sleep 100; printf '{\n "bench": "%s"\n}\n' "$*" ;;
esac
"""
TESTS = r"""#!/bin/bash
if [[ "$*" == *list_tests* ]]; then
  printf 'Running main()\nGpuConv.\n  Fails/wide5  # GetParam() = x\nGpuGraph.\n  Hangs\n  Passes\nGpuTuner.\n  Passes/0\n'
  exit
fi
[[ "$*" != *Hangs* || -z "$BROKEN" ]] || sleep 100
for word in "$@"; do [[ "$word" != *output=json:* ]] || printf '{\n "tests": 1\n}\n' >"${word#*json:}"; done
if [[ "$*" == *Fails* && -n "$BROKEN" ]]; then echo 'not "equal"'; exit 1; fi
"""
# Rows that are there when time runs out are kept.
CONVOLUTIONS = r"""#!/bin/bash
echo '{"microseconds": 1}'; echo noise; echo '{"microseconds": 2}'
[[ -z "$BROKEN" ]] || sleep 100
"""
PYTHON = r"""#!/bin/bash
if [[ "$1" == *export_model.py ]]; then
  [[ -z "$NO_TORCH" ]] || { echo "no torch" >&2; exit 1; }
  while [[ "$1" != --out ]]; do shift; done
  echo model >"$2"
  exit
fi
[[ "$1" == *pytorch_gpu.py ]] || echo searched >>"$OUT/searched"
"""
OTHERS = {
    "bin/qnudge": QNUDGE,
    "bin/qnudge_gpu_tests": TESTS,
    "bin/qnudge_conv_benchmark": CONVOLUTIONS,
    "tools/compute-sanitizer": "#!/bin/bash\nexit 3\n",
    # Limits are two seconds here.
    "tools/timeout": f'#!/bin/bash\nshift 2\nexec {shutil.which("timeout")} --kill-after=1 2 "$@"\n',
    "tools/python3": PYTHON,
}


class Check:
    """A folder with the script and its stand-ins, and the results of its last run."""

    def __init__(self, script):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.out = self.root / "results"
        for name, text in OTHERS.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)
        shutil.copy(script, self.root / "gpu_check.sh")

    def run(self, *arguments, **variables):
        """The exit code; `lines` holds what was written."""
        settings = {"BROKEN": "", "NVRTC": "13.0", "USABLE": "true", "NO_TORCH": "", "TUNES_NOTHING": "", **variables}
        environment = dict(os.environ, PATH=f"{self.root}/tools:{os.environ['PATH']}", OUT=str(self.out), **settings)
        for name in ("QNUDGE_CHECK_BACKEND", "QNUDGE_CHECK_BIN", "QNUDGE_TORCH", "QNUDGE_CHECK_PLANS"):
            environment.pop(name, None)
        code = subprocess.run([self.root / "gpu_check.sh", *arguments], env=environment, stderr=subprocess.DEVNULL).returncode
        self.lines = read_lines(self.out / "gpu_check.jsonl")
        return code

    def of(self, step):
        return [line for line in self.lines if line["step"] == step]

    def steps(self):
        return list(dict.fromkeys(line["step"] for line in self.lines))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def expect(condition, what):
    if not condition:
        sys.exit(f"gpu_check_test: {what}")


def expect_results_whatever_breaks(script):
    check = Check(script)
    expect(check.run(BROKEN="yes") == 1, "a test failed, and the whole passed")
    expect(check.of("end")[0]["passed"] is False, "a test failed, and the file says it passed")
    tests = {line["test"]: line for line in check.of("tests") if "test" in line}
    expect(tests["GpuGraph.Hangs"]["exit_code"] == 124, "a test without end has ended")
    expect(tests["GpuGraph.Hangs"]["report"] is None and tests["GpuGraph.Passes"]["report"] == {"tests": 1}, "reports are lost")
    expect(tests["GpuGraph.Passes"]["exit_code"] == 0 and tests["GpuTuner.Passes/0"]["exit_code"] == 0,
           "a test's result is lost by another's failure")
    expect('not "equal"' in tests["GpuConv.Fails/wide5"]["output"], "why a test failed is not said")
    rows = [line["row"] for line in check.of("convolutions") if "row" in line]
    expect(rows == [{"microseconds": 1}, {"microseconds": 2}], "rows are lost when time runs out")
    early = read_lines(check.out / "early")
    expect(check.lines[:len(early)] == early and early[-1]["step"] != "end", "results are not written as they come")
    expect(check.of("bench_resnet18_32_autotuned")[0]["exit_code"] == 124, "a step without end has ended")
    expect(check.of("same_files_channel")[0]["output"] == {"equal": True}, "steps behind one without end are lost")
    expect(check.of("compute-sanitizer")[0]["exit_code"] == 3, "the sanitizer is left out")
    expect("\u00e9" in check.of("check")[0]["errors"], "a text that was cut within a character is lost")
    expect(not (check.out / "searched").exists(), "Python was asked for libraries that are there")
    steps = check.steps()
    order = ["devices", "graphs", "tests", "convolutions", "bench_resnet18_32", "bench_resnet18_32_streams_2", "same_files",
             "same_files_best", "bench_resnet18_224", "compute-sanitizer", "check_half", "end"]
    expect([s for s in steps if s in order] == order, f"what says most does not come first: {steps}")
    for name in ("conv1", "--generations 100", "data.fitness=1000", "resnet18_cifar100.onnx"):
        expect(name in check.of("bench_resnet18_32")[0]["output"]["bench"], f"the goals are not measured: no {name}")


def expect_parts_and_plans(script):
    check = Check(script)
    expect(check.run("first") == 0, "the first part failed")
    expect("convolutions" in check.steps() and "same_files" not in check.steps(), "the first part is not the first part")
    expect(check.run("rest") == 0, "the rest failed")
    steps = check.steps()
    expect("convolutions" in steps and "same_files" in steps, "the rest has erased the first part")
    expect([line["passed"] for line in check.of("end")] == [True, True], "a part does not say how it ended")
    (check.out / "plans.were.there").unlink()
    expect(check.run("rest") == 0 and (check.out / "plans.were.there").exists(), "plans were not kept for the next run")
    expect(check.run("second") == 2, "an unknown part ran")


def expect_refusals(script):
    check = Check(script)
    expect(check.run(USABLE="false") == 4 and "tests" not in check.steps(), "went on without a device")
    expect((check.out / "searched").exists() and check.of("end")[0]["passed"] is False, "a useless device passed")
    (check.out / "searched").unlink()
    expect(check.run(NVRTC="NVRTC 13 cannot be loaded") == 0, "nothing failed but the sanitizer, which says nothing about qnudge")
    expect((check.out / "searched").exists(), "cuDNN without NVRTC was left alone")
    expect(check.run(NO_TORCH="yes") == 0 and "no torch" in check.of("resnet18_cifar100")[0]["errors"],
           "a network that cannot be exported is not named")
    expect(check.of("same_files")[0]["exit_code"] == 0, "without PyTorch all else is lost")
    expect(check.run("rest", TUNES_NOTHING="yes") == 1 and check.of("same_files")[-1]["exit_code"] == 1,
           "two runs that wrote nothing are equal")
    expect(check.run(QNUDGE_CHECK_SECONDS="4") == 0, "no time was taken for a failure")
    left_out = [line["step"] for line in check.lines if line.get("left_out") == "no time"]
    expect("same_files" in left_out and "bench_on_host" in left_out, f"went on behind the deadline: {left_out}")


def main():
    script = sys.argv[1]
    expect_results_whatever_breaks(script)
    expect_parts_and_plans(script)
    expect_refusals(script)


if __name__ == "__main__":
    main()
