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
  devices) printf '{\n  "cuda": {\n    "nvrtc": "%s",\n    "usable": %s,\n    "devices": []\n  }\n}\n' "$NVRTC" "$USABLE" ;;
  tune)
    while [[ $# -gt 0 && "$1" != --out ]]; do shift; done
    mkdir -p "$2" && echo same >"$2/tuned.onnx"
    echo '{"tuned": true}' ;;
  check) cp "$RESULT" "$RESULT.early" && echo '{}' ;;
  bench) [[ "$*" != *autotune* || -z "$BROKEN" ]] || sleep 100; echo '{"bench": true}' ;;
esac
"""
TESTS = r"""#!/bin/bash
if [[ "$*" == *list_tests* ]]; then
  printf 'Running main()\nGpuConv.\n  Fails\nGpuGraph.\n  Hangs\n  Passes\nGpuTuner.\n  Passes\n'
  exit
fi
[[ "$*" != *Hangs* || -z "$BROKEN" ]] || sleep 100
for word in "$@"; do [[ "$word" != *output=json:* ]] || printf '{\n "tests": 1\n}\n' >"${word#*json:}"; done
if [[ "$*" == *Fails* && -n "$BROKEN" ]]; then echo 'not "equal"'; exit 1; fi
"""
OTHERS = {
    "bin/qnudge_conv_benchmark": "#!/bin/bash\necho '{}'\n",
    "tools/compute-sanitizer": "#!/bin/bash\nexit 3\n",
    # Limits are two seconds here.
    "tools/timeout": f'#!/bin/bash\nshift 2\nexec {shutil.which("timeout")} --kill-after=1 2 "$@"\n',
    "tools/python3": "#!/bin/bash\necho searched >>\"$RESULT.searched\"\n",
}


def check(script, broken="", nvrtc="13.0", usable="true"):
    """The exit code, what was written at the end and when the first comparison began, whether Python was asked."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {"bin/qnudge": QNUDGE, "bin/qnudge_gpu_tests": TESTS, **OTHERS}.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        shutil.copy(script, root / "gpu_check.sh")
        result = root / "result.json"
        environment = dict(os.environ, PATH=f"{root}/tools:{os.environ['PATH']}", BROKEN=broken, NVRTC=nvrtc,
                           USABLE=usable, RESULT=str(result))
        environment.pop("QNUDGE_CHECK_BACKEND", None)
        code = subprocess.run([root / "gpu_check.sh", result], env=environment, stderr=subprocess.DEVNULL).returncode
        early = root / "result.json.early"
        return (code, json.loads(result.read_text()), json.loads(early.read_text()) if early.exists() else None,
                (root / "result.json.searched").exists())


def expect(condition, what):
    if not condition:
        sys.exit(f"gpu_check_test: {what}")


def main():
    script = sys.argv[1]
    code, result, early, searched = check(script, broken="yes")
    expect(code == 1 and result["passed"] is False, "a test failed, and the whole passed")
    tests = result["tests"]["output"]
    expect(tests["GpuGraph.Hangs"]["exit_code"] == 124, "a test without end has ended")
    expect(tests["GpuGraph.Passes"]["exit_code"] == 0 and tests["GpuTuner.Passes"]["exit_code"] == 0,
           "a test's result is lost by another's failure")
    expect("not \"equal\"" in tests["GpuConv.Fails"]["output"], "why a test failed is not said")
    expect(set(result["tests_report"]) == {"GpuConv.Fails", "GpuGraph.Passes", "GpuTuner.Passes"}, "reports are lost")
    expect(early["tests"] == result["tests"] and "passed" not in early, "results are not written as they come")
    expect(result["bench_autotuned"]["exit_code"] == 124, "a step without end has ended")
    expect(result["same_files_channel"]["output"] == {"equal": True}, "steps behind one without end are lost")
    expect(result["compute-sanitizer"]["exit_code"] == 3, "the sanitizer is left out")
    expect(not searched, "Python was asked for libraries that are there")
    keys = list(result)
    expect(keys.index("tests") < keys.index("same_files") < keys.index("tune_autotuned") < keys.index("bench_on_device"),
           "what says most does not come first")

    code, result, _, searched = check(script, usable="false")
    expect(code == 4 and searched and "tests" not in result, "went on without a device")
    code, result, _, searched = check(script, nvrtc="NVRTC 13 cannot be loaded")
    expect(searched, "cuDNN without NVRTC was left alone")
    expect(code == 0 and result["passed"] is True, "nothing failed but the sanitizer, which says nothing about qnudge")


if __name__ == "__main__":
    main()
