# Streams that are picked up again: dropped, cancelled, detached, killed.

load daemon

# Long and slow enough to be left in the middle.
long=100000 hidden=192
[ "${VARIANT:-release}" = release ] || long=20000 hidden=48

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny 1 "$hidden"
}

# stream FILE JSON [CURL OPTION...]: what came until the end, or until there
# were $part bytes.
stream() {
	local file=$BATS_TEST_TMPDIR/$1 json=$2

	shift 2
	curl -sSN --max-time 30 -H 'Content-Type: application/json' \
		-D "$file.head" -d "$json" "$@" "$url/sample" 2>/dev/null |
		head -c "${part:-99M}" >"$file" || true
}

# resume FILE ID [CURL OPTION...]: likewise.
resume() {
	local file=$BATS_TEST_TMPDIR/$1 id=$2

	shift 2
	curl -sSN --max-time 50 -D "$file.head" "$@" "$url/v1/streams/$id" \
		2>/dev/null | head -c "${part:-99M}" >"$file" || true
}

stream_id() {
	tr -d '\r' <"$BATS_TEST_TMPDIR/$1.head" |
		sed -n 's/^X-Stream-Id: //p'
}

# The events of a file that are whole, and the id of the last of them.
whole_events() {
	awk 'BEGIN { RS = ""; ORS = "\n\n" } { if (n++) print last; last = $0 }
		END { if (last ~ /}$|DONE\]$/) print last }' \
		"$BATS_TEST_TMPDIR/$1"
}

last_id() {
	whole_events "$1" | sed -n 's/^id: //p' | tail -1
}

# text FILE...: of whole events, one file after the other.
text() {
	local file

	for file; do
		whole_events "$file" | stream_text
	done
}

reference() {
	post /sample "$1"
	expect "$status" 200
	field .text >"$BATS_TEST_TMPDIR/reference"
}

same_text() {
	text "$@" >"$BATS_TEST_TMPDIR/joined"
	echo >>"$BATS_TEST_TMPDIR/joined"
	cmp "$BATS_TEST_TMPDIR/joined" "$BATS_TEST_TMPDIR/reference"
}

@test "a stream names itself, and is replayed from any event" {
	start
	stream whole '{"prompt": "ROMEO:", "length": 400, "seed": 3, "stream": true}'
	local id=$(stream_id whole) n
	[[ "$id" =~ ^strm_[a-z2-7]{26}$ ]]
	expect "$(sed -n 's/^data: \({.*\)$/\1/p' "$BATS_TEST_TMPDIR/whole" |
		jq -r '.stream // empty' | uniq -c | awk '{print $1, $2}')" "2 $id"
	resume again "$id"
	cmp "$BATS_TEST_TMPDIR/whole" "$BATS_TEST_TMPDIR/again"
	for n in $(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/whole" | shuf -n 4) 400; do
		resume again "$id?from=$n"
		awk -v n="$n" 'BEGIN { RS = ""; ORS = "\n\n" } on; $2 == n { on = 1 }' \
			"$BATS_TEST_TMPDIR/whole" | cmp - "$BATS_TEST_TMPDIR/again"
		resume again "$id" -H "Last-Event-ID: $n"
		awk -v n="$n" 'BEGIN { RS = ""; ORS = "\n\n" } on; $2 == n { on = 1 }' \
			"$BATS_TEST_TMPDIR/whole" | cmp - "$BATS_TEST_TMPDIR/again"
	done
}

