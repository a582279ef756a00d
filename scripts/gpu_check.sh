#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks qnudge on a GPU: graphs, tests, convolutions engine by engine, comparisons, benchmarks, what says most first.
# Writes gpu_check.jsonl, one JSON object a line as soon as it is measured, whatever becomes of the rest.
#
#   ./gpu_check.sh [first|rest|all]           from an unpacked bundle (cpack -G TGZ in build/cuda)
#   scripts/gpu_check.sh [first|rest|all]     from a repository with build/cuda built
#
# first: does it work, how fast is every convolution; rest: whole runs; all: both (the default). The environment:
#   OUT                    folder of the results (default gpu_check)
#   QNUDGE_CHECK_SECONDS   by when to end (280 for first, 570 else); what finds no time left is named and not run
#   QNUDGE_CHECK_PLANS     plans.tgz of an earlier check, whose plans need no compiling; default OUT/plans.tgz, which is
#                          written at the end
#   QNUDGE_CHECK_BACKEND   host: all of it on the host backend and in small, to try the script itself
#   QNUDGE_CHECK_PATIENCE  every step's own limit times this, for busy machines (default 1)
#   QNUDGE_CHECK_BIN       folder of the programs
#   QNUDGE_TORCH           a Python with PyTorch, torchvision and onnx (default python3): exports ResNet18
#
# No package manager, no network; cuDNN, cuBLAS and NVRTC are taken from the system or from Python's packages (PyTorch
# brings them). The bundle needs glibc 2.36, or 2.34 with the libstdc++ of GCC 12 (Ubuntu 22.04).
# Exit codes: 0 all passed, 1 something differs or failed, 2 usage, 4 there is no usable GPU.
set -uo pipefail
part="${1:-all}"
case "$part" in
  first | rest | all) ;;
  *)
    sed -n 's/^# \{0,1\}//; 3,21p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
here="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
if [[ -d "$here/bin" ]]; then
  root="$here" bin="${QNUDGE_CHECK_BIN:-$here/bin}" data="$here/data"
  export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  # The bundled libraries of the compiler need a newer C library than all the rest: the system's own serve, if they do.
  "$bin/qnudge" --version >/dev/null 2>&1 || LD_LIBRARY_PATH="$here/lib/compiler:$LD_LIBRARY_PATH"
else
  root="$(dirname "$here")" data=/usr/share/datasets/fashion-mnist
  bin="${QNUDGE_CHECK_BIN:-$root/build/cuda/bin}"
fi
bin="$(realpath -m "$bin")"
results="$(realpath -m "${OUT:-gpu_check}")"
mkdir -p "$results" || exit 2
lines="$results/gpu_check.jsonl"
[[ "$part" == rest ]] || : >"$lines"
work="$(mktemp -d)"
cd "$root" || exit 2
readonly backend="${QNUDGE_CHECK_BACKEND:-cuda}"
readonly torch="${QNUDGE_TORCH:-python3}"
if [[ "$part" == first ]]; then seconds=280; else seconds=570; fi
readonly deadline="${QNUDGE_CHECK_SECONDS:-$seconds}" patience="${QNUDGE_CHECK_PATIENCE:-1}"

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
left() { echo $((deadline - SECONDS)); }
at_end() {
  [[ ! -d "$work/plans" ]] || tar -C "$work" -czf "$results/plans.tgz" plans
  rm -rf "$work"
}
trap at_end EXIT
trap 'exit 1' TERM INT

# Any text as a JSON string; what was cut in the middle of a character loses that character.
json_string() {
  printf '"%s"' "$(printf '%s' "$1" | iconv -c -f utf-8 -t utf-8 | tr '\n\t' '  ' | tr -d '\000-\037' |
    sed 's/\\/\\\\/g; s/"/\\"/g')"
}
# The end of a file, as a JSON string.
end_of() { json_string "$(tail -c "$2" "$1" 2>/dev/null)"; }
# {"step": name, ...}: one line, whole also where several processes write.
record() {
  local line
  printf -v line '{"step": %s, "at": %d, %s}' "$(json_string "$1")" "$SECONDS" "$2"
  { flock 9 && printf '%s\n' "$line" >&9; } 9>>"$lines"
}
failed=0

