# 64 sessions that stream at once: with the sqlite store and full sync before
# each answer's end, against the store in memory. One curl reads all streams.
need jq "Debian's jq"
need curl "Debian's curl"
sessions=64
length=${LENGTH:-1000}
requests=${REQUESTS:-4} # of each session, one after the other

# One request of every session, as curl's configuration.
for ((i = 0; i < sessions; i++)); do
	[ "$i" = 0 ] || echo next
	echo "url = \"@URL@/sample\""
	echo 'header = "Content-Type: application/json"'
	echo "data = \"{\\\"session\\\": \\\"s$i\\\", \\\"length\\\": $length, \\\"stream\\\": true, \\\"wait_ms\\\": 10000}\""
	echo 'output = "/dev/null"'
	echo 'silent'
	echo 'fail'
done >"$work/streams"

# serve STORE: with its sessions.
serve() {
	daemon --sessions.store "$1" --sessions.path "$work/sessions.$RANDOM.db" \
		--engine.weights "${WEIGHTS:-int8}" --log.level warn
	for ((i = 0; i < sessions; i++)); do
		curl -sSf -o /dev/null -H 'Content-Type: application/json' \
			-d "{\"id\": \"s$i\", \"seed\": $i}" "$url/v1/sessions"
	done
	sed "s|@URL@|$url|" "$work/streams" >"$work/streams.now"
}

# rate STORE: tokens a second, over all of them.
rate() {
	local begun ended r

	serve "$1"
	curl -Z --parallel-immediate --parallel-max "$sessions" \
		-K "$work/streams.now" 2>/dev/null # warm
	begun=$(date +%s%N)
	for ((r = 0; r < requests; r++)); do
		curl -Z --parallel-immediate --parallel-max "$sessions" \
			-K "$work/streams.now" 2>/dev/null
	done
	ended=$(date +%s%N)
	curl -sSf "$url/v1/sessions/s0" | jq -e --argjson n \
		"$(((requests + 1) * length))" '.position == $n' >/dev/null || {
		echo "bench: durable: a session is not where it should be" >&2
		return 1
	}
	kill "$pid"
	wait "$pid"
	pid=
	echo $((sessions * length * requests * 1000000000 / (ended - begun)))
}

for ((round = 0; round < rounds; round++)); do
	rate memory >>"$work/memory"
	rate sqlite >>"$work/sqlite"
done
jq -nc --argjson memory "$(median <"$work/memory")" \
	--argjson sqlite "$(median <"$work/sqlite")" \
	--argjson sessions "$sessions" --argjson length "$length" '
	{bench: "durable", sessions: $sessions, tokens_a_request: $length,
	memory_tokens_per_s: $memory, sqlite_tokens_per_s: $sqlite,
	ratio: ($sqlite / $memory * 1000 | round / 1000), target: 0.9}'
