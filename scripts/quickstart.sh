#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh clone to a tuned network: installs what is missing, builds qnudge, tunes the ResNet-8 of models/ on
# Fashion-MNIST at 4 bits and shows the result. Interrupted, it goes on where it stopped; finished, it shows the result
# again. Arguments are passed on to `qnudge tune`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

readonly log=build/quickstart.log run=runs/quickstart qnudge=build/host/bin/qnudge

step() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }
# Runs a command with its output in the log, which is shown only if the command fails.
logged() {
  "$@" >"$log" 2>&1 || {
    local code=$?
    tail -n 60 "$log" >&2
    step "failed: $*; the whole output is in $log" >&2
    exit "$code"
  }
}

step "looking for missing packages"
scripts/install_dependencies.sh
mkdir -p build
step "configuring build/host"
logged cmake --preset host
step "building qnudge with $(nproc) jobs"
if [[ -t 1 ]]; then
  cmake --build build/host --target qnudge
else
  logged cmake --build build/host --target qnudge
fi

resume=()
if [[ -f "$run/checkpoint.bin" ]]; then resume=(--resume); fi
step "tuning: $qnudge tune configs/quickstart.json ${resume[*]} $*"
code=0
"$qnudge" tune configs/quickstart.json "${resume[@]}" "$@" || code=$?
case "$code" in
  0) step "done; the run folder is $run (tuned.onnx, report.json, history.jsonl, sensitivity.json)" ;;
  5) step "interrupted; run scripts/quickstart.sh again to go on" ;;
  *) if [[ ${#resume[@]} != 0 ]]; then step "failed; to begin anew, delete $run" >&2; fi ;;
esac
exit "$code"