# Runs a command with a time limit and what becomes of it as a line; stdout must be JSON, or becomes a string.
step() {
  local name=$1 limit=$(($2 * patience)) code=0 begun=$SECONDS out
  shift 2
  if (($(left) < 5)); then
    say "$name: left out, no time"
    record "$name" '"left_out": "no time"'
    return
  fi
  if ((limit > $(left))); then limit=$(left); fi
  say "$name"
  timeout --kill-after=5 "$limit" "$@" >"$work/out" 2>"$work/err" || code=$?
  if [[ "$(head -c 1 "$work/out")" == "{" && $code -lt 124 ]]; then
    out="$(tr '\n' ' ' <"$work/out")"
  else
    out="$(end_of "$work/out" 4000)"
  fi
  [[ $code == 0 ]] || { failed=1 && tail -n 20 "$work/err" >&2 && say "$name failed with exit code $code"; }
  record "$name" "\"exit_code\": $code, \"seconds\": $((SECONDS - begun)), \"output\": $out, \"errors\": $(end_of "$work/err" 2000)"
}
# A step whose failure says nothing about qnudge.
optional_step() {
  local before=$failed
  step "$@"
  failed=$before
}
# A step that prints one JSON object a line: each is written as it comes.
step_of_lines() {
  local name=$1 limit=$(($2 * patience)) code begun=$SECONDS line
  shift 2
  if ((limit > $(left) - 5)); then limit=$(($(left) - 5)); fi
  if ((limit < 5)); then
    record "$name" '"left_out": "no time"'
    return
  fi
  say "$name"
  timeout --kill-after=5 "$limit" "$@" 2>"$work/err" | while IFS= read -r line; do
    [[ "$line" != "{"*"}" ]] || record "$name" "\"row\": $line"
  done
  code=${PIPESTATUS[0]}
  # Out of time is no failure: every row stands for itself.
  [[ $code == 0 || $code == 124 ]] || { failed=1 && tail -n 20 "$work/err" >&2 && say "$name failed with exit code $code"; }
  record "$name" "\"exit_code\": $code, \"seconds\": $((SECONDS - begun)), \"errors\": $(end_of "$work/err" 2000)"
}

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

# Most of a test's time is spent by cuDNN compiling plans on one core, so each has a process of its own, all cores are
# used, and what a test has found is kept whatever becomes of the others. In order of what they say.
test_names() {
  local all suite
  # Names of values stand behind a "#".
  all="$("$bin/qnudge_gpu_tests" --gtest_list_tests | awk '/^[^ ]/ {suite = $1} /^  / {print suite $1}')"
  for suite in GpuGraph GpuGraphSeed GpuConv GpuEngine GpuEngineSeed; do grep "^$suite\\." <<<"$all"; done
  grep -v '^Gpu\(Graph\|GraphSeed\|Conv\|Engine\|EngineSeed\)\.' <<<"$all" | grep '^Gpu'
}
one_test() {
  local name=$1 left=$(($2 - SECONDS)) code=0 begun=$SECONDS file
  file="$work/tests/${name//\//_}"
  if ((left < 1)); then
    record tests "\"test\": $(json_string "$name"), \"left_out\": \"no time\""
    return
  fi
  QNUDGE_PLAN_CACHE="$file.plans" timeout --kill-after=5 "$left" "$bin/qnudge_gpu_tests" --gtest_brief=1 \
    --gtest_filter="$name" --gtest_output=json:"$file.json" >"$file.out" 2>&1 || code=$?
  [[ $code == 0 ]] || { touch "$work/tests/failed"; say "$name failed with exit code $code"; }
  record tests "\"test\": $(json_string "$name"), \"exit_code\": $code, \"seconds\": $((SECONDS - begun)), \"output\": $(end_of "$file.out" 2000), \"report\": $(tr '\n' ' ' 2>/dev/null <"$file.json" || echo null)"
}
# In a shell of its own, so that it waits for nothing else.
run_tests() (
  begun=$SECONDS until=$((SECONDS + $1)) cores="$(nproc)"
  if ((until > deadline - 5)); then until=$((deadline - 5)); fi
  say tests
  mkdir "$work/tests"
  for name in $(test_names); do
    while (($(jobs -rp | wc -l) >= cores)); do wait -n; done
    one_test "$name" "$until" &
  done
  wait
  record tests "\"failed\": $([[ -e "$work/tests/failed" ]] && echo true || echo false), \"seconds\": $((SECONDS - begun))"
  [[ ! -e "$work/tests/failed" ]]
)

