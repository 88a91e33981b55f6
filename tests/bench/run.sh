#!/bin/bash
# Usage: run.sh [SECTION...]: kernels, step, train, text, jieba, memory, serve,
# sessions, durable, jobs, captions, cnn, captioner (all by default).
# Prints JSON lines. Rivals are run in the same call, turn about with ours, and
# what counts is the ratio of medians: the machine's mood is then the same for
# both. Settings, from the environment:
#   PEERS_DIR    the rivals' scripts (../shared/peers beside the repository)
#   DATA_DIR     tinyshakespeare.txt, captions16 (../shared/data)
#   PYTHON       one with torch and numpy (/usr/bin/python3, Debian's)
#   NODE_PATH    where onnxruntime-node is
#   ROUNDS       turns of each (3)
#   BENCH_LARGE  1: also train on a text of 1 GB, and make a million sessions
#                (8 GB), both written to TMPDIR
# A section is a file of this folder, SECTION.bash; to add one, add the file.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export UNROLLD_EXE=${UNROLLD_EXE:-$root/build/release/unrolld}
programs=${BENCH_PROGRAMS:-$root/build/release/tests/bench}
peers=${PEERS_DIR:-$root/../shared/peers}
data=${DATA_DIR:-$root/../shared/data}
python=${PYTHON:-/usr/bin/python3}
rounds=${ROUNDS:-3}

for name in $(compgen -e UNROLLD_); do
	[ "$name" = UNROLLD_EXE ] || unset "$name"
done
export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Stops a section, saying why.
skip() {
	echo "bench: $section skipped: $*" >&2
	exit 0
}

need() {
	command -v "$1" >/dev/null || skip "no $1 ($2)"
}

# The middle one of the numbers on standard input.
median() {
	sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# ratio A B: A / B to three digits.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3g", a / b }'
}

# daemon OPTION...: serve on a port of its own; sets $pid, $url and $port. Ends
# with the section, or by leave.
daemon() {
	local tries

	: >"$work/url"
	"$UNROLLD_EXE" serve --http.port 0 "$@" >"$work/url" 2>"$work/log" &
	pid=$!
	trap leave EXIT
	url=
	for tries in {1..200}; do
		url=$(grep -o 'http://[^ ]*' "$work/url" | head -1) || true
		[ -z "$url" ] || break
		sleep 0.05
	done
	[ -n "$url" ] || {
		cat "$work/log" >&2
		return 1
	}
	url=${url%/}
	port=${url##*:}
}

leave() {
	[ -z "${pid:-}" ] || kill "$pid" 2>/dev/null || true
	[ -z "${pid:-}" ] || wait "$pid" || true
	pid=
}

# middle KEY: of the lines on standard input, the one whose KEY is the median.
middle() {
	jq -sc --arg key "$1" 'sort_by(.[$key]) | .[(length - 1) / 2 | floor]'
}

[ -x "$UNROLLD_EXE" ] || {
	echo "bench: no $UNROLLD_EXE: build it first, or use 'make bench'" >&2
	exit 1
}
[ $# -gt 0 ] || set -- kernels step train text jieba memory serve sessions durable jobs captions cnn captioner
for section in "$@"; do
	[ -f "$here/$section.bash" ] || {
		echo "bench: no section '$section', expected" \
			"$(cd "$here" && echo *.bash | sed 's/\.bash//g')" >&2
		exit 1
	}
done
failed=0
set +e
for section in "$@"; do
	# A subshell: a section that skips or fails ends alone.
	(
		set -e
		. "$here/$section.bash"
	)
	[ $? = 0 ] || failed=1
done
exit $failed
