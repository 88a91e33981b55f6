# Requests that are sent twice, and requests that wait for one another.

load daemon

# Long and slow enough to be left in the middle.
long=100000 hidden=192
[ "${VARIANT:-release}" = release ] || long=20000 hidden=48

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny 1 "$hidden"
}

# keyed KEY JSON
keyed() {
	request POST /sample -H 'Content-Type: application/json' \
		-H "Idempotency-Key: $1" --data-binary "$2"
}

# leave SECONDS KEY JSON: and do not wait for the answer.
leave() {
	! curl -sSN --max-time "$1" -H 'Content-Type: application/json' \
		-H "Idempotency-Key: $2" -d "$3" "$url/sample" >/dev/null 2>&1
}

position() {
	request GET "/v1/sessions/$1"
	field .position
}

@test "a key's answer is stored, and is the answer from then on" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	local json='{"session": "a", "length": 50}'
	keyed k1 "$json"
	expect "$status" 200
	[[ "$head" != *dempotent-[Rr]eplayed* ]]
	local first=$body
	keyed k1 "$json"
	expect "$status" 200
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	expect "$body" "$first"
	expect "$(position a)" 50
	keyed k2 "$json"
	expect "$(position a)" 100
	# Also after a crash.
	stop KILL
	start
	keyed k1 "$json"
	expect "$body" "$first"
	expect "$(position a)" 100
	# And without a session, where the text would be another.
	keyed k3 '{"length": 30}'
	first=$body
	stop KILL
	start
	keyed k3 '{"length": 30}'
	expect "$body" "$first"
	expect "$(metric unrolld_answers_replayed_total)" 1
}

@test "a key is of one body" {
	start
	keyed k '{"length": 5}'
	keyed k '{"length": 6}'
	expect_error 422 Idempotency-Key idempotency_key_reused "'k'"
	post /v1/sessions '{"id": "a"}'
	keyed k '{"session": "a", "length": 5}'
	expect_error 422 Idempotency-Key idempotency_key_reused "'k'"
	expect "$(position a)" 0
}

@test "what is not a key" {
	start
	keyed "$(printf 'k%.0s' {1..255})" '{"length": 5}'
	expect "$status" 200
	keyed "$(printf 'k%.0s' {1..256})" '{"length": 5}'
	expect_error 400 Idempotency-Key invalid_value "256 bytes, expected 1 to 255"
	request POST /sample -H 'Content-Type: application/json' \
		-H 'Idempotency-Key;' -d '{"length": 5}'
	expect_error 400 Idempotency-Key invalid_value "0 bytes"
	keyed 'a b' '{"length": 5}'
	expect_error 400 Idempotency-Key invalid_value "0x20"
	keyed 'é' '{"length": 5}'
	expect_error 400 Idempotency-Key invalid_value "0xc3"
	local i
	for i in {1..40}; do
		head -c 40 /dev/urandom | tr -d '\0\r\n' >"$BATS_TEST_TMPDIR/random"
		printf 'Idempotency-Key: %s' "$(cat "$BATS_TEST_TMPDIR/random")" \
			>"$BATS_TEST_TMPDIR/header"
		status=$(curl -sS --max-time 10 -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' \
			-H 'Content-Type: application/json' \
			-H "@$BATS_TEST_TMPDIR/header" -d '{"length": 5}' "$url/sample")
		[[ "$status" == 400 || "$status" == 200 ]]
	done
}

@test "what failed is not stored" {
	start
	keyed k '{"session": "later", "length": 5}'
	expect "$status" 404
	post /v1/sessions '{"id": "later"}'
	keyed k '{"session": "later", "length": 5}'
	expect "$status" 200
	expect "$(position later)" 5
}

@test "a stored answer's time ends" {
	start --sessions.idempotency_ttl 1s
	keyed k '{"length": 30}'
	sleep 1.2
	keyed k '{"length": 31}'
	expect "$status" 200
	[[ "$head" != *dempotent-[Rr]eplayed* ]]
}

@test "left before the answer, and sent again: it advances once" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "b", "seed": 7}'
	local json="{\"session\": \"a\", \"length\": $long}" text
	leave 0.2 k "$json"
	keyed k "$json"
	expect "$status" 200
	text=$(field .text | sha256sum)
	expect "$(position a)" "$long"
	post /sample "{\"session\": \"b\", \"length\": $long}"
	expect "$text" "$(field .text | sha256sum)"
	# With `continue` the first one's answer is waited for.
	json="{\"session\": \"a\", \"length\": $long, \"on_disconnect\": \"continue\", \"wait_ms\": 25000}"
	leave 0.2 k2 "$json"
	keyed k2 "$json"
	expect "$status" 200
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	expect "$(position a)" $((2 * long))
}

