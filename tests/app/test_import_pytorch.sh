#!/bin/bash
# run: parallel
# Import and export against real PyTorch, where there is one.
set -u

python=${PYTHON:-/usr/bin/python3}
exe=${UNROLLD_EXE:-build/release/unrolld}
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
	echo "1..1"
	echo "ok 1 - import and export # SKIP $python has no torch (Debian's python3-torch)"
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
OMP_NUM_THREADS=1 "$python" "$(dirname "$0")/import_pytorch.py" "$exe" "$dir"
