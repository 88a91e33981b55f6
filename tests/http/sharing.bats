# Clients that share a daemon: priorities, users, deadlines and full queues.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

# occupy JSON-PART: a stream far longer than a test; its curl's pid is added to
# $busy. The daemon must allow for it: start $endless.
endless='--http.max_length 16777216'
occupy() {
	curl -sSN --max-time 50 -H 'Content-Type: application/json' \
		-d "{\"length\": 16777216, \"stream\": true $1}" \
		"$url/sample" >/dev/null 2>&1 3>&- &
	busy+=("$!")
}

@test "priority, user and deadline_ms say what they take" {
	start
	local json param message
	while IFS='|' read -r json param message; do
		post /sample "{$json}"
		expect_error 400 "$param" invalid_value "$message"
	done <<-'ROWS'
		"priority": "urgent"|priority|priority is a string ("urgent"), expected one of interactive
		"priority": 1|priority|priority is the integer 1, expected one of interactive
		"user": 5|user|user is the integer 5, expected a string of 1 to 256 bytes
		"user": ""|user|expected a string of 1 to 256 bytes
		"deadline_ms": 0|deadline_ms|deadline_ms is the integer 0, expected an integer from 1 to 86400000
		"deadline_ms": "1s"|deadline_ms|deadline_ms is a string ("1s"), expected an integer
		"deadline_ms": 86400001|deadline_ms|the integer 86400001
	ROWS
	request GET /openapi.json
	expect "$(field '.paths["/sample"].post.requestBody.content["application/json"].schema.properties | [.priority.default, .priority.enum[1], .user.maxLength, .deadline_ms.maximum] | @csv')" \
		'"interactive","bulk",256,86400000'
}

@test "who asks, and how urgently, changes no text" {
	start
	post /sample '{"prompt": "The", "length": 60, "seed": 4}'
	local text=$(field .text)
	post /sample '{"prompt": "The", "length": 60, "seed": 4, "priority": "bulk", "user": "ä@example", "deadline_ms": 60000}'
	expect "$status" 200
	expect "$(field .text)" "$text"
	expect "$(field .finish_reason)" length
}

@test "a deadline ends a generation with what there is" {
	start $endless
	post /sample '{"length": 16777216, "seed": 4, "deadline_ms": 300}'
	expect "$status" 200
	expect "$(field .finish_reason)" deadline
	[ "$(field .usage.completion_tokens)" -gt 0 ]
	[ "$(field .usage.completion_tokens)" -lt 16777216 ]
}

@test "a deadline ends the wait for a slot, with a 429" {
	start $endless --engine.threads 1 --engine.slots 1
	occupy ''
	wait_metric unrolld_slots_active 1
	post /sample '{"length": 1, "deadline_ms": 200}'
	expect_error 429 null overloaded "waited 200 ms for a slot"
	[[ "$head" =~ Retry-After:\ ([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 1 ]
	[ "${BASH_REMATCH[1]}" -le 60 ]
	kill "${busy[@]}"
}

@test "one client's queue is bounded, and leaves room for others" {
	start $endless --engine.threads 1 --engine.slots 1 --engine.queue 3 \
		--engine.queue_per_client 1
	occupy ''
	wait_metric unrolld_slots_active 1
	occupy ', "priority": "bulk"'
	wait_metric 'unrolld_generations_waiting{priority="bulk"}' 1
	post /sample '{"length": 1}'
	expect_error 429 null overloaded "1 requests of yours wait already, at most 1 may"
	[[ "$head" =~ Retry-After:\ ([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 1 ]
	[ "${BASH_REMATCH[1]}" -le 60 ]
	expect "$(metric unrolld_generations_rejected_total)" 1
	# Users of one address are clients of their own, up to the whole bound.
	occupy ', "user": "a"'
	wait_metric 'unrolld_generations_waiting{priority="interactive"}' 1
	occupy ', "user": "b"'
	wait_metric 'unrolld_generations_waiting{priority="interactive"}' 2
	post /sample '{"length": 1, "user": "c"}'
	expect_error 429 null overloaded "3 requests wait already, at most 3 may"
	[[ "$head" == *"Retry-After: "* ]]
	expect "$(metric unrolld_generations_queued)" 3
	kill "${busy[@]}"
	wait_metric unrolld_generations_queued 0
	post /sample '{"length": 1}'
	expect "$status" 200
}
