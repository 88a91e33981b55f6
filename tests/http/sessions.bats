# Sessions: they continue, they last, and they are nobody else's.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_model "$BATS_FILE_TMPDIR/models" other 2
}

# say JSON: a sample whose text is added to $text.
say() {
	post /sample "$1"
	expect "$status" 200
	text+=$(field .text; echo x)
	text=${text%$'\n'x}
}

@test "create, describe, list, delete" {
	start
	request POST /v1/sessions
	expect "$status" 201
	local id=$(field .id)
	[[ "$id" =~ ^sess_[a-z2-7]{26}$ ]]
	expect "$(field '[.object, .model, .position, .busy, .metadata] | map(tostring) | join(" ")')" \
		"session other 0 false null"
	post /v1/sessions '{"id": "my-one", "model": "tiny", "seed": "18446744073709551615", "ttl": 60, "metadata": {"player": "é"}}'
	expect "$status" 201
	expect "$(field '[.id, .model, .seed, .ttl, .metadata.player] | map(tostring) | join(" ")')" \
		"my-one tiny 18446744073709551615 60 é"
	request GET /v1/sessions/my-one
	expect "$status" 200
	expect "$(field '.expires - .used')" 60
	request GET /v1/sessions
	expect "$(field '[.data[].id] | join(" ")')" "my-one $id"
	request GET '/v1/sessions?limit=1'
	expect "$(field '[.data[].id, .has_more] | map(tostring) | join(" ")')" "my-one true"
	request GET '/v1/sessions?limit=1&after=my-one'
	expect "$(field '[.data[].id, .has_more] | map(tostring) | join(" ")')" "$id false"
	request DELETE /v1/sessions/my-one
	expect "$status" 200
	expect "$(field .deleted)" true
	request GET /v1/sessions/my-one
	expect_error 404 session session_not_found my-one
	request DELETE /v1/sessions/my-one
	expect_error 404 session session_not_found my-one
}

@test "what can't be a session" {
	start
	post /v1/sessions '{"id": "a b"}'
	expect_error 400 id invalid_value "a b"
	post /v1/sessions '{"id": ""}'
	expect_error 400 id invalid_value "1 to 64 bytes"
	post /v1/sessions '{"model": "gpt"}'
	expect_error 404 model model_not_found gpt
	post /v1/sessions '{"ttl": -1}'
	expect_error 400 ttl invalid_value "the integer -1"
	post /v1/sessions '{"metadata": 5}'
	expect_error 400 metadata invalid_value "expected an object"
	post /v1/sessions '{"color": 1}'
	expect_error 400 color invalid_value "unknown field 'color'"
	post /v1/sessions '{"id": "twice"}'
	expect "$status" 201
	post /v1/sessions '{"id": "twice"}'
	expect "$status" 409
	expect "$(field .error.param)" id
	request GET '/v1/sessions?limit=0'
	expect_error 400 limit invalid_value "from 1 to 1000"
}

@test "a session in two requests is one of the same length" {
	start
	local text=
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 5}'
	say '{"session": "a", "prompt": "ROMEO:", "length": 50}'
	expect "$(field '[.position, .session, .model] | map(tostring) | join(" ")')" "56 a tiny"
	say '{"session": "a", "length": 50}'
	expect "$(field .position)" 106
	local halves=$text
	text=
	post /v1/sessions '{"id": "b", "model": "tiny", "seed": 5}'
	say '{"session": "b", "prompt": "ROMEO:", "length": 100}'
	expect "$halves" "$text"
	request GET /v1/sessions/a
	expect "$(field .position)" 106
}

@test "length 0 feeds the prompt and no more" {
	start
	local text=
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 5}'
	post /v1/sessions '{"id": "b", "model": "tiny", "seed": 5}'
	say '{"session": "a", "prompt": "ROM", "length": 0}'
	expect "$(field '[.position, .text] | map(tostring) | join(" ")')" "3 "
	say '{"session": "a", "prompt": "EO:", "length": 40}'
	local primed=$text
	text=
	say '{"session": "b", "prompt": "ROMEO:", "length": 40}'
	expect "$primed" "$text"
}

@test "positions guard a retry" {
	start
	post /v1/sessions '{"id": "a", "model": "tiny"}'
	post /sample '{"session": "a", "length": 10, "expected_position": 0}'
	expect "$status" 200
	post /sample '{"session": "a", "length": 10, "expected_position": 0}'
	expect_error 409 expected_position position_mismatch "10"
	post /sample '{"session": "a", "length": 10, "expected_position": 10}'
	expect "$status" 200
}

@test "a session is of its model" {
	start
	post /v1/sessions '{"id": "a", "model": "tiny"}'
	post /sample '{"session": "a", "model": "other"}'
	expect_error 409 model model_mismatch ""
	post /sample '{"session": "a", "n": 2}'
	expect_error 400 n invalid_value "expected 1 with a session"
}

