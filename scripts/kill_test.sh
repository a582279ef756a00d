#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Kills runs and sweeps (SIGKILL) at random instants, resumes them, and compares every byte of the results with those of
# ones that were left alone. The tests do the same 20 times each; this does it as often as wanted.
#
#   scripts/kill_test.sh [KILLS [tune | sweep]]     KILLS of each (20); both unless one is named
#
# The environment: BUILD_DIR, a build with tests (build/ci, else build/host).
# Exit codes: 0 no byte differed, 1 one did, 2 usage, or no build.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

case "${1:-}" in
  -h | --help)
    sed -n 's/^# \{0,1\}//; 3,9p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
readonly kills="${1:-20}"
[[ "$kills" =~ ^[1-9][0-9]*$ ]] || {
  echo "kill_test: '$kills' is no number of kills; see scripts/kill_test.sh --help" >&2
  exit 2
}
case "${2:-both}" in
  both) filter='Kill.*:SweepKill.*' ;;
  tune) filter='Kill.*' ;;
  sweep) filter='SweepKill.*' ;;
  *)
    echo "kill_test: '$2' cannot be killed; tune and sweep can" >&2
    exit 2
    ;;
esac
build="${BUILD_DIR:-build/ci}"
[[ -d "$build" ]] || build=build/host
[[ -x "$build/bin/qnudge_cli_tests" && -x "$build/bin/qnudge" ]] || {
  echo "kill_test: $build holds no tests; scripts/test.sh builds them" >&2
  exit 2
}
code=0
OMP_WAIT_POLICY=passive QNUDGE_KILLS="$kills" "$build/bin/qnudge_cli_tests" --gtest_filter="$filter" || code=1
exit "$code"
