#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks qnudge on a GPU and writes one JSON with the device, versions, tests, comparisons and benchmarks, to be
# committed under benchmarks/results/. Needs no package manager and no network; ends within ten minutes.
#
#   ./gpu_check.sh [RESULT.json]           from an unpacked bundle (cpack -G TGZ in build/cuda)
#   scripts/gpu_check.sh [RESULT.json]     from a repository with build/cuda built
#
# cuDNN, cuBLAS and NVRTC are taken from the system or from Python's packages (PyTorch brings them).
# QNUDGE_CHECK_BACKEND=host runs the whole of it on the host backend, to try the script itself.
# Exit codes: 0 all passed, 1 something differs or failed, 4 there is no usable GPU.
set -uo pipefail
here="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
if [[ -d "$here/bin" ]]; then
  root="$here" bin="$here/bin" data="$here/data"
  export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
else
  root="$(dirname "$here")" bin="$root/build/cuda/bin" data=/usr/share/datasets/fashion-mnist
fi
result="$(realpath -m "${1:-gpu_check.json}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$root"

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
readonly backend="${QNUDGE_CHECK_BACKEND:-cuda}"
usable() {
  [[ "$backend" != cuda ]] || "$bin/qnudge" devices --json 2>/dev/null | grep -A4 '^  "cuda": {' | grep -q '"usable": true'
}

# Folders of the CUDA libraries that Python's packages bring.
find_libraries() {
  local python folder
  for python in python3 python; do
    command -v "$python" >/dev/null || continue
    for folder in $("$python" -c '
import site, sysconfig, glob
for place in dict.fromkeys([sysconfig.get_paths()["purelib"], *site.getsitepackages(), site.getusersitepackages()]):
    print(*glob.glob(place + "/nvidia/*/lib"), sep="\n")' 2>/dev/null); do
      export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}:$folder"
    done
  done
}

# Any text as a JSON string.
json_string() {
  printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}
entries=() failed=0
# Adds "name": value, the value being JSON already.
add() { entries+=("$(json_string "$1"): $2"); }
# Runs a step with a time limit; its stdout must be JSON, or becomes a string. The whole ends within ten minutes: what
# finds no time left is named and not run.
step() {
  local name=$1 limit=$2 code=0 begun=$SECONDS out left=$((590 - SECONDS))
  shift 2
  if ((left < 5)); then
    say "$name: left out, no time"
    add "$name" '"left out: no time"'
    return
  fi
  if ((limit > left)); then limit=$left; fi
  say "$name"
  timeout --kill-after=10 "$limit" "$@" >"$work/out" 2>"$work/err" || code=$?
  out="$(cat "$work/out")"
  [[ "$out" == "{"* ]] || out="$(json_string "$(tail -c 4000 "$work/out")")"
  [[ $code == 0 ]] || failed=1
  [[ $code == 0 ]] || { tail -n 20 "$work/err" >&2; say "$name failed with exit code $code"; }
  add "$name" "{\"exit_code\": $code, \"seconds\": $((SECONDS - begun)), \"output\": $out, \"errors\": $(json_string "$(tail -c 2000 "$work/err")")}"
}
finish() {
  local i
  {
    echo "{"
    for i in "${!entries[@]}"; do
      printf ' %s%s\n' "${entries[$i]}" "$([[ $i == $((${#entries[@]} - 1)) ]] || echo ,)"
    done
    echo "}"
  } >"$result"
  say "written to $result"
}

usable || find_libraries
add "when" "$(json_string "$(date -u +%Y-%m-%dT%H:%MZ)")"
add "version" "$(json_string "$("$bin/qnudge" --version)")"
add "nvidia_smi" "$(json_string "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>&1)")"
step devices 60 "$bin/qnudge" devices --json
if ! usable; then
  "$bin/qnudge" devices >&2
  failed=1
  finish
  exit 4
fi

# Idle threads must not burn what others could use.
export OMP_WAIT_POLICY=passive
export QNUDGE_PLAN_CACHE="$work/plans"
config="configs/checks/gpu.json"
set_data=()
for set in train=train test=t10k; do
  for kind in images=images-idx3 labels=labels-idx1; do
    set_data+=(--set "data.${set%=*}_${kind%=*}=$data/${set#*=}-${kind#*=}-ubyte.gz")
  done
done
tune=("$bin/qnudge" tune "$config" "${set_data[@]}" -q --json)
bench=("$bin/qnudge" bench tuning "$config" "${set_data[@]}" --json)
fit=("$bin/qnudge" tune configs/checks/gpu_recipes.json "${set_data[@]}" -q --json)
same_files='for f in history.jsonl tuned.onnx sensitivity.json reference.bin; do
  [[ ! -e "$0/first/$f" && ! -e "$0/second/$f" ]] || cmp "$0/first/$f" "$0/second/$f" || exit 1
done
echo "{\"equal\": true}"'

step tests 300 "$bin/qnudge_gpu_tests" --gtest_brief=1 --gtest_output=json:"$work/tests.json"
if [[ -f "$work/tests.json" ]]; then add tests_report "$(cat "$work/tests.json")"; fi
step check 120 "$bin/qnudge" check "$config" "${set_data[@]}" --backends "reference,host,$backend" --images 16 --json
step check_half 120 "$bin/qnudge" check "$config" "${set_data[@]}" --set quant.activations=half \
  --backends "reference,host,$backend" --images 16 --json
step tune_half_on_device 120 "${tune[@]}" --backend "$backend" --set quant.activations=half --set search.generations=2 \
  --out "$work/half"
step tune_on_host 120 "${tune[@]}" --backend host --out "$work/first"
step tune_on_device 120 "${tune[@]}" --backend "$backend" --out "$work/second"
step same_files 10 bash -c "$same_files" "$work"
# Stored plans, generations one by one, engines chosen by time, little memory: never another byte.
again() {
  local name=$1
  shift
  rm -rf "$work/second"
  step "tune_$name" 90 "${tune[@]}" --backend "$backend" --out "$work/second" "$@"
  step "same_files_$name" 10 bash -c "$same_files" "$work"
}
again with_stored_plans
again one_by_one --set device.graphs=false
again autotuned --set device.autotune=true
again in_little_memory --set device.memory_mib=64 --set device.streams=1
for recipe in best channel; do
  rm -rf "$work/first" "$work/second"
  step "tune_${recipe}_on_host" 90 "${fit[@]}" --set "recipe=$recipe" --backend host --out "$work/first"
  step "tune_${recipe}_on_device" 90 "${fit[@]}" --set "recipe=$recipe" --backend "$backend" --out "$work/second"
  step "same_files_$recipe" 10 bash -c "$same_files" "$work"
done
step bench_on_device 120 "${bench[@]}" --backend "$backend" --vary search.offspring=1,8,64,256 \
  --vary device.streams=1,2 --vary device.graphs=false --vary device.autotune=true
step bench_on_host 60 "${bench[@]}" --backend host
if [[ "$backend" == cuda ]]; then step convolutions 120 "$bin/qnudge_conv_benchmark" 90; fi
for tool in compute-sanitizer nsys ncu; do
  command -v "$tool" >/dev/null || add "$tool" '"not available on this machine"'
done
if command -v compute-sanitizer >/dev/null; then
  step compute-sanitizer 120 compute-sanitizer --error-exitcode 1 "$bin/qnudge_gpu_tests" --gtest_brief=1 \
    --gtest_filter='GpuEngine.SearchEquals*'
fi
add passed "$([[ $failed == 0 ]] && echo true || echo false)"
finish
exit "$failed"
