#!/usr/bin/env bash
# Make .venv and install what the project needs. Usage: scripts/venv.sh [empty|run|dev]
#   empty  the virtual environment alone (then put your own PyTorch into it)
#   run    what `make demo` and `make serve` need
#   dev    what `make test` needs on top
# Safe to run again: a finished installation is left alone, a broken one is completed.
set -euo pipefail
cd "$(dirname "$0")/.."
want=${1:-run}
fail() { echo "assay: $*" >&2; exit 1; }

python=""
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    python=$name
  fi
done
[ -x .venv/bin/python ] || [ -n "$python" ] ||
  fail "Python 3.11, 3.12 or 3.13 is needed and none was found; install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make demo PYTHON=/path/to/python3.11"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  rm -rf .venv
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    # Debian and Ubuntu part ensurepip from Python.
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
      echo "Installing the python3-venv package …"
      apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$(basename "$python")-venv" >/dev/null 2>&1 || true
    fi
    "$python" -m venv .venv >/dev/null 2>&1 ||
      { rm -rf .venv; fail "cannot make a virtual environment with $python; on Debian and Ubuntu: sudo apt-get install $(basename "$python")-venv"; }
  fi
fi
[ "$want" = empty ] && { echo "Made .venv (nothing installed yet)."; exit 0; }

case $want in
  run) files="requirements.txt" ;;
  dev) files="requirements-dev.txt" ;;
  *) fail "usage: scripts/venv.sh [empty|run|dev]" ;;
esac
sum=$(cat requirements.txt requirements-dev.txt constraints.txt | sha256sum | cut -c1-16)
for done_for in "$want" dev; do
  [ "$(cat ".venv/.installed-$done_for" 2>/dev/null)" = "$sum" ] && exit 0
done

free=$(df -Pk . | awk 'NR==2 {print int($4 / 1048576)}')
if ! .venv/bin/python -c 'import torch' >/dev/null 2>&1 && [ "$free" -lt 8 ]; then
  fail "the disk has $free GB left and PyTorch with what it needs takes about 7; free some space, or keep a small CPU-only PyTorch (README, \"A smaller installation\")"
fi
echo "Installing from $files (the first time takes a few minutes and about 7 GB) …"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off -r "$files" -c constraints.txt >"$log" 2>&1; then
  if grep -qi 'no space left' "$log"; then fail "the disk is full; free some space and run the same command again: it goes on"; fi
  if grep -qiE 'temporary failure|name resolution|from versions: none|caused by: *$|resolutionimpossible|connection (refused|error|broken)|newconnectionerror|max retries|timed out|network is unreachable' "$log"; then
    fail "the Python package registry cannot be reached; check the network (or pip's index settings) and run the same command again: it goes on"
  fi
  tail -n 5 "$log" >&2
  fail "pip could not install $files (its last words are above)"
fi
echo "$sum" >".venv/.installed-$want"