# ResNet18 with random weights: its speed is what goals are about, and weights do not change it.
export_networks() {
  local data
  for data in cifar100 imagenet; do
    "$torch" "$root/scripts/export_model.py" --data "$data" --model resnet18 --weights random \
      --out "$work/$data.part" >>"$work/export" 2>&1 && mv "$work/$data.part" "$work/resnet18_$data.onnx"
  done
}
exported() {
  local model="$work/resnet18_$1.onnx"
  [[ -e "$model" ]] || { record "resnet18_$1" "\"left_out\": \"not exported\", \"errors\": $(end_of "$work/export" 1000)"; return 1; }
}

export QNUDGE_PLAN_CACHE="$work/plans"
plans="${QNUDGE_CHECK_PLANS:-$results/plans.tgz}"
[[ ! -e "$plans" ]] || tar -C "$work" -xzf "$plans"
# Idle threads must not burn what others could use.
export OMP_WAIT_POLICY=passive
# Compiling is what takes time: tests run samples.
export QNUDGE_GPU_SAMPLE=5
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
# 1,000 images and 32 candidates are what the goals are stated for; noise needs no data.
small=(--noise --repeats 1 --set data.calibration=128 --set data.gate=1)
# One layer of each kind.
layers_32=conv1,layer1.0.conv1,layer3.0.conv1,layer4.1.conv2 layers_224=layer1.0.conv1,layer3.0.conv1
images=16
if [[ "$backend" == cuda ]]; then
  small+=(--generations 100 --set data.fitness=1000 --set search.offspring=32)
  large=("${small[@]}" --generations 20)
  populations=1,8,64,256
else
  # The script is tried, not the machine: every step, and of each as little as runs through all of it.
  small+=(--generations 2 --set data.fitness=4 --set data.calibration=4 --set search.offspring=2)
  large=("${small[@]}" --set data.fitness=2 --set data.calibration=2)
  populations=1,4 layers_32=layer3.0.conv1 layers_224=layer3.0.conv1 images=2
  for key in data.calibration=50 data.fitness=50 data.gate=50 data.test=50 search.generations=2; do
    tune+=(--set "$key") bench+=(--set "$key") fit+=(--set "$key")
  done
  tune+=(--set search.parents=4 --set search.offspring=4) bench+=(--generations 2 --repeats 1)
fi
same_files='[[ -e "$0/first/tuned.onnx" ]] || { echo "there is nothing to compare with" >&2; exit 1; }
for f in history.jsonl tuned.onnx sensitivity.json reference.bin; do
  [[ ! -e "$0/first/$f" && ! -e "$0/second/$f" ]] || cmp "$0/first/$f" "$0/second/$f" || exit 1
done
echo "{\"equal\": true}"'

first_part() {
  if [[ "$backend" == cuda ]]; then step graphs 40 "$bin/qnudge" devices --try --json -v; fi
  OMP_NUM_THREADS=2 run_tests 75 || failed=1
  wait "$exporting" 2>/dev/null  # nothing is timed beside it
  if [[ "$backend" == cuda ]]; then
    step_of_lines convolutions 180 "$bin/qnudge_conv_benchmark" $(($(left) < 185 ? $(left) - 15 : 170))
  fi
}

# Generations of ResNet18.
bench_resnet18() {
  local name=$1 limit=$2 data=$3 options layers=$layers_32
  shift 3
  if [[ "$data" == cifar100 ]]; then options=("${small[@]}"); else options=("${large[@]}") layers=$layers_224; fi
  ! exported "$data" || step "bench_resnet18_$name" "$limit" "$bin/qnudge" bench tuning "$config" --json \
    --backend "$backend" --set "model=$work/resnet18_$data.onnx" "${options[@]}" \
    --layers "$layers" "$@"
}
# Stored plans, generations one by one, engines chosen by time, little memory: never another byte.
again() {
  local name=$1 limit=$2
  shift 2
  rm -rf "$work/second"
  step "tune_$name" "$limit" "${tune[@]}" --backend "$backend" --out "$work/second" "$@"
  step "same_files_$name" 10 bash -c "$same_files" "$work"
}