@test "what can't be resumed says why" {
	start
	stream whole '{"length": 50, "seed": 3, "stream": true}'
	local id=$(stream_id whole)
	request GET "/v1/streams/$id?from=51"
	expect_error 400 from invalid_value "the last event that was sent is 50"
	request GET "/v1/streams/$id?from=-1"
	expect_error 400 from invalid_value "'-1'"
	request GET "/v1/streams/$id?from="
	expect_error 400 from invalid_value "number of tokens"
	request GET "/v1/streams/$id" -H 'Last-Event-ID: 5x'
	expect_error 400 Last-Event-ID invalid_value "'5x'"
	request GET /v1/streams/strm_nobody
	expect_error 404 stream stream_not_found "strm_nobody"
	request GET "/v1/streams/$(printf 'x%.0s' {1..100})"
	expect "$status" 404
	request HEAD "/v1/streams/$id" -I
	expect "$status" 405
	# Between two events, where there is such a place.
	local between=$(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/whole" |
		awk '$1 - last > 1 { print $1 - 1; exit } { last = $1 }')
	if [ -n "$between" ]; then
		request GET "/v1/streams/$id?from=$between"
		expect_error 400 from invalid_value "the nearest are"
	fi
}

@test "a stream's time ends, and its record with it" {
	start --streams.ttl 1s --http.heartbeat 100ms
	stream whole '{"length": 50, "seed": 3, "stream": true}'
	local id=$(stream_id whole)
	resume again "$id"
	sleep 1.5
	request GET "/v1/streams/$id"
	expect_error 404 stream stream_not_found ""
	stop TERM
	start --streams.ttl 0
	stream whole '{"length": 50, "seed": 3, "stream": true}'
	expect "$(stream_id whole)" ""
}

@test "dropped and resumed: the text is as if it had never been" {
	start
	reference "{\"prompt\": \"ROMEO:\", \"length\": $long, \"seed\": 5}"
	part=20K stream one "{\"prompt\": \"ROMEO:\", \"length\": $long, \"seed\": 5, \"stream\": true}"
	local id=$(stream_id one) n=$(last_id one)
	[ "$n" -gt 0 ]
	[ "$n" -lt "$long" ]
	resume two "$id" -H "Last-Event-ID: $n"
	same_text one two
	grep -q '"finish_reason":"length"' "$BATS_TEST_TMPDIR/two"
}

@test "without a buffer all comes from the record" {
	start --streams.buffer 0 --streams.buffer_total 0
	reference '{"prompt": "The", "length": 500, "seed": 6, "stop": ["qq"], "echo": true}'
	stream one '{"prompt": "The", "length": 500, "seed": 6, "stop": ["qq"], "echo": true, "stream": true}'
	same_text one
	resume two "$(stream_id one)"
	same_text two
	expect "$(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/two" | tail -1)" 500
	local n
	for n in 1 17 499 500; do
		resume three "$(stream_id one)?from=$n"
		expect "$(text three; echo x)" "$(tail -c +$((n + 4)) "$BATS_TEST_TMPDIR/reference" | head -c $((500 - n)); echo x)"
	done
	request GET "/v1/streams/$(stream_id one)?from=501"
	expect_error 400 from invalid_value "500"
	expect "$(metric unrolld_streams_buffer_bytes)" 0
	stream several '{"length": 50, "n": 2, "seed": 1, "stream": true}'
	request GET "/v1/streams/$(stream_id several)?from=10"
	expect_error 410 stream stream_gone "2 choices"
}

@test "log-probabilities come again, too" {
	start --streams.buffer 0
	stream one '{"length": 60, "seed": 6, "logprobs": 3, "stream": true}'
	resume two "$(stream_id one)?from=20"
	expect "$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/one" |
		jq -c '.logprobs.token_logprobs[]' | tail -40)" \
		"$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/two" |
		jq -c '.logprobs.token_logprobs[]')"
}

@test "a session's stream that was dropped goes on, and the session with it" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "b", "seed": 7}'
	reference "{\"session\": \"b\", \"prompt\": \"ROMEO:\", \"length\": $long}"
	part=20K stream one "{\"session\": \"a\", \"prompt\": \"ROMEO:\", \"length\": $long, \"stream\": true}"
	local id=$(stream_id one) n=$(last_id one) at
	resume two "$id?from=$n"
	same_text one two
	request GET /v1/sessions/a
	expect "$(field .position)" $((long + 6))
	# Both stand at the same place, and go on alike.
	reference '{"session": "b", "length": 100}'
	post /sample '{"session": "a", "length": 100}'
	expect "$(field .text)" "$(cat "$BATS_TEST_TMPDIR/reference")"
}