@test "kill -9 before the answer, and sent again: it advances once" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "b", "seed": 7}'
	local json="{\"session\": \"a\", \"length\": $long}" text job
	curl -sS --max-time 20 -H 'Content-Type: application/json' \
		-H "Idempotency-Key: k" -d "$json" "$url/sample" \
		>/dev/null 2>&1 3>&- &
	job=$!
	wait_metric unrolld_slots_active 1
	stop KILL
	! wait "$job"
	start
	keyed k "$json"
	expect "$status" 200
	text=$(field .text | sha256sum)
	expect "$(position a)" "$long"
	keyed k "$json"
	expect "$text" "$(field .text | sha256sum)"
	expect "$(position a)" "$long"
	post /sample "{\"session\": \"b\", \"length\": $long}"
	expect "$text" "$(field .text | sha256sum)"
}

@test "a stream's key replays its events, from its buffer or its record" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	local json='{"session": "a", "length": 200, "stream": true}' whole
	keyed k "$json"
	whole=$(sha256sum <<<"$body")
	local text=$(stream_text <<<"$body")
	keyed k "$json"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	[[ "$head" == *"X-Stream-Id: strm_"* ]]
	expect "$(sha256sum <<<"$body")" "$whole"
	expect "$(position a)" 200
	stop KILL
	start
	keyed k "$json"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	expect "$(stream_text <<<"$body")" "$text"
	expect "$(position a)" 200
}

@test "a keyed stream that was left, or killed, is carried on by its key" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "b", "seed": 7}'
	local json="{\"session\": \"a\", \"length\": $long, \"stream\": true}" text job
	leave 0.3 k "$json"
	keyed k "$json"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	text=$(stream_text <<<"$body" | sha256sum)
	expect "$(position a)" "$long"
	post /sample "{\"session\": \"b\", \"length\": $long}"
	expect "$text" "$(field .text | head -c -1 | sha256sum)"

	curl -sSN --max-time 20 -H 'Content-Type: application/json' \
		-H "Idempotency-Key: k2" -d "$json" --limit-rate 100K \
		"$url/sample" >/dev/null 2>&1 3>&- &
	job=$!
	wait_metric unrolld_slots_active 1
	sleep 0.3
	stop KILL
	! wait "$job"
	start
	expect "$(position a)" "$long"
	keyed k2 "$json"
	text=$(stream_text <<<"$body" | sha256sum)
	expect "$(position a)" $((2 * long))
	post /sample "{\"session\": \"b\", \"length\": $long}"
	expect "$text" "$(field .text | head -c -1 | sha256sum)"
}

@test "a key's request that still runs: 409, or its answer after a wait" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	local json="{\"session\": \"a\", \"length\": $long}" job
	curl -sS --max-time 20 -H 'Content-Type: application/json' \
		-H "Idempotency-Key: k" -d "$json" "$url/sample" \
		>"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	job=$!
	wait_metric unrolld_slots_active 1
	keyed k "$json"
	expect_error 409 Idempotency-Key idempotency_key_in_use "still running"
	[[ "$head" == *"Retry-After: 1"* ]]
	keyed k '{"length": 5}'
	expect_error 422 Idempotency-Key idempotency_key_reused ""
	wait "$job"
	expect "$(position a)" "$long"
}

