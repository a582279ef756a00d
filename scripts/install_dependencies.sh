#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what qnudge needs from the distribution's packages: Debian 12 and 13, Ubuntu 24.04. Root, or sudo, serves for
# that alone. Says nothing when nothing is missing.
#
#   scripts/install_dependencies.sh            what the build, the tests and the quickstart need
#   scripts/install_dependencies.sh --python   also build/venv with ONNX Runtime, for the tests that compare with it
#   scripts/install_dependencies.sh --format   also clang-format 14, which the formatting test asks for
#   scripts/install_dependencies.sh --fuzz     also clang 14 with libFuzzer, for scripts/fuzz.sh
#
# Exit codes: 0 all is there, 2 packages are missing and cannot be installed from here.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

packages=(
  g++ cmake ninja-build ccache
  libdnnl-dev libonnx-dev libprotobuf-dev protobuf-compiler
  nlohmann-json3-dev libcli11-dev libspdlog-dev libfmt-dev
  librandom123-dev libxxhash-dev zlib1g-dev libmpfr-dev libjpeg-dev libpng-dev libtiff-dev libwebp-dev libstb-dev
  libjs-chart.js
  libgtest-dev libgmock-dev libbenchmark-dev
  dataset-fashion-mnist
)
readonly venv=build/venv requirements=tests/python/requirements.txt

say() { printf 'dependencies: %s\n' "$*"; }
refuse() {
  say "$*" >&2
  exit 2
}

is_installed() { [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

# What runs apt-get: empty for root, sudo where it works or can ask for a password, else "none".
privilege() {
  if [[ "$(id -u)" == 0 ]]; then
    echo ""
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; }; then
    echo sudo
  else
    echo none
  fi
}

install_packages() {
  local missing=() package as
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  if [[ ${#missing[@]} == 0 ]]; then return; fi
  as="$(privilege)"
  if [[ "$as" == none ]]; then
    refuse "${#missing[@]} packages are missing and this user may not install them; as root run:" \
      "apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  local apt=(${as:+sudo} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
  # One broken source among others must not stop what the rest can serve; a missing package is reported below.
  "${apt[@]}" update || say "apt-get update reported an error; going on with the package lists there are" >&2
  "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null ||
    refuse "apt-get could not install ${missing[*]}; on Ubuntu they need the component 'universe'"
}

# Without network the tests that need ONNX Runtime are skipped, visibly; everything else works.
install_python() {
  [[ -f "$requirements" ]] || return 0
  local wanted have=""
  wanted="$(sha256sum <"$requirements")"
  if [[ -f "$venv/requirements.sha256" ]]; then have="$(<"$venv/requirements.sha256")"; fi
  if [[ "$have" == "$wanted" && -x "$venv/bin/python" ]]; then return; fi
  say "installing ONNX Runtime and Pillow into $venv"
  if /usr/bin/python3 -m venv --clear "$venv" &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --timeout 30 --retries 2 -r "$requirements"; then
    printf '%s\n' "$wanted" >"$venv/requirements.sha256"
  else
    rm -rf "$venv"
    say "ONNX Runtime could not be installed (no network?); the tests that compare with it will be skipped" >&2
  fi
}

with_python=false
for argument in "$@"; do
  case "$argument" in
    --python)
      with_python=true
      packages+=(python3 python3-venv)
      ;;
    --format) packages+=(git clang-format-14) ;;
    --fuzz) packages+=(clang-14 libclang-rt-14-dev) ;;
    -h | --help)
      sed -n 's/^# \{0,1\}//; 3,11p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) refuse "unknown argument '$argument'; known are --python, --format, --fuzz and --help" ;;
  esac
done

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  refuse "only Debian and Ubuntu are known here; install the equivalents of: ${packages[*]}"
install_packages "${packages[@]}"
if $with_python; then install_python; fi
