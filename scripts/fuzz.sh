#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes the readers of everything that comes from outside (tests/fuzz), two at a time, and prints how many inputs each
# was given. What ends a reader otherwise than by its result or a refusal is kept in build/fuzz/found.
#
#   scripts/fuzz.sh [SECONDS [READER ...]]     SECONDS for each (60), READER as in tests/fuzz (default: all)
#
# Inputs that led somewhere new are kept in build/fuzz/corpus, so that a later call goes on from there.
#   FUZZ_EXECUTIONS=N   a reader ends after N inputs, where SECONDS have not passed before
#   FUZZ_JOBS=N         readers at a time (2)
#   FUZZ_SEED=N         where the search begins (1); 0: elsewhere every time
# Exit codes: 0 nothing found, 1 something found, 2 usage, or the fuzzers cannot be built.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

readonly all=(idx cifar csv npy image config onnx qdq checkpoint) build=build/fuzz
case "${1:-}" in
  -h | --help)
    sed -n 's/^# \{0,1\}//; 3,12p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
readonly seconds="${1:-60}"
[[ "$seconds" =~ ^[1-9][0-9]*$ ]] || {
  echo "fuzz: '$seconds' is no number of seconds; see scripts/fuzz.sh --help" >&2
  exit 2
}
readers=("${@:2}")
if [[ ${#readers[@]} == 0 ]]; then readers=("${all[@]}"); fi
for reader in "${readers[@]}"; do
  [[ -f "tests/fuzz/$reader.cpp" && " ${all[*]} " == *" $reader "* ]] || {
    echo "fuzz: '$reader' is no reader; there are ${all[*]}" >&2
    exit 2
  }
done

scripts/install_dependencies.sh --fuzz
cmake --preset fuzz >/dev/null
cmake --build "$build" --target fuzzers || exit 2
"$build/bin/fuzz_seeds" "$build/seeds"
mkdir -p "$build/found" "$build/logs"

# Longer inputs find no more here and take their time.
longest() {
  case "$1" in
    cifar) echo 6200 ;;
    onnx | qdq) echo 8192 ;;
    *) echo 2048 ;;
  esac
}
fuzz() {
  local reader=$1 corpus="$build/corpus/$1" executions=()
  mkdir -p "$corpus"
  if [[ -n "${FUZZ_EXECUTIONS:-}" ]]; then executions=("-runs=$FUZZ_EXECUTIONS"); fi
  ASAN_OPTIONS="malloc_context_size=4:quarantine_size_mb=8:allocator_may_return_null=0" UBSAN_OPTIONS=print_stacktrace=1 \
    "$build/bin/fuzz_$reader" -max_total_time="$seconds" "${executions[@]}" -max_len="$(longest "$reader")" -timeout=20 \
    -seed="${FUZZ_SEED:-1}" -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="$build/found/$reader-" "$corpus" "$build/seeds/$reader" \
    >"$build/logs/$reader" 2>&1
}
report() {
  local reader=$1 log="$build/logs/$1" count
  count="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  printf '%-11s %12s inputs  %s\n' "$reader" "${count:-?}" \
    "$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -n 1)"
}

failed=0
printf '%s seconds each\n' "$seconds"
declare -A process=()
finish() {
  local reader=$1
  if wait "${process[$reader]}"; then
    report "$reader"
  else
    failed=1
    report "$reader"
    tail -n 40 "$build/logs/$reader" >&2
    echo "fuzz: $reader: failed; what it was given is in $build/found" >&2
  fi
}
started=()
for reader in "${readers[@]}"; do
  fuzz "$reader" &
  process[$reader]=$!
  started+=("$reader")
  if ((${#started[@]} >= ${FUZZ_JOBS:-2})); then
    finish "${started[0]}"
    started=("${started[@]:1}")
  fi
done
for reader in "${started[@]}"; do finish "$reader"; done
exit "$failed"
