# POST /v1/score: what a model makes of texts, each alone, in lists, after a
# prefix and as a session's continuation.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

# rounded FILTER: of the last answer, to 4 places.
rounded() {
	field "[$1] | map(. * 10000 | round) | join(\" \")"
}

@test "a text's log-probability, perplexity and bits per character" {
	start
	post /v1/score '{"text": "The quick"}'
	expect "$status" 200
	expect "$(field 'keys_unsorted | join(" ")')" \
		"id object model session position results usage system_fingerprint"
	expect "$(field '.results[0] | keys_unsorted | join(" ")')" \
		"index logprob tokens characters perplexity bits_per_character"
	expect "$(field '.results[0] | "\(.tokens) \(.characters)"')" "9 9"
	expect "$(field '.results[0] | (.perplexity - ((-.logprob / .tokens) | exp)) | fabs < 1e-9')" true
	expect "$(field '.results[0] | (.bits_per_character - (-.logprob / (2 | log) / .characters)) | fabs < 1e-9')" true
	expect "$(field .usage.total_tokens)" 9
}

@test "it is what drawing gave" {
	start
	post /sample '{"prompt": "The", "length": 12, "seed": 3, "logprobs": 2}'
	local text=$(field .text) drawn=$(rounded '.logprobs.token_logprobs[]')
	# Here, as in completions, the token is among its alternatives.
	local top=$(field '.logprobs | (.top_logprobs[3] | keys) + [.tokens[3]] | unique | join("")')
	post /v1/score "$(jq -cn --arg t "$text" '{text: $t, prefix: "The", logprobs: 2}')"
	expect "$(rounded '.results[0].logprobs.token_logprobs[]')" "$drawn"
	expect "$(field '.results[0].logprobs.top_logprobs[3] | keys | join("")')" "$top"
	expect "$(field '.results[0] | (.logprob - (.logprobs.token_logprobs | add)) | fabs < 1e-6')" true
	expect "$(field '.results[0].logprobs.text_offset == [range(12)]')" true
}

@test "many texts, each as if it were alone" {
	start
	post /v1/score "$(jq -cn '{text: [range(300) | "The quick brown fox"[0:(. % 19)]]}')"
	expect "$(field '[.results[].index] == [range(300)]')" true
	expect "$(field '.results[0] | .tokens == 0 and .logprob == 0 and .perplexity == null and .bits_per_character == null')" true
	expect "$(field '[.results[] | select(.tokens == 7).logprob] | unique | length')" 1
	local seventh=$(field '.results[7].logprob')
	post /v1/score '{"text": "The qui"}'
	expect "$(field '.results[0].logprob')" "$seventh"
}

@test "as a session's continuation, which stays where it is" {
	start
	post /v1/sessions '{"id": "s", "prompt": "The quick"}'
	post /v1/score '{"text": " brown", "session": "s"}'
	expect "$(field '[.session, .position] | join(" ")')" "s 9"
	local after=$(field '.results[0].logprob')
	post /v1/score '{"text": " brown", "prefix": "The quick"}'
	expect "$(field '.results[0].logprob')" "$after"
	request GET /v1/sessions/s
	expect "$(field .position)" 9
	# Also while another request writes it.
	curl -sSN "$url/sample" -H 'Content-Type: application/json' --max-time 5 \
		-d '{"session": "s", "length": 1000000, "stream": true}' >/dev/null &
	wait_metric unrolld_generations_active 1
	post /v1/score '{"text": " brown", "session": "s"}'
	expect "$(field '.results[0].logprob')" "$after"
	kill $! && wait $! || true
	post /v1/score '{"text": "a", "session": "none"}'
	expect_error 404 session session_not_found none
}

@test "what can't be scored says why" {
	start
	post /v1/score '{}'
	expect_error 400 text invalid_value "text is missing"
	post /v1/score '{"text": []}'
	expect_error 400 text invalid_value "text has 0 items"
	post /v1/score '{"text": ["a", 7]}'
	expect_error 400 text invalid_value "the integer 7"
	post /v1/score '{"text": ["The", "caf\u00e9"]}'
	expect_error 422 text unknown_character "text 1: character"
	post /v1/score '{"text": ["The", "caf\u00e9"], "unknown": "skip"}'
	expect "$(field '.results[1].tokens')" 3
	expect "$(field .usage.skipped_characters)" 1
	post /v1/score '{"text": "a", "prefix": "\u00e9"}'
	expect_error 422 prefix unknown_character "U+00E9"
	post /v1/score '{"text": "a", "txet": "b"}'
	expect_error 400 txet invalid_value "unknown field"
	post /v1/score '{"text": "a", "model": "none"}'
	expect_error 404 model model_not_found none
	jq -cn '{text: ("The quick brown " * 4000), logprobs: 20}' >"$BATS_TEST_TMPDIR/big"
	request POST /v1/score -H 'Content-Type: application/json' -d "@$BATS_TEST_TMPDIR/big"
	expect_error 400 logprobs invalid_value "more than 1048576 values"
	wait_metric unrolld_generations_active 0
}

