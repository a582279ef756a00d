#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks qnudge on a GPU and writes one JSON with the device, versions, tests, comparisons and benchmarks, to be
# committed under benchmarks/results/. Needs no package manager and no network; ends within ten minutes on 16 cores. What
# says most comes first, and the file is written anew after every step, so that it holds what was found until the end.
#
#   ./gpu_check.sh [RESULT.json]           from an unpacked bundle (cpack -G TGZ in build/cuda)
#   scripts/gpu_check.sh [RESULT.json]     from a repository with build/cuda built
#
# cuDNN, cuBLAS and NVRTC are taken from the system or from Python's packages (PyTorch brings them). The bundle needs
# glibc 2.36, or 2.34 with the libstdc++ of GCC 12 (Ubuntu 22.04).
# QNUDGE_CHECK_BACKEND=host runs the whole of it on the host backend, to try the script itself.
# Exit codes: 0 all passed, 1 something differs or failed, 4 there is no usable GPU.
set -uo pipefail
here="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
if [[ -d "$here/bin" ]]; then
  root="$here" bin="$here/bin" data="$here/data"
  export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  # The bundled libraries of the compiler need a newer C library than all the rest: the system's own serve, if they do.
  "$bin/qnudge" --version >/dev/null 2>&1 || LD_LIBRARY_PATH="$here/lib/compiler:$LD_LIBRARY_PATH"
else
  root="$(dirname "$here")" bin="$root/build/cuda/bin" data=/usr/share/datasets/fashion-mnist
fi
result="$(realpath -m "${1:-gpu_check.json}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$root"

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
readonly backend="${QNUDGE_CHECK_BACKEND:-cuda}"
cuda_status() { "$bin/qnudge" devices --json 2>/dev/null | sed -n '/^  "cuda": {/,/^  }/p'; }
usable() { [[ "$backend" != cuda ]] || cuda_status | grep -q '"usable": true'; }
# cuDNN compiles nearly nothing without NVRTC.
complete() { usable && { [[ "$backend" != cuda ]] || cuda_status | grep -q '"nvrtc": "[0-9]'; }; }

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
# Adds "name": value, the value being JSON already, to what is written.
add() {
  entries+=("$(json_string "$1"): $2")
  local all
  printf -v all ' %s,\n' "${entries[@]}"
  printf '{\n%s\n}\n' "${all%,*}" >"$result.part" && mv "$result.part" "$result"
}
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
# A step whose failure says nothing about qnudge.
optional_step() {
  local before=$failed
  step "$@"
  failed=$before
}

