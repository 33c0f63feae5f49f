#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the virtual environment in which everything runs: real ROS 2 from wheels, the bridge's
# message types built from interfaces/, and this package. Needs Python 3.10-3.12, gcc, g++, make.
# venv.sh [FOLDER [SET]]: the versions of setup/SET.txt take the place of requirements.txt's.
# venv.sh FOLDER SET more: adds what requirements-more.txt has; SET may be "".
set -euo pipefail
cd "$(dirname "$0")/.."
venv="$PWD/${1:-.venv}"
set="${2:+setup/$2.txt}"
log="$venv/setup.log"

fail() { printf 'td3_driver set-up: %s\n' "$*" >&2; exit 1; }
[ -z "$set" ] || [ -f "$set" ] || fail "there is no $set, only $(ls setup/*.txt | xargs)"
say() { printf 'td3_driver set-up: %s\n' "$*"; }
logged() { "$@" >>"$log" 2>&1; }

[ "$(uname -sm)" = "Linux x86_64" ] ||
  fail "this machine is $(uname -sm); the ROS 2 wheels exist for Linux x86_64 only"
for tool in gcc g++ make; do
  command -v "$tool" >/dev/null ||
    fail "no $tool found; it builds the bridge's message types (Debian, Ubuntu: build-essential)"
done

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
  >/dev/null 2>&1; }
find_python() {
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || fail "$PYTHON is not Python 3.10, 3.11 or 3.12"
    command -v "$PYTHON"
    return
  fi
  for candidate in python3 python3.12 python3.11 python3.10; do
    supported "$candidate" && { command -v "$candidate"; return; }
  done
  fail "no Python 3.10, 3.11 or 3.12 found; name one with 'make setup PYTHON=/path/to/python3.11'"
}
python=$(find_python)
"$python" -c 'import ensurepip' 2>/dev/null ||
  fail "$python cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
[ -f "$include/Python.h" ] ||
  fail "no Python.h in $include (Debian, Ubuntu: apt install python3-dev)"

# pins FILE: its versions, or the set's where that has others, into the environment's folder.
pins() {
  awk -F== -v set="$set" '
    FILENAME == set { if (/^ros-/) { ros = 1; print } else its[tolower($1)] = $0; next }
    tolower($1) in its { print its[tolower($1)]; its[tolower($1)] = ""; next }
    !(ros && /^ros-/)' ${set:+"$set"} "$1" >"$venv/$1"
}
# install FILE [OPTION...]. pip would compile all modules, most of which nobody imports.
install() {
  logged "$bin/pip" install --disable-pip-version-check --no-compile -r "$venv/$1" \
    --constraint "$venv/requirements.txt" "${@:2}" && return
  if grep -qE 'NewConnectionError|name resolution|Network is unreachable|timed out' "$log"; then
    fail "no network: pip does not reach its package index (see $log)"
  fi
  fail "pip could not install ${set:+$set over }$1: $(grep -m1 -E '^ERROR' "$log") (see $log)"
}

bin="$venv/bin"
if [ "${3:-}" = more ]; then
  say "packages beyond those of training"
  pins requirements-more.txt
  install requirements-more.txt --constraint "$venv/requirements-ros.txt"
  # All of them now: the tests start hundreds of processes.
  env -u PYTHONDONTWRITEBYTECODE "$bin/python" -m compileall -q -j "$(nproc)" \
    "$("$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')" \
    >>"$log" 2>&1 || true  # some packages have files of other versions of Python
  touch "$venv/.ready-whole"
  say "ready"
  exit
fi

say "a virtual environment with $("$python" --version) in $venv (a few minutes, once)"
rm -rf "$venv"
"$python" -m venv "$venv"

say "ROS 2"
pins requirements.txt
pins requirements-ros.txt
install requirements-ros.txt numpy

# The wheels' CMake targets name the include folders of the machine that built them.
site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
numpy=$("$bin/python" -c 'import numpy; print(numpy.get_include())')
grep -rlZ --include='*.cmake' '/opt/python/' "$venv/share" | xargs -0 -r sed -i -E \
  -e "s#/opt/python/[^/;\"]+/lib/python3\.[0-9]+/site-packages/numpy/_core/include#$numpy#g" \
  -e "s#/opt/python/[^/;\"]+/lib/python3\.[0-9]+/site-packages#$site#g" \
  -e "s#/opt/python/[^/;\"]+/include/python3\.[0-9]+#$include#g"

# While the other packages come. In a group of its own, which ends with this script.
build_interfaces() {
  export MAKEFLAGS="-j$(nproc)"  # else make would wait for pip to leave the processor alone
  export PATH="$bin:$PATH" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PYTHONPATH=
  colcon --log-base "$venv/log" build --paths interfaces/*/ --merge-install \
    --build-base "$venv/build" --install-base "$venv" --event-handlers console_direct+ \
    --cmake-args "-DPython3_EXECUTABLE=$bin/python" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_TESTING=OFF -DWITHOUT_CPP=ON >"$venv/interfaces.log" 2>&1
}
say "packages and message types"
set -m
build_interfaces &
building=$!
set +m
trap 'kill -- "-$building" 2>/dev/null || true' EXIT
install requirements.txt
wait "$building" || fail "building interfaces failed (see $venv/interfaces.log)"
trap - EXIT

say "td3_driver"
logged "$bin/pip" install --disable-pip-version-check --no-build-isolation --no-deps -e . ||
  fail "installing the package failed (see $log)"
# Compiles what a run imports, which else its processes would do, each for itself.
logged env -u PYTHONDONTWRITEBYTECODE "$bin/python" -c 'import td3_driver.ros.driver.node, td3_driver.bridge_twin.world_node
import td3_driver.evaluation.selection, td3_driver.ros.train.train' ||
  fail "the package cannot be imported (see $log)"
touch "$venv/.ready"
say "ready"