@test "one writer at a time" {
	start
	post /v1/sessions '{"id": "a", "model": "tiny"}'
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 1000000}' "$url/sample" \
		>/dev/null 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	post /sample '{"session": "a", "length": 5}'
	expect_error 409 session session_busy "a"
	request DELETE /v1/sessions/a
	expect_error 409 session session_busy "a"
	# It leaves without its answer: the session stays where it was.
	kill "$job"
	wait_metric unrolld_generations_active 0
	request GET /v1/sessions/a
	expect "$(field '[.position, .busy] | map(tostring) | join(" ")')" "0 false"
}

@test "a stream that is left commits what was sent, and goes on from there" {
	start
	local text=
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 9}'
	post /v1/sessions '{"id": "b", "model": "tiny", "seed": 9}'
	# head goes after so many bytes, and curl with it.
	curl -sSN --max-time 30 --limit-rate 200K \
		-H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 1000000, "stream": true}' \
		"$url/sample" 2>/dev/null | head -c 4000 >/dev/null
	wait_metric unrolld_generations_active 0
	request GET /v1/sessions/a
	local position=$(field .position)
	[ "$position" -gt 0 ]
	[ "$position" -lt 1000000 ]
	say '{"session": "a", "length": 30}'
	local continued=$text
	text=
	say "{\"session\": \"b\", \"length\": $((position + 30))}"
	# An x keeps what ends in a newline.
	expect "$continued"x "$(printf %s "$text" | tail -c 30; echo x)"
}

@test "sqlite: a session survives kill -9, and goes on byte for byte" {
	start
	local text=
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 77}'
	say '{"session": "a", "prompt": "JULIET: ", "length": 100}'
	stop KILL
	start
	request GET /v1/sessions/a
	expect "$(field .position)" 108
	say '{"session": "a", "length": 100}'
	stop KILL
	start
	say '{"session": "a", "prompt": "O me! ", "length": 100}'
	local interrupted=$text
	text=
	post /v1/sessions '{"id": "b", "model": "tiny", "seed": 77}'
	say '{"session": "b", "prompt": "JULIET: ", "length": 100}'
	say '{"session": "b", "length": 100}'
	say '{"session": "b", "prompt": "O me! ", "length": 100}'
	expect "$interrupted" "$text"
}

@test "memory: sessions work, and end with the daemon" {
	start --sessions.store memory
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 77}'
	post /sample '{"session": "a", "length": 10}'
	expect "$(field .position)" 10
	stop TERM
	start --sessions.store memory
	request GET /v1/sessions/a
	expect "$status" 404
}

@test "64 sessions at once each say what they say alone" {
	DAEMON_SECONDS=240 start
	local i text
	for i in {1..64}; do
		post /v1/sessions "{\"id\": \"t$i\", \"model\": \"tiny\", \"seed\": $i}"
		post /v1/sessions "{\"id\": \"alone$i\", \"model\": \"tiny\", \"seed\": $i}"
	done
	for i in {1..64}; do
		(
			for part in 1 2; do
				curl -sS --max-time 30 -H 'Content-Type: application/json' \
					-d "{\"session\": \"t$i\", \"prompt\": \"fox $i\", \"length\": $((20 + i * 3))}" \
					"$url/sample"
			done | jq -j .text >"$BATS_TEST_TMPDIR/together.$i"
		) 3>&- &
		jobs[i]=$!
	done
	wait "${jobs[@]}"
	for i in {1..64}; do
		text=
		say "{\"session\": \"alone$i\", \"prompt\": \"fox $i\", \"length\": $((20 + i * 3))}"
		say "{\"session\": \"alone$i\", \"prompt\": \"fox $i\", \"length\": $((20 + i * 3))}"
		expect "$(cat "$BATS_TEST_TMPDIR/together.$i"; echo x)" "$text"x
	done
}

@test "a new session knows nothing of another" {
	start
	local text=
	post /v1/sessions '{"id": "first", "model": "tiny", "seed": 3}'
	say '{"session": "first", "length": 60}'
	local fresh=$text
	for i in 1 2 3; do
		post /sample '{"model": "tiny", "prompt": "JULIET: why, then, is my pump", "length": 100}'
	done
	request DELETE /v1/sessions/first
	text=
	post /v1/sessions '{"id": "first", "model": "tiny", "seed": 3}'
	say '{"session": "first", "length": 60}'
	expect "$fresh" "$text"
	# Nor does a request without a session.
	post /sample '{"model": "tiny", "length": 60, "seed": 3}'
	expect "$(field .text; echo x)" "$fresh"$'\n'x
}
