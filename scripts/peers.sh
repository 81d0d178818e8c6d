#!/usr/bin/env bash
# Make .venv-peers: what the benchmarks are run beside. These packages want other versions than Assay does.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted="crowd-kit==1.4.2 scikit-learn<1.7 pandas<3 cleanlab==2.9.0 pyarrow"
[ "$(cat .venv-peers/.installed 2>/dev/null)" = "$wanted" ] && exit 0
echo "Installing crowd-kit and cleanlab into .venv-peers …"
.venv/bin/python -m venv --clear .venv-peers
# shellcheck disable=SC2086
.venv-peers/bin/python -m pip install -q --disable-pip-version-check $wanted ||
  { echo "assay: the peers could not be installed; check the network and run the same command again" >&2; exit 1; }
echo "$wanted" > .venv-peers/.installed
