# For the tests that drive a real daemon: a tiny model, made once per file, and
# a daemon per test, on a free port, bounded in time and ended by its pid.

exe=${UNROLLD_EXE:-$PWD/build/release/unrolld}
# gcc 12's TSan can't map its shadow when addresses are too random.
loose=()
[ "${VARIANT:-release}" != tsan ] || loose=(setarch -R)

# make_model DIR NAME [SEED [HIDDEN]]: knows the letters of this text, and no
# others.
make_model() {
	mkdir -p "$1"
	for _ in {1..60}; do
		echo 'ROMEO: the quick brown fox jumps over the lazy dog, 1234567890.'
		echo 'Why, then, is my pump well flowered? JULIET: O me!'
	done >"$1/text"
	"${loose[@]}" "$exe" train "$1/text" -o "$1/$2.safetensors" \
		--tokenizer char --cell lstm --hidden "${4:-48}" --layers 2 \
		--batch 4 --seq-length 16 --max-steps 20 --seed "${3:-1}" \
		--threads 1 >"$1/$2.log" 2>&1 || {
		cat "$1/$2.log" >&2
		return 1
	}
}

# start [OPTION...]: sets $url and $pid.
start() {
	local tries

	: >"$BATS_TEST_TMPDIR/out"
	timeout --kill-after=5 "${DAEMON_SECONDS:-60}" \
		bash -c 'echo $$ >"$0"; exec "$@"' "$BATS_TEST_TMPDIR/pid" \
		"${loose[@]}" "$exe" serve --http.port 0 \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--sessions.path "$BATS_TEST_TMPDIR/sessions.db" "$@" \
		>"$BATS_TEST_TMPDIR/out" 2>>"$BATS_TEST_TMPDIR/err" 3>&- &
	waiter=$!
	for tries in {1..300}; do
		url=$(grep -oE 'https?://[^ ]*|unix:[^ ]*' "$BATS_TEST_TMPDIR/out" | head -1)
		[ -z "$url" ] || break
		kill -0 "$waiter" 2>/dev/null || break
		sleep 0.05
	done
	pid=$(cat "$BATS_TEST_TMPDIR/pid")
	[ -n "$url" ] || {
		cat "$BATS_TEST_TMPDIR/err" >&2
		return 1
	}
}

# certificate NAME [HOST]: NAME.crt and NAME.key, of this machine or of HOST.
certificate() {
	local names=DNS:localhost,IP:127.0.0.1

	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj "/CN=$1" -addext "subjectAltName=${2:+DNS:}${2:-$names}" \
		-keyout "$BATS_TEST_TMPDIR/$1.key" -out "$BATS_TEST_TMPDIR/$1.crt" 2>/dev/null
	chmod 600 "$BATS_TEST_TMPDIR/$1.key"
}

# stop [SIGNAL]: sets $ended to the exit status.
stop() {
	kill "-${1:-TERM}" "$pid" 2>/dev/null || true
	ended=0
	wait "$waiter" || ended=$?
	pid=
}

teardown() {
	[ -z "${pid:-}" ] || stop KILL
	# Shown by bats when the test failed.
	! grep -E "(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error" \
		"$BATS_TEST_TMPDIR/err" || cat "$BATS_TEST_TMPDIR/err"
}

# request METHOD PATH [CURL OPTION...]: sets $status, $body and $head.
request() {
	local method=$1 path=$2

	shift 2
	status=$(curl -sS --max-time 30 -X "$method" -D "$BATS_TEST_TMPDIR/head" \
		-o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$@" "$url$path")
	body=$(tr -d '\0' <"$BATS_TEST_TMPDIR/body")
	head=$(tr -d '\r' <"$BATS_TEST_TMPDIR/head")
}

# post PATH JSON
post() {
	request POST "$1" -H 'Content-Type: application/json' --data-binary "$2"
}

# start_stream: text that is generated, until end_stream says that it still was.
start_stream() {
	while curl -sSN --max-time 100 -H 'Content-Type: application/json' \
		-d '{"model": "tiny", "length": 1000000, "stream": true}' \
		"$url/sample"; do :; done >"$BATS_TEST_TMPDIR/endless" 3>&- &
	streamer=$!
	until [ -s "$BATS_TEST_TMPDIR/endless" ]; do
		kill -0 "$streamer"
		sleep 0.01
	done
}

end_stream() {
	kill -0 "$streamer"
	kill "$streamer" $(pgrep -P "$streamer")
	wait "$streamer" || true
}

# field FILTER: of the last answer.
field() {
	jq -r "$1" <<<"$body"
}

expect() {
	[ "$1" = "$2" ] || {
		echo "expected '$2', got '$1'; answer $status: $body" >&2
		return 1
	}
}

# expect_error STATUS PARAM CODE MESSAGE-PART
expect_error() {
	expect "$status" "$1"
	expect "$(field '.error.param')" "$2"
	expect "$(field '.error.code')" "$3"
	[[ "$(field '.error.message')" == *"$4"* ]] || {
		echo "no '$4' in: $body" >&2
		return 1
	}
	expect "$(field '.error | keys | join(" ")')" "code message param type"
}

# The text of a stream: the deltas of all frames.
stream_text() {
	sed -n 's/^data: \({.*\)$/\1/p' | jq -j '.text // empty'
}

# metric NAME: the value of a series.
metric() {
	curl -sS --max-time 10 "$url/metrics" |
		awk -v name="$1" '$1 == name { print $2 }'
}

# wait_metric NAME VALUE: until it has that value, for at most 10 s.
wait_metric() {
	local value

	for _ in {1..200}; do
		value=$(metric "$1")
		[ "$value" != "$2" ] || return 0
		sleep 0.05
	done
	echo "$1 is $value, expected $2" >&2
	return 1
}
