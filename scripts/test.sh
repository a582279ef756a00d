#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds everything with warnings as errors and runs all tests.
#
#   scripts/test.sh [CTEST ARGUMENTS]          e.g. scripts/test.sh -R quant
#   scripts/test.sh --full [CTEST ARGUMENTS]   also the long tests, and all of it again under the address and
#                                              undefined-behaviour sanitizers
#
# QNUDGE_DATA may name a folder of CIFAR-100 files and models; tests that need it are skipped without.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

full=false
case "${1:-}" in
  --full)
    full=true
    shift
    ;;
  -h | --help)
    sed -n 's/^# \{0,1\}//; 3,9p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

step() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }
# Configures, builds and tests one preset; ctest's summary comes last.
check() {
  local preset=$1
  shift
  step "building preset $preset"
  cmake --preset "$preset"
  cmake --build "build/$preset"
  step "testing preset $preset"
  ctest --test-dir "build/$preset" --output-on-failure -j2 "$@"
}

scripts/install_dependencies.sh --python
if [[ -z "${QNUDGE_PYTHON:-}" && -x build/venv/bin/python ]]; then export QNUDGE_PYTHON="$PWD/build/venv/bin/python"; fi
if $full; then
  export QNUDGE_LONG_TESTS=1
  check host-sanitize "$@"
fi
check ci "$@"