rest_part() {
  local recipe
  wait "$exporting" 2>/dev/null
  bench_resnet18 32 60 cifar100
  bench_resnet18 32_one_by_one 40 cifar100 --set device.graphs=false
  bench_resnet18 32_streams_1 40 cifar100 --set device.streams=1
  bench_resnet18 32_streams_2 40 cifar100 --set device.streams=2
  bench_resnet18 32_autotuned 60 cifar100 --set device.autotune=true
  step tune_on_host 45 "${tune[@]}" --backend host --out "$work/first"
  step tune_on_device 60 "${tune[@]}" --backend "$backend" --out "$work/second"
  step same_files 10 bash -c "$same_files" "$work"
  again with_stored_plans 30
  again one_by_one 30 --set device.graphs=false
  for recipe in best channel; do
    mkdir "$work/fit"
    step "tune_${recipe}_on_host" 45 "${fit[@]}" --set "recipe=$recipe" --backend host --out "$work/fit/first"
    step "tune_${recipe}_on_device" 60 "${fit[@]}" --set "recipe=$recipe" --backend "$backend" --out "$work/fit/second"
    step "same_files_$recipe" 10 bash -c "$same_files" "$work/fit"
    rm -rf "$work/fit"
  done
  bench_resnet18 224 80 imagenet
  profile
  again autotuned 60 --set device.autotune=true
  step check 60 "$bin/qnudge" check "$config" "${set_data[@]}" --backends "reference,host,$backend" --images "$images" --json
  step check_half 60 "$bin/qnudge" check "$config" "${set_data[@]}" --set quant.activations=half \
    --backends "reference,host,$backend" --images "$images" --json
  step tune_half_on_device 60 "${tune[@]}" --backend "$backend" --set quant.activations=half \
    --set search.generations=2 --out "$work/half"
  again in_little_memory 60 --set device.memory_mib=64 --set device.streams=1
  step bench_populations 60 "${bench[@]}" --backend "$backend" --vary "search.offspring=$populations"
  step bench_on_host 30 "${bench[@]}" --backend host
  if [[ "$backend" == cuda ]]; then
    optional_step peer 60 "$torch" "$root/benchmarks/peers/pytorch_gpu.py" --way loop
  fi
}

# Counters of three kernels, and accesses and races of a few generations. Tools know little of conditional graphs and
# slow kernels down: few images, generations one by one.
profile() {
  local few_resnet18 tool few=("${tune[@]}" --backend "$backend" --set device.graphs=false --set search.generations=1
    --set data.fitness=50 --set data.calibration=50 --set data.gate=50)
  for tool in ncu compute-sanitizer nsys; do
    command -v "$tool" >/dev/null || record "$tool" '"left_out": "not available on this machine"'
  done
  if [[ "$backend" == cuda ]] && command -v ncu >/dev/null && exported cifar100; then
    few_resnet18=("$bin/qnudge" bench tuning "$config" --json --backend cuda --set device.graphs=false
      --set "model=$work/resnet18_cifar100.onnx" "${small[@]}" --generations 2 --layers layer1.0.conv1)
    # Behind the plain evaluations: the convolutions of one chunk, from 64 to 512 channels.
    optional_step ncu_convolutions 60 ncu --set basic --csv --kernel-name 'regex:xmma|fort' --launch-skip 100 \
      --launch-count 20 "${few_resnet18[@]}"
    optional_step ncu_evolve 40 ncu --set basic --csv --kernel-name regex:EvolveOffspring --launch-count 2 \
      "${few_resnet18[@]}" --strategy gram
  fi
  if command -v compute-sanitizer >/dev/null; then
    optional_step compute-sanitizer 60 compute-sanitizer --error-exitcode 1 "${few[@]}" --out "$work/sanitized"
    optional_step racecheck 40 compute-sanitizer --tool racecheck --error-exitcode 1 "$bin/qnudge_gpu_tests" \
      --gtest_filter='GpuEngineSeed.FittingEqualsTheHostForAnyChunk/0'
  fi
}

complete || find_libraries
record begin "\"when\": $(json_string "$(date -u +%Y-%m-%dT%H:%MZ)"), \"part\": \"$part\", \"version\": $(json_string "$("$bin/qnudge" --version)"), \"nvidia_smi\": $(json_string "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>&1)")"
step devices 60 "$bin/qnudge" devices --json
if ! usable; then
  "$bin/qnudge" devices >&2
  record end '"passed": false'
  exit 4
fi
# What the driver says about errors: codes alone do not tell why it refuses a graph.
[[ "$backend" != cuda ]] || export CUDA_LOG_FILE="$results/cuda.log"
export_networks &
exporting=$!
[[ "$part" == rest ]] || first_part
[[ "$part" == first ]] || rest_part
record end "\"passed\": $([[ $failed == 0 ]] && echo true || echo false)"
say "written to $lines"
exit "$failed"