@test "a dropped stream that held text back for a stop goes on all the same" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "b", "seed": 7}'
	# Most letters may be the beginning of a stop.
	local stop='"stop": [" ~", "e~", "o~", "t~", "r~", "h~", "u~", "n~"]' i n
	reference "{\"session\": \"b\", \"length\": $long, $stop}"
	part=20K stream piece.0 "{\"session\": \"a\", \"length\": $long, $stop, \"stream\": true}"
	local id=$(stream_id piece.0) pieces=(piece.0)
	for i in 1 2; do
		n=$(last_id "piece.$((i - 1))")
		part=20K resume "piece.$i" "$id?from=$n"
		pieces+=("piece.$i")
	done
	resume last "$id?from=$(last_id piece.2)"
	same_text "${pieces[@]}" last
	request GET /v1/sessions/a
	expect "$(field .position)" "$long"
	reference '{"session": "b", "length": 100}'
	post /sample '{"session": "a", "length": 100}'
	expect "$(field .text)" "$(cat "$BATS_TEST_TMPDIR/reference")"
}

@test "if the session went on meanwhile, a dropped stream ends where it was cut" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	part=20K stream one "{\"session\": \"a\", \"length\": $long, \"stream\": true}"
	wait_metric unrolld_generations_active 0
	request GET /v1/sessions/a
	local at=$(field .position)
	[ "$at" -gt 0 ]
	post /sample '{"session": "a", "length": 5}'
	expect "$status" 200
	resume two "$(stream_id one)?from=$(last_id one)"
	grep -q '"finish_reason":"cancelled"' "$BATS_TEST_TMPDIR/two"
	expect "$(text one two | wc -c)" "$at"
	request GET /v1/sessions/a
	expect "$(field .position)" $((at + 5))
}

@test "a session's stream is replayed after its end, also after a restart" {
	start
	post /v1/sessions '{"id": "a", "seed": 8}'
	post /sample '{"session": "a", "prompt": "O me! ", "length": 33}'
	stream one '{"session": "a", "prompt": "Why, ", "length": 200, "stream": true}'
	local id=$(stream_id one)
	stop KILL
	start
	resume two "$id"
	expect "$(text two)" "$(text one)"
	grep -q '"session":"a","position":244' "$BATS_TEST_TMPDIR/two"
	resume three "$id?from=200"
	expect "$(grep -c '^id:' "$BATS_TEST_TMPDIR/three")" 0
	request GET /v1/sessions/a
	expect "$(field .position)" 244
	request DELETE /v1/sessions/a
	stop KILL
	start
	request GET "/v1/streams/$id"
	expect_error 404 stream stream_not_found ""
}

@test "kill -9 in the middle: the stream is generated again from its record" {
	start
	reference "{\"prompt\": \"The\", \"length\": $long, \"seed\": 9}"
	local whole=$(cat "$BATS_TEST_TMPDIR/reference")
	post /v1/sessions '{"id": "a", "seed": 9}'
	stream one "{\"session\": \"a\", \"prompt\": \"The\", \"length\": $long, \"stream\": true}" \
		--limit-rate 100K 3>&- &
	local job=$!
	stream alone "{\"prompt\": \"The\", \"length\": $long, \"seed\": 9, \"stream\": true}" \
		--limit-rate 100K 3>&- &
	local job2=$!
	wait_metric unrolld_slots_active 2
	sleep 0.5
	stop KILL
	wait "$job" "$job2"
	local id=$(stream_id one) n=$(last_id one)
	[ "$n" -gt 0 ]
	start
	# The session stands where it was before.
	request GET /v1/sessions/a
	expect "$(field .position)" 0
	resume two "$id" -H "Last-Event-ID: $n"
	same_text one two
	request GET /v1/sessions/a
	expect "$(field .position)" $((long + 3))
	resume three "$(stream_id alone)?from=$(last_id alone)"
	same_text alone three
}

