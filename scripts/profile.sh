#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Profiles a tuning run on a GPU with NVIDIA's Nsight tools; docs/profiling.md says how to read what comes out.
#
#   scripts/profile.sh timeline CONFIG.json [--set KEY=VALUE ...]          Nsight Systems: OUT.nsys-rep
#   scripts/profile.sh kernels CONFIG.json KERNEL [--set KEY=VALUE ...]    Nsight Compute: OUT.ncu-rep
#
# KERNEL is a part of a kernel's name, as "score_kernel". What follows is passed on to qnudge. The environment:
#   QNUDGE        the program (default build/cuda/bin/qnudge)
#   PROFILE_OUT   name of the report without its ending (default profile)
#   DRY_RUN=1     prints the command instead of running it
# Exit codes: the tool's, 2 for usage and for a tool that is not installed.
set -euo pipefail

usage() {
  sed -n 's/^# \{0,1\}//; 3,13p' "${BASH_SOURCE[0]}"
}
refuse() {
  printf 'profile: %s\n' "$*" >&2
  exit 2
}

case "${1:-}" in
  timeline | kernels) ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
mode=$1
[[ $# -ge 2 ]] || refuse "no config named"
config=$2
shift 2
qnudge="${QNUDGE:-$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")/build/cuda/bin/qnudge}"
out="${PROFILE_OUT:-profile}"
# A few generations of every layer say what many would; the run goes where it disturbs nobody.
run=("$qnudge" tune "$config" --backend cuda --quiet --out "$(mktemp -d)/run" --set search.generations=4)

if [[ $mode == timeline ]]; then
  tool=nsys
  # Without the node level a whole layer is one bar: a graph is launched once for all its generations.
  command=(nsys profile --trace=cuda,nvtx,cudnn,cublas --cuda-graph-trace=node --sample=none --cpuctxsw=none
    --force-overwrite=true --output="$out" "${run[@]}" "$@")
else
  [[ $# -ge 1 ]] || refuse "no kernel named"
  kernel=$1
  shift
  tool=ncu
  # ncu replays kernels one by one; inside a graph it cannot, so generations are enqueued.
  command=(ncu --set full --kernel-name "regex:$kernel" --launch-skip 2 --launch-count 5 --force-overwrite
    --export "$out" "${run[@]}" --set device.graphs=false "$@")
fi
if [[ "${DRY_RUN:-0}" == 1 ]]; then
  printf '%q ' "${command[@]}"
  echo
  exit 0
fi
command -v "$tool" >/dev/null || refuse "$tool is not installed; it comes with the CUDA Toolkit or as a package of its own"
[[ -x "$qnudge" ]] || refuse "$qnudge is not built; QNUDGE names another program"
exec "${command[@]}"