@test "several prompts with one key" {
	start
	local json='{"prompt": ["The", "quick"], "max_tokens": 30, "n": 2}' first
	ask() {
		request POST /v1/completions -H 'Content-Type: application/json' \
			-H "Idempotency-Key: $1" --data-binary "$2"
	}
	ask k "$json"
	expect "$status" 200
	first=$body
	ask k "$json"
	expect "$body" "$first"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	ask other "$json"
	[ "$body" != "$first" ]
	ask k '{"prompt": ["The", "fox"]}'
	expect_error 422 Idempotency-Key idempotency_key_reused "another body"
	# A stream, to the byte; also after a crash.
	json='{"prompt": ["The", "quick"], "max_tokens": 30, "stream": true, "stream_options": {"include_usage": true}}'
	ask s "$json"
	first=$(sha256sum <"$BATS_TEST_TMPDIR/body")
	[[ "$body" == *'"usage":{"prompt_tokens":8'*"data: [DONE]"* ]]
	stop KILL
	start
	ask s "$json"
	expect "$(sha256sum <"$BATS_TEST_TMPDIR/body")" "$first"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	[[ "$head" == *"Content-Type: text/event-stream"* ]]
	# One that failed is not kept.
	ask f '{"prompt": ["The", "\u2603"]}'
	expect "$status" 422
	ask f '{"prompt": ["The", "\u2603"]}'
	expect "$status" 422
	[[ "$head" != *Idempotent-Replayed* ]]
	# A crowd: one runs, and all get its answer.
	local i
	for i in {1..8}; do
		curl -sS --max-time 30 -H 'Content-Type: application/json' \
			-H 'Idempotency-Key: crowd' -d '{"prompt": ["The", "fox"], "wait_ms": 30000}' \
			"$url/v1/completions" >"$BATS_TEST_TMPDIR/c$i" 3>&- &
	done
	wait $(jobs -p | grep -vx "$waiter")
	expect "$(sort -u "$BATS_TEST_TMPDIR"/c? | wc -l)" 1
	grep -q text_completion "$BATS_TEST_TMPDIR/c1"
}

@test "the key of a stream with a long body holds, too" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	printf '{"session": "a", "length": 20, "stream": true%*s}' 3000000 "" \
		>"$BATS_TEST_TMPDIR/long"
	keyed k "@$BATS_TEST_TMPDIR/long"
	expect "$status" 200
	local first=$(stream_text <<<"$body")
	expect "$(position a)" 20
	keyed k "@$BATS_TEST_TMPDIR/long"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	expect "$(stream_text <<<"$body")" "$first"
	expect "$(position a)" 20
}

@test "a crowd with one key: one of them runs, all get its answer" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	local i jobs=()
	for i in {1..20}; do
		curl -sS --max-time 30 -H 'Content-Type: application/json' \
			-H "Idempotency-Key: k" \
			-d '{"session": "a", "length": 3000, "wait_ms": 30000}' \
			"$url/sample" >"$BATS_TEST_TMPDIR/answer.$i" 3>&- &
		jobs[i]=$!
	done
	wait "${jobs[@]}"
	for i in {2..20}; do
		cmp "$BATS_TEST_TMPDIR/answer.1" "$BATS_TEST_TMPDIR/answer.$i"
	done
	expect "$(jq .position "$BATS_TEST_TMPDIR/answer.1")" 3000
	expect "$(position a)" 3000
	expect "$(metric unrolld_answers_replayed_total)" 19
}

@test "a session is made once for a key" {
	start
	request POST /v1/sessions -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{"seed": 5}'
	expect "$status" 201
	local id=$(field .id) first=$body
	request POST /v1/sessions -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{"seed": 5}'
	expect "$status" 201
	expect "$body" "$first"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	request POST /v1/sessions -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{"seed": 6}'
	expect_error 422 Idempotency-Key idempotency_key_reused ""
	stop KILL
	start
	request POST /v1/sessions -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{"seed": 5}'
	expect "$body" "$first"
	request GET /v1/sessions
	expect "$(field '.data | length')" 1
	# The same key elsewhere is another.
	keyed k '{"seed": 5}'
	expect "$(field .object)" sample
}

@test "a session that has read a prompt is made once for a key" {
	start
	local json='{"seed": 5, "prompt": "ROMEO: the quick"}' first id
	request POST /v1/sessions -H 'Idempotency-Key: p' -H 'Content-Type: application/json' -d "$json"
	expect "$status" 201
	expect "$(field .position)" 16
	id=$(field .id) first=$body
	# After a crash, too: the answer was stored with the session.
	stop KILL
	start
	request POST /v1/sessions -H 'Idempotency-Key: p' -H 'Content-Type: application/json' -d "$json"
	expect "$status" 201
	expect "$body" "$first"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	request GET /v1/sessions
	expect "$(field '.data | length')" 1
	request GET "/v1/sessions/$id"
	expect "$(field 'del(.used) | tojson')" "$(jq -c 'del(.used)' <<<"$first")"
	reference_text=$(post /sample '{"prompt": "ROMEO: the quick", "seed": 5, "length": 40}'; field .text)
	post /sample "{\"session\": \"$id\", \"length\": 40}"
	expect "$(field .text)" "$reference_text"
}