@test "after a crash the session may go on instead; the stream is gone then" {
	start
	post /v1/sessions '{"id": "a", "seed": 9}'
	stream one "{\"session\": \"a\", \"length\": $long, \"stream\": true}" \
		--limit-rate 100K 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	sleep 0.3
	stop KILL
	wait "$job"
	start
	post /sample '{"session": "a", "length": 5}'
	expect "$(field .position)" 5
	request GET "/v1/streams/$(stream_id one)?from=$(last_id one)"
	expect_error 410 stream stream_gone "went on without it"
}

@test "on another kernel set a stream is gone" {
	start
	stream one '{"length": 100, "seed": 1, "stream": true}'
	stop TERM
	UNROLLD_KERNELS=generic start
	request GET "/v1/streams/$(stream_id one)"
	if [[ "$(tail -4 "$BATS_TEST_TMPDIR/one")" == *-generic\"* ]]; then
		expect "$status" 200
	else
		expect_error 410 stream stream_gone "generic"
	fi
}

@test "on_disconnect continue: it goes on to its end without its client" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	reference '{"length": 20000, "seed": 7}'
	part=20K stream one '{"session": "a", "length": 20000, "stream": true, "on_disconnect": "continue"}'
	local id=$(stream_id one) n=$(last_id one)
	wait_metric unrolld_generations_active 0
	wait_metric unrolld_streams_detached 0
	request GET /v1/sessions/a
	expect "$(field .position)" 20000
	resume two "$id?from=${n:-0}"
	same_text one two
	request GET /v1/sessions/a
	expect "$(field .position)" 20000
	# Of an answer in one piece, the session keeps what was said.
	! curl -sS --max-time 0.05 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 20000, "on_disconnect": "continue"}' \
		"$url/sample" >/dev/null 2>&1
	wait_metric unrolld_generations_active 0
	request GET /v1/sessions/a
	expect "$(field .position)" 40000
}

@test "a detached stream is picked up while it runs" {
	start
	reference "{\"length\": $long, \"seed\": 7}"
	part=20K stream one "{\"length\": $long, \"seed\": 7, \"stream\": true, \"on_disconnect\": \"continue\"}"
	resume two "$(stream_id one)" -H "Last-Event-ID: $(last_id one)"
	same_text one two
}

@test "only so many go on without their clients" {
	start --streams.max_detached 1
	part=4K stream one '{"length": 1000000, "stream": true, "on_disconnect": "continue"}'
	wait_metric unrolld_streams_detached 1
	part=4K stream two '{"length": 1000000, "stream": true, "on_disconnect": "continue"}'
	wait_metric 'unrolld_generations_total{outcome="cancelled"}' 1
	expect "$(metric unrolld_streams_detached)" 1
	stop TERM
	expect "$ended" 0
}

@test "the latest reader has the stream; the one before is told" {
	start
	reference "{\"length\": $long, \"seed\": 7}"
	stream one "{\"length\": $long, \"seed\": 7, \"stream\": true}" \
		--limit-rate 100K 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	sleep 0.3
	resume two "$(stream_id one)"
	same_text two
	wait "$job"
	grep -q '"code":"stream_taken"' "$BATS_TEST_TMPDIR/one"
	expect "$(grep '^data:' "$BATS_TEST_TMPDIR/one" | tail -1)" "data: [DONE]"
}

@test "dropped and resumed again and again" {
	start --streams.buffer 4K
	local pieces=() id n=0 i
	post /v1/sessions '{"id": "a", "seed": 11}'
	reference '{"length": 20000, "seed": 11}'
	part=20K stream piece.0 '{"session": "a", "length": 20000, "stream": true}'
	id=$(stream_id piece.0)
	pieces=(piece.0)
	n=$(last_id piece.0)
	for i in 1 2 3; do
		part=20K resume "piece.$i" "$id?from=${n:-0}"
		pieces+=("piece.$i")
		n=$(text "${pieces[@]}" | wc -c)
	done
	resume last "$id?from=$n"
	same_text "${pieces[@]}" last
	request GET /v1/sessions/a
	expect "$(field .position)" 20000
}
