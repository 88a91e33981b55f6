#!/bin/bash
# run: parallel
# Over a megabyte of mixed text, cut by python-jieba now and compared with ours;
# JIEBA_TEXT adds a file of your own.
set -eu

test=build/${VARIANT:-release}/tests/text/test_jieba
python=/usr/bin/python3
if ! "$python" -c 'import jieba' 2>/dev/null; then
	echo "ok 1 - jieba oracle # SKIP no python3-jieba"
	exit 0
fi
if [ ! -x "$test" ]; then
	echo "ok 1 - jieba oracle # SKIP $test was not built"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TMPDIR=$work "$python" tests/text/make_jieba_golden.py "$work/golden" \
	--bytes 1000000 --seed 11 ${JIEBA_TEXT:+--text "$JIEBA_TEXT"}
JIEBA_GOLDEN=$work/golden "$test"