@test "a session's answers and streams are deleted with it" {
	local json='{"session": "a", "length": 50}' stream kept
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	post /v1/sessions '{"id": "ab", "seed": 7}'
	keyed k "$json"
	expect "$status" 200
	keyed other '{"session": "ab", "length": 50}'
	kept=$body
	post /sample '{"session": "a", "length": 50, "stream": true}'
	stream=$(sed -n 's/^X-Stream-Id: //p' <<<"$head")
	request GET "/v1/streams/$stream"
	expect "$status" 200
	request DELETE /v1/sessions/a
	expect "$status" 200
	request GET "/v1/streams/$stream"
	expect_error 404 stream stream_not_found "$stream"
	keyed k "$json"
	expect_error 404 session session_not_found "a"
	# Its like keep theirs, and who takes the name is somebody else.
	post /v1/sessions '{"id": "a", "seed": 7}'
	keyed k "$json"
	expect "$status" 200
	[[ "$head" != *dempotent-[Rr]eplayed* ]]
	keyed other '{"session": "ab", "length": 50}'
	expect "$body" "$kept"
	stop KILL
	start
	request GET "/v1/streams/$stream"
	expect_error 404 stream stream_not_found "$stream"
}

@test "one writer at a time: busy is a 409 that says not to try again" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	curl -sS --max-time 20 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 1000000}' "$url/sample" \
		>/dev/null 2>&1 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	post /sample '{"session": "a", "length": 5}'
	expect_error 409 session session_busy "a"
	[[ "$head" == *"x-should-retry: false"* ]]
	post /sample '{"session": "a", "length": 5, "wait_ms": 200}'
	expect_error 409 session session_busy "after a wait"
	post /sample '{"session": "a", "length": 5, "wait_ms": -1}'
	expect_error 400 wait_ms invalid_value "-1"
	post /sample '{"session": "a", "length": 5, "wait_ms": 600001}'
	expect_error 400 wait_ms invalid_value "600000"
	# One waits in line, and has it once the first has left.
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 5, "wait_ms": 20000}' "$url/sample" \
		>"$BATS_TEST_TMPDIR/waited" 3>&- &
	local waiter_job=$!
	wait_metric unrolld_http_requests_active 3
	kill "$job"
	wait "$waiter_job"
	expect "$(jq .position "$BATS_TEST_TMPDIR/waited")" 5
}

@test "who waits is served in the order of coming, and none is lost" {
	start
	post /v1/sessions '{"id": "a", "seed": 7}'
	local i jobs=()
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d "{\"session\": \"a\", \"length\": $long}" "$url/sample" \
		>"$BATS_TEST_TMPDIR/answer.0" 3>&- &
	jobs[0]=$!
	wait_metric unrolld_slots_active 1
	for i in {1..8}; do
		curl -sS --max-time 30 -H 'Content-Type: application/json' \
			-d '{"session": "a", "length": 10, "wait_ms": 30000}' \
			"$url/sample" >"$BATS_TEST_TMPDIR/answer.$i" 3>&- &
		jobs[i]=$!
		wait_metric unrolld_http_requests_active $((i + 2))
	done
	# One of them leaves the line.
	kill "${jobs[4]}"
	wait "${jobs[@]}" || true
	for i in 1 2 3; do
		expect "$(jq .position "$BATS_TEST_TMPDIR/answer.$i")" $((long + 10 * i))
	done
	for i in 5 6 7 8; do
		expect "$(jq .position "$BATS_TEST_TMPDIR/answer.$i")" $((long + 10 * (i - 1)))
	done
	expect "$(position a)" $((long + 70))
}

@test "SIGTERM ends the wait" {
	start --http.drain_timeout 300ms
	post /v1/sessions '{"id": "a", "seed": 7}'
	curl -sS --max-time 20 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 1000000}' "$url/sample" \
		>/dev/null 2>&1 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 5, "wait_ms": 20000}' "$url/sample" \
		>"$BATS_TEST_TMPDIR/waited" 3>&- &
	local waiter_job=$!
	wait_metric unrolld_http_requests_active 3
	stop TERM
	expect "$ended" 0
	wait "$job" "$waiter_job" || true
	expect "$(jq -r .error.code "$BATS_TEST_TMPDIR/waited")" unavailable
}
