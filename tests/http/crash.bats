# Clients stream over many sessions while the daemon is killed at random; after
# each start every session stands where it was acknowledged or later. At the
# end, all that was ever said, and what the sessions say then, is what a daemon
# that was never interrupted says. CRASH_KILLS=200 is the long form.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

kills=${CRASH_KILLS:-6}
sessions=6
export DAEMON_SECONDS=$((60 + kills * 5))

# client I: samples of session I until told to stop. Of each answer that came
# whole it keeps the position reached and the text; of streams, all whole
# frames that came, too: what was sent may be cut off, but never be wrong.
client() {
	local i=$1 n=0 body length stream here=$BATS_TEST_TMPDIR

	RANDOM=$((1000 + i))
	while [ ! -e "$here/stop" ]; do
		n=$((n + 1))
		length=$((5 + RANDOM % 120))
		stream=$((RANDOM % 4 ? 1 : 0))
		body="{\"session\": \"s$i\", \"length\": $length"
		[ $stream = 0 ] || body+=', "stream": true'
		if ! curl -sSN --max-time 20 -o "$here/answer.$i" \
			-H 'Content-Type: application/json' -d "$body}" \
			"$(cat "$here/url")/sample" 2>/dev/null; then
			sleep 0.02
		fi
		keep "$i" $stream
	done
}

# keep I STREAM: one line per whole answer, {end, text}.
keep() {
	local answer=$BATS_TEST_TMPDIR/answer.$1

	[ -s "$answer" ] || return 0
	if [ "$2" = 1 ]; then
		sed -n 's/^data: \({.*}\)$/\1/p' "$answer" |
			jq -cs 'select(any(.finish_reason == "length")) |
				{end: .[-1].position, text: map(.text) | join("")}'
	else
		jq -c 'select(.finish_reason == "length") |
			{end: .position, text}' "$answer" 2>/dev/null
	fi >>"$BATS_TEST_TMPDIR/said.$1" || true
	: >"$answer"
}

acknowledged() {
	tail -n 1 "$BATS_TEST_TMPDIR/said.$1" 2>/dev/null | jq .end
}

# The positions that were acknowledged before the daemon died.
check_positions() {
	local i at

	for ((i = 0; i < sessions; i++)); do
		request GET "/v1/sessions/s$i"
		expect "$status" 200
		at=$(field .position)
		[ "$at" -ge "${acked[i]:-0}" ] || {
			echo "session s$i is at $at, acknowledged was ${acked[i]}" >&2
			return 1
		}
	done
}

# Every answer is the reference's text at its place, and none began before the
# end of one that was acknowledged earlier.
check_texts() {
	local i last

	for ((i = 0; i < sessions; i++)); do
		request GET "/v1/sessions/s$i"
		last=$(field .position)
		post /sample "{\"session\": \"s$i\", \"length\": 50}"
		jq -c '{end: .position, text}' <<<"$body" \
			>>"$BATS_TEST_TMPDIR/said.$i"
		expect "$(field .position)" $((last + 50))
		post /v1/sessions "{\"id\": \"r$i\", \"seed\": $((i + 1))}"
		post /sample "{\"session\": \"r$i\", \"length\": $((last + 50))}"
		jq -e --slurpfile said "$BATS_TEST_TMPDIR/said.$i" '
			.text as $all | $said | length > 1 and all(.text ==
				$all[.end - (.text | length):.end]) and
			all(range(1; length) as $k | .[$k] | .end -
				(.text | length) >= $said[$k - 1].end; .)
			' <<<"$body" >/dev/null || {
			echo "session s$i did not go on as it should" >&2
			return 1
		}
	done
}

@test "$kills kills: nothing acknowledged is lost, all goes on to the byte" {
	local i kill clients=() acked=()

	RANDOM=7
	start
	echo "$url" >"$BATS_TEST_TMPDIR/url"
	for ((i = 0; i < sessions; i++)); do
		post /v1/sessions "{\"id\": \"s$i\", \"seed\": $((i + 1))}"
		expect "$status" 201
	done
	for ((i = 0; i < sessions; i++)); do
		client "$i" 3>&- &
		clients[i]=$!
	done
	for ((kill = 0; kill < kills; kill++)); do
		sleep "0.$((100 + RANDOM % 600))"
		stop KILL
		for ((i = 0; i < sessions; i++)); do
			acked[i]=$(acknowledged "$i")
		done
		start
		# Clients find it there, at work before it is looked at.
		echo "$url" >"$BATS_TEST_TMPDIR/url.new"
		mv "$BATS_TEST_TMPDIR/url.new" "$BATS_TEST_TMPDIR/url"
		check_positions
	done
	touch "$BATS_TEST_TMPDIR/stop"
	wait "${clients[@]}"
	check_texts
	echo "# $(cat "$BATS_TEST_TMPDIR"/said.* | wc -l) answers in $kills kills" >&3
}