# Also while a worker has its batch between two turns of the engine.
@test "clients may leave at any moment" {
	local i at=()

	start --log.level error
	jq -cn '{text: [range(400) | "The quick brown fox"], logprobs: 20}' >"$BATS_TEST_TMPDIR/big"
	for i in {1..60}; do
		curl -sS -o /dev/null --max-time "0.0$((i % 6))$((i % 9 + 1))" \
			-H 'Content-Type: application/json' \
			-d "@$BATS_TEST_TMPDIR/big" "$url/v1/score" 2>/dev/null &
		at+=($!)
		[ $((i % 3)) != 0 ] || wait "${at[@]}" || true
	done
	wait "${at[@]}" || true
	wait_metric unrolld_generations_active 0
	post /v1/score '{"text": "The quick"}'
	expect "$status" 200
	stop
	expect "$ended" 0
}

@test "a stop between two batches ends it" {
	local i

	start --http.drain_timeout 0s
	jq -cn '{text: [range(2000) | "The quick brown fox"], logprobs: 20}' >"$BATS_TEST_TMPDIR/big"
	for i in {1..6}; do
		curl -sS -o "$BATS_TEST_TMPDIR/answer.$i" --max-time 30 \
			-H 'Content-Type: application/json' \
			-d "@$BATS_TEST_TMPDIR/big" "$url/v1/score" &
	done
	sleep 0.5
	stop
	expect "$ended" 0
	wait
	for i in {1..6}; do
		jq -e '.error.code == "unavailable" or .results' \
			"$BATS_TEST_TMPDIR/answer.$i"
	done
}

@test "a small queue makes it wait, not fail" {
	start --engine.slots 3 --engine.queue 5
	post /v1/score "$(jq -cn '{text: [range(200) | "The quick brown fox"]}')"
	expect "$status" 200
	expect "$(field '[.results[].logprob] | unique | length')" 1
}

@test "the command line says the same, line by line" {
	local text=$BATS_TEST_TMPDIR/text model=$BATS_FILE_TMPDIR/models/tiny.safetensors
	start
	printf '%s\n' 'The quick' '' 'xxqqzzxxq' 'brown fox' >"$text"
	post /v1/score '{"text": ["The quick", "", "xxqqzzxxq", "brown fox"]}'
	run -0 "${loose[@]}" "$exe" score "$text" --model "$model" --json
	expect "$(jq -s 'map(.logprob * 10000 | round) | join(" ")' -r <<<"$output")" \
		"$(rounded '.results[].logprob')"
	run -0 "${loose[@]}" "$exe" score "$text" --model "$model"
	expect "${#lines[@]}" 4
	expect "$(cut -f1,4 <<<"${lines[2]}")" $'3\txxqqzzxxq'
	local strangest=$(field '.results | max_by(.bits_per_character // 0).index + 1')
	run -0 "${loose[@]}" "$exe" score - --model "$model" --top 1 <"$text"
	expect "${#lines[@]}" 1
	expect "$(cut -f1 <<<"$output")" "$strangest"
	printf 'The\ncaf\303\251\n' >"$text"
	run -1 "${loose[@]}" "$exe" score "$text" --model "$model"
	[[ "$output" == *"line 2: "*"U+00E9"* ]]
	run -1 "${loose[@]}" "$exe" score "$text" --model "$model" --prefix $'\303\251'
	[[ "$output" == *"--prefix: "*"U+00E9"* ]]
	run -2 "${loose[@]}" "$exe" score
	run -1 "${loose[@]}" "$exe" score "$BATS_TEST_TMPDIR/missing" --model "$model"
	[[ "$output" == *"$BATS_TEST_TMPDIR/missing"* ]]
	run -1 "${loose[@]}" "$exe" score "$text" --model "$BATS_TEST_TMPDIR/missing"
}
