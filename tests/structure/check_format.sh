#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fails unless clang-format 14 would leave every tracked C++ and CUDA file as it is. Versions differ in what they
# write, so without version 14, or outside a git checkout, the test is skipped (exit code 77).
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

formatter=""
for candidate in clang-format-14 clang-format; do
  if [[ "$("$candidate" --version 2>/dev/null)" == *"version 14."* ]]; then
    formatter=$candidate
    break
  fi
done
if [[ -z "$formatter" ]]; then
  echo "skipped: no clang-format 14 here; scripts/install_dependencies.sh --format installs it"
  exit 77
fi
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  echo "skipped: not a git checkout"
  exit 77
fi
files=()
while IFS= read -r -d '' file; do
  if [[ -f "$file" ]]; then files+=("$file"); fi
done < <(git ls-files -z -- '*.cpp' '*.hpp' '*.cu' '*.cuh')
if [[ ${#files[@]} == 0 ]]; then
  echo "no C++ file is tracked: wrong folder?"
  exit 1
fi
"$formatter" --dry-run -Werror "${files[@]}"
