# Streaming over server-sent events, and clients that leave.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

stream() {
	curl -sSN --max-time 30 -H 'Content-Type: application/json' \
		-D "$BATS_TEST_TMPDIR/head" -d "$1" "$url/sample"
}

@test "a stream has the text of the answer in one piece" {
	start
	local body_json='{"prompt": "ROMEO:", "length": 3000, "seed": 3'
	post /sample "$body_json}"
	local whole=$(field .text)
	stream "$body_json, \"stream\": true}" >"$BATS_TEST_TMPDIR/events"
	expect "$(stream_text <"$BATS_TEST_TMPDIR/events")" "$whole"
	grep -qi '^content-type: text/event-stream' "$BATS_TEST_TMPDIR/head"
	grep -qi '^x-accel-buffering: no' "$BATS_TEST_TMPDIR/head"
	grep -qi '^cache-control: no-cache' "$BATS_TEST_TMPDIR/head"
	# The last two events: the final frame, and [DONE].
	expect "$(grep '^data:' "$BATS_TEST_TMPDIR/events" | tail -1)" "data: [DONE]"
	body=$(grep '^data: {' "$BATS_TEST_TMPDIR/events" | tail -1 | cut -c7-)
	expect "$(field '[.finish_reason, .position, .usage.completion_tokens, .text] | @csv')" \
		'"length",3006,3000,""'
}

@test "ids count tokens, and frames cover all of them" {
	start
	stream '{"prompt": "The", "length": 500, "seed": 3, "stream": true}' \
		>"$BATS_TEST_TMPDIR/events"
	expect "$(grep '^id: ' "$BATS_TEST_TMPDIR/events" | tail -1)" "id: 500"
	expect "$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/events" |
		jq -s 'map(.tokens) | add')" 500
	# Each id is the sum of the tokens so far.
	expect "$(paste -d' ' \
		<(grep '^id: ' "$BATS_TEST_TMPDIR/events" | cut -c5-) \
		<(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/events" | jq .tokens) |
		awk '{ sum += $2; if (sum != $1) print "wrong at", $1 }')" ""
}

@test "a stream of several choices keeps them apart" {
	start
	post /sample '{"prompt": "The", "length": 200, "seed": 4, "n": 3, "echo": true}'
	local i
	stream '{"prompt": "The", "length": 200, "seed": 4, "n": 3, "echo": true, "stream": true}' \
		>"$BATS_TEST_TMPDIR/events"
	for i in 0 1 2; do
		expect "$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/events" |
			jq -j "select(.index == $i) | .text")" \
			"$(field ".choices[$i].text")"
	done
}

@test "logprobs and a long echo are streamed whole" {
	start
	stream '{"prompt": "The", "length": 300, "seed": 4, "logprobs": 20, "stream": true}' \
		>"$BATS_TEST_TMPDIR/events"
	expect "$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/events" |
		jq -s '[.[].logprobs.tokens[]] | length')" 300
	local times=8000 prompt
	[ "${VARIANT:-release}" = release ] || times=800
	prompt=$(for ((i = 0; i < times; i++)); do printf 'the quick brown fox jumps over the lazy dog. '; done)
	printf '{"echo": true, "length": 1, "stream": true, "prompt": "%s"}' \
		"$prompt" >"$BATS_TEST_TMPDIR/long"
	curl -sSN --max-time 30 -H 'Content-Type: application/json' \
		--data-binary "@$BATS_TEST_TMPDIR/long" "$url/sample" \
		>"$BATS_TEST_TMPDIR/events"
	expect "$(stream_text <"$BATS_TEST_TMPDIR/events" | head -c -1)" "$prompt"
}

@test "what is wrong is said before the stream, with its status" {
	start
	post /sample '{"stream": true, "length": -1}'
	expect_error 400 length invalid_value "the integer -1"
	post /sample '{"stream": true, "prompt": "ü"}'
	expect_error 422 prompt unknown_character "ü"
	post /sample '{"stream": true, "session": "nobody"}'
	expect_error 404 session session_not_found "nobody"
}

@test "16 streams at once each get their own text" {
	start
	local i
	for i in {1..16}; do
		stream "{\"prompt\": \"fox $i\", \"length\": 1000, \"seed\": $i, \"stream\": true}" \
			>"$BATS_TEST_TMPDIR/stream.$i" 3>&- &
		jobs[i]=$!
	done
	wait "${jobs[@]}"
	for i in {1..16}; do
		post /sample "{\"prompt\": \"fox $i\", \"length\": 1000, \"seed\": $i}"
		expect "$status" 200
		expect "$(stream_text <"$BATS_TEST_TMPDIR/stream.$i")" "$(field .text)"
	done
	# So many are taken together: each id still is the sum of the tokens.
	for i in {1..16}; do
		expect "$(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/stream.$i" | tr '\n' ' ')" \
			"$(sed -n 's/^data: \({"index.*\)$/\1/p' "$BATS_TEST_TMPDIR/stream.$i" |
				jq -sj 'foreach .[].tokens as $n (0; . + $n; "\(.) ")')"
		expect "$(grep '^id: ' "$BATS_TEST_TMPDIR/stream.$i" | tail -1)" "id: 1000"
	done
}