# Most of a test's time is spent by cuDNN compiling plans on one core, so each has a process of its own, all cores are
# used, and what a test has found is kept whatever becomes of the others. In order of what they say.
test_names() {
  local all suite
  all="$("$bin/qnudge_gpu_tests" --gtest_list_tests | awk '/^[^ ]/ {suite = $1} /^  / {print suite $1}')"
  for suite in GpuGraph GpuEngine GpuConv; do grep "^$suite\\." <<<"$all"; done
  grep -v '^Gpu\(Graph\|Engine\|Conv\)\.' <<<"$all" | grep '^Gpu'
}
one_test() {
  local name=$1 left=$(($2 - SECONDS)) code=0 begun=$SECONDS
  if ((left < 1)); then left=1; fi
  QNUDGE_PLAN_CACHE="$work/tests/$name.plans" timeout --kill-after=5 "$left" \
    "$bin/qnudge_gpu_tests" --gtest_brief=1 --gtest_filter="$name" --gtest_output=json:"$work/tests/$name.json" \
    >"$work/tests/$name.out" 2>&1 || code=$?
  [[ $code == 0 ]] || { touch "$work/tests/failed"; say "$name failed with exit code $code"; }
  printf '%s: {"exit_code": %d, "seconds": %d, "output": %s}' "$(json_string "$name")" $code $((SECONDS - begun)) \
    "$(json_string "$(tail -c 2000 "$work/tests/$name.out")")" >"$work/tests/$name.entry"
}
# The lines or files given, with commas between them.
joined() { paste -sd, "$@" 2>/dev/null; }
run_tests() {
  local begun=$SECONDS deadline=$((SECONDS + $1)) name cores code=0
  say tests
  cores="$(nproc)"
  mkdir "$work/tests"
  for name in $(test_names); do
    while (($(jobs -rp | wc -l) >= cores)); do wait -n; done
    one_test "$name" "$deadline" &
  done
  wait
  if [[ -e "$work/tests/failed" ]]; then failed=1 code=1; fi
  for name in "$work"/tests/*.entry; do printf '%s\n' "$(cat "$name")"; done >"$work/tests/all"
  add tests "{\"exit_code\": $code, \"seconds\": $((SECONDS - begun)), \"output\": {$(joined "$work/tests/all")}, \"errors\": \"\"}"
  for name in "$work"/tests/*.json; do
    [[ ! -e "$name" ]] || printf '%s: %s\n' "$(json_string "$(basename "$name" .json)")" "$(tr '\n' ' ' <"$name")"
  done >"$work/tests/reports"
  add tests_report "{$(joined "$work/tests/reports")}"
}

complete || find_libraries
add "when" "$(json_string "$(date -u +%Y-%m-%dT%H:%MZ)")"
add "version" "$(json_string "$("$bin/qnudge" --version)")"
add "nvidia_smi" "$(json_string "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>&1)")"
step devices 60 "$bin/qnudge" devices --json
if ! usable; then
  "$bin/qnudge" devices >&2
  add passed false
  exit 4
fi

# Idle threads must not burn what others could use.
export OMP_WAIT_POLICY=passive
export QNUDGE_PLAN_CACHE="$work/plans"
# Compiling is what takes time: tests run samples, and tuning chooses among few engines.
export QNUDGE_GPU_SAMPLE=5 QNUDGE_AUTOTUNE_CHOICES=4
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

OMP_NUM_THREADS=2 run_tests 180
step check 60 "$bin/qnudge" check "$config" "${set_data[@]}" --backends "reference,host,$backend" --images 16 --json
step tune_on_host 45 "${tune[@]}" --backend host --out "$work/first"
step tune_on_device 60 "${tune[@]}" --backend "$backend" --out "$work/second"
step same_files 10 bash -c "$same_files" "$work"
# Stored plans, generations one by one, engines chosen by time, little memory: never another byte.
again() {
  local name=$1 limit=$2
  shift 2
  rm -rf "$work/second"
  step "tune_$name" "$limit" "${tune[@]}" --backend "$backend" --out "$work/second" "$@"
  step "same_files_$name" 10 bash -c "$same_files" "$work"
}
again with_stored_plans 30
again one_by_one 30 --set device.graphs=false
again autotuned 110 --set device.autotune=true
step bench_on_device 60 "${bench[@]}" --backend "$backend" --vary device.streams=1,2 --vary device.graphs=false
step bench_on_host 30 "${bench[@]}" --backend host
step bench_populations 90 "${bench[@]}" --backend "$backend" --vary search.offspring=1,8,64,256
step bench_autotuned 60 "${bench[@]}" --backend "$backend" --vary device.autotune=true
for recipe in best channel; do
  mkdir "$work/fit"
  step "tune_${recipe}_on_host" 45 "${fit[@]}" --set "recipe=$recipe" --backend host --out "$work/fit/first"
  step "tune_${recipe}_on_device" 60 "${fit[@]}" --set "recipe=$recipe" --backend "$backend" --out "$work/fit/second"
  step "same_files_$recipe" 10 bash -c "$same_files" "$work/fit"
  rm -rf "$work/fit"
done
step check_half 60 "$bin/qnudge" check "$config" "${set_data[@]}" --set quant.activations=half \
  --backends "reference,host,$backend" --images 16 --json
step tune_half_on_device 60 "${tune[@]}" --backend "$backend" --set quant.activations=half --set search.generations=2 \
  --out "$work/half"
again in_little_memory 60 --set device.memory_mib=64 --set device.streams=1
if [[ "$backend" == cuda ]]; then step convolutions 100 "$bin/qnudge_conv_benchmark" 80; fi
for tool in compute-sanitizer nsys ncu; do
  command -v "$tool" >/dev/null || add "$tool" '"not available on this machine"'
done
# Instrumented kernels are slow, and the tool knows little of conditional graphs: few images, one by one.
if command -v compute-sanitizer >/dev/null; then
  optional_step compute-sanitizer 100 compute-sanitizer --error-exitcode 1 "${tune[@]}" --backend "$backend" \
    --set device.graphs=false --set search.generations=1 --set data.fitness=50 --set data.calibration=50 \
    --set data.gate=50 --out "$work/sanitized"
fi
add passed "$([[ $failed == 0 ]] && echo true || echo false)"
say "written to $result"
exit "$failed"