@test "a silent stream shows that it is alive" {
	start --http.heartbeat 100ms --engine.threads 1 --engine.slots 1
	# The only slot is taken: the second request waits, and hears of it.
	stream '{"length": 1000000, "stream": true}' >/dev/null 3>&- &
	local first=$!
	wait_metric unrolld_slots_active 1
	curl -sSN --max-time 1 -H 'Content-Type: application/json' \
		-d '{"length": 5, "stream": true}' "$url/sample" \
		>"$BATS_TEST_TMPDIR/events" || true
	kill "$first" 2>/dev/null || true
	grep -q '^: ping$' "$BATS_TEST_TMPDIR/events"
}

@test "a client that leaves ends its generation" {
	start
	! curl -sSN --max-time 0.3 -H 'Content-Type: application/json' \
		-d '{"length": 1000000, "stream": true}' "$url/sample" >/dev/null 2>&1
	wait_metric unrolld_generations_active 0
	wait_metric 'unrolld_generations_total{outcome="cancelled"}' 1
	# Also one that waits for its answer in one piece.
	! curl -sS --max-time 0.3 -H 'Content-Type: application/json' \
		-d '{"length": 1000000, "n": 16}' "$url/sample" >/dev/null 2>&1
	wait_metric unrolld_generations_active 0
	wait_metric 'unrolld_generations_total{outcome="cancelled"}' 2
	[ "$(metric unrolld_generated_tokens_total)" -lt 10000000 ]
}

@test "a reader that is slow gets all of it" {
	start
	post /sample '{"length": 60000, "seed": 8}'
	local whole=$(field .text | sha256sum)
	stream '{"length": 60000, "seed": 8, "stream": true}' |
		(sleep 1; cat) | stream_text >"$BATS_TEST_TMPDIR/text"
	expect "$( (cat "$BATS_TEST_TMPDIR/text"; echo) | sha256sum)" "$whole"
}

@test "SIGTERM ends streams properly, with an error before [DONE]" {
	start --http.drain_timeout 300ms
	stream '{"length": 1000000, "n": 16, "stream": true, "seed": 1}' \
		>"$BATS_TEST_TMPDIR/events" 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 16
	stop TERM
	expect "$ended" 0
	wait "$job"
	expect "$(grep '^data:' "$BATS_TEST_TMPDIR/events" | tail -1)" "data: [DONE]"
	body=$(grep '^data: {' "$BATS_TEST_TMPDIR/events" | tail -1 | cut -c7-)
	expect "$(field '[.error.code, .choices[0].finish_reason] | join(" ")')" "unavailable cancelled"
}

@test "SIGTERM lets what is short finish" {
	start --http.drain_timeout 20s
	local length=200000
	[ "${VARIANT:-release}" = release ] || length=20000
	stream "{\"length\": $length, \"stream\": true, \"seed\": 1}" \
		>"$BATS_TEST_TMPDIR/events" 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	stop TERM
	expect "$ended" 0
	wait "$job"
	body=$(grep '^data: {' "$BATS_TEST_TMPDIR/events" | tail -1 | cut -c7-)
	expect "$(field '[.finish_reason, .usage.completion_tokens] | join(" ")')" "length $length"
}

@test "who waits longer than write_timeout for a slot is still answered" {
	start --http.write_timeout 1s --engine.threads 1 --engine.slots 1
	timeout 4 curl -sSN -H 'Content-Type: application/json' \
		-d '{"length": 1000000, "stream": true}' "$url/sample" \
		>/dev/null 2>&1 3>&- &
	wait_metric unrolld_slots_active 1
	post /sample '{"length": 5}'
	expect "$status" 200
}

@test "a full queue is a 429 with Retry-After, and waiting has its bound" {
	start --engine.threads 1 --engine.slots 1 --engine.queue 1 \
		--http.queue_timeout 1s
	stream '{"length": 1000000, "n": 1, "stream": true}' >/dev/null 2>&1 3>&- &
	local first=$!
	wait_metric unrolld_slots_active 1
	stream '{"length": 5, "stream": true}' \
		>"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
	local second=$!
	wait_metric unrolld_generations_queued 1
	post /sample '{"length": 5}'
	expect_error 429 null overloaded ""
	[[ "$head" == *"Retry-After: "* ]]
	wait "$second"
	grep -q '^data: {"error":' "$BATS_TEST_TMPDIR/second"
	expect "$(grep '^data:' "$BATS_TEST_TMPDIR/second" | tail -1)" "data: [DONE]"
	kill "$first"
}
