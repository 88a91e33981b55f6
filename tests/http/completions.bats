# POST /v1/completions: OpenAI's shapes over the same sampling as POST /sample.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

# The chunks of the last answer, one a line.
chunks() {
	sed -n 's/^data: \({.*\)$/\1/p' <<<"$body"
}

@test "an answer has OpenAI's fields" {
	start
	post /v1/completions '{"model": "tiny", "prompt": "ROMEO:", "max_tokens": 20, "seed": 7, "user": "me", "store": true, "metadata": {"a": "b"}}'
	expect "$status" 200
	expect "$(field 'keys_unsorted | join(" ")')" \
		"id object created model system_fingerprint choices usage"
	expect "$(field .object)" text_completion
	[[ "$(field .id)" == cmpl-* ]]
	expect "$(field '.choices | length')" 1
	expect "$(field '.choices[0] | keys_unsorted | join(" ")')" \
		"text index logprobs finish_reason"
	expect "$(field '.choices[0].finish_reason')" length
	expect "$(field '.choices[0].logprobs')" null
	expect "$(field '.usage | "\(.prompt_tokens) \(.completion_tokens) \(.total_tokens)"')" "6 20 26"
	local text=$(field '.choices[0].text')
	post /sample '{"prompt": "ROMEO:", "length": 20, "seed": 7}'
	expect "$(field .text)" "$text"
}

@test "16 tokens without max_tokens, and none when so asked" {
	start
	post /v1/completions '{"prompt": "The"}'
	expect "$(field .usage.completion_tokens)" 16
	post /v1/completions '{"prompt": "The", "max_tokens": 0, "echo": true}'
	expect "$(field '.choices[0].text')" The
	expect "$(field .usage.completion_tokens)" 0
}

@test "a prompt may be token ids, and a list of either" {
	start
	post /v1/completions '{"prompt": "The", "echo": true, "logprobs": 0, "max_tokens": 0}'
	post /v1/completions '{"prompt": ["The", "quick", "brown"], "max_tokens": 9, "seed": 5}'
	expect "$(field '[.choices[].index] | join(" ")')" "0 1 2"
	local all=$(field '[.choices[].text] | join("|")')
	expect "$(field '.usage.prompt_tokens')" 13
	local each= prompt
	for prompt in The quick brown; do
		post /v1/completions "{\"prompt\": [\"$prompt\"], \"max_tokens\": 9, \"seed\": 5}"
		each+="|$(field '.choices[0].text')"
	done
	expect "$all" "${each#|}"
	post /v1/completions '{"prompt": [0, 1, 2], "max_tokens": 9, "seed": 5, "echo": true}'
	local text=$(field '.choices[0].text')
	expect "$(field '.usage.prompt_tokens')" 3
	post /v1/completions "$(jq -cn --arg t "${text:0:3}" '{prompt: $t, max_tokens: 9, seed: 5, echo: true}')"
	expect "$(field '.choices[0].text')" "$text"
	post /v1/completions '{"prompt": [[0, 1, 2], [5]], "max_tokens": 9, "seed": 5, "echo": true}'
	expect "$(field '.choices[0].text')" "$text"
	expect "$(field '.choices | length')" 2
}

@test "prompts that are none are refused, each by what it is" {
	start
	local bad
	for bad in '7' '{}' '[]' '[""|1]' '[[1]|"a"]' '[-1]' '[1.5]' '[[]]' '[true]'; do
		post /v1/completions "{\"prompt\": ${bad//|/, }}"
		expect "$status" 400
		expect "$(field .error.param)" prompt
	done
	post /v1/completions '{"prompt": [60000]}'
	expect_error 400 prompt invalid_value "prompt has the token 60000, expected ids below"
	post /v1/completions '{"prompt": ["The", "\u00e9"]}'
	expect_error 422 prompt unknown_character "U+00E9"
	post /v1/completions '{"prompt": ["The", "\u00e9"], "stream": true}'
	expect_error 422 prompt unknown_character "U+00E9"
	post /v1/completions "$(jq -cn '{prompt: [range(129) | "a"]}')"
	expect_error 400 prompt invalid_value "129 items, expected 1 to 128"
	# Nobody is left over.
	wait_metric unrolld_generations_active 0
}

@test "128 prompts at once" {
	start --engine.queue 4096
	post /v1/completions "$(jq -cn '{prompt: [range(128) | "The "], n: 2, max_tokens: 3, seed: 1}')"
	expect "$status" 200
	expect "$(field '.choices | length')" 256
	expect "$(field '[.choices[].index] == [range(256)]')" true
	expect "$(field '[.choices[] | select(.index % 2 == 0).text] | unique | length')" 1
	expect "$(field '.usage.completion_tokens')" 768
}

@test "a list that the queue has no room for is refused whole" {
	start --engine.slots 2 --engine.queue 3
	post /v1/completions "$(jq -cn '{prompt: [range(64) | "The "], max_tokens: 2000}')"
	expect "$status" 429
	expect "$(field .error.code)" overloaded
	[[ "$head" == *"Retry-After:"* ]]
	wait_metric unrolld_generations_active 0
}

@test "suffix, and what doesn't go together" {
	start
	post /v1/completions '{"prompt": "a", "suffix": "b"}'
	expect_error 400 suffix invalid_value "reads from left to right only"
	post /v1/completions '{"prompt": "a", "suffix": ""}'
	expect "$status" 200
	post /v1/completions '{"prompt": "a", "suffix": null, "logprobs": null, "stop": null, "seed": null}'
	expect "$status" 200
	post /v1/completions '{"prompt": "a", "n": 3, "best_of": 2}'
	expect_error 400 best_of invalid_value "expected at least n, which is 3"
	post /v1/completions '{"prompt": "a", "best_of": 2, "stream": true}'
	expect_error 400 best_of invalid_value "can't be streamed"
	post /v1/completions '{"prompt": "a", "stream_options": {"include_usage": true}}'
	expect_error 400 stream_options invalid_value "without stream"
	post /v1/completions '{"prompt": "a", "stream": true, "stream_options": {"include_usage": 1}}'
	expect_error 400 stream_options invalid_value "stream_options.include_usage is the integer 1, expected true or false"
	post /v1/completions '{"prompt": "a", "model": "gpt-3.5-turbo-instruct"}'
	expect_error 404 model model_not_found "gpt-3.5-turbo-instruct"
	post /v1/completions '{"prompt": "a", "temperature": "hot"}'
	expect_error 400 temperature invalid_value "temperature is a string (\"hot\"), expected a number from 0 to 10"
}

@test "best_of returns the most probable of what was drawn" {
	start
	post /v1/completions '{"prompt": "The", "n": 8, "max_tokens": 12, "seed": 3, "logprobs": 0}'
	local ranked=$(field '[.choices | sort_by(-(.logprobs.token_logprobs | add))[].text][:2] | join("|")')
	post /v1/completions '{"prompt": "The", "n": 2, "best_of": 8, "max_tokens": 12, "seed": 3}'
	expect "$(field '[.choices[].text] | join("|")')" "$ranked"
	expect "$(field '[.choices[].index] | join(" ")')" "0 1"
	expect "$(field '.choices[0].logprobs')" null
	expect "$(field .usage.completion_tokens)" 96
}

@test "logprobs and their offsets, of an echoed prompt too" {
	start
	post /v1/completions '{"prompt": "The quick", "max_tokens": 4, "seed": 1, "logprobs": 2}'
	expect "$(field '.choices[0].logprobs | keys_unsorted | join(" ")')" \
		"tokens token_logprobs top_logprobs text_offset"
	expect "$(field '.choices[0].logprobs.text_offset | join(" ")')" "0 1 2 3"
	expect "$(field '.choices[0] | (.logprobs.tokens | join("")) == .text')" true
	local drawn=$(field '.choices[0].logprobs.token_logprobs | map(. * 10000 | round) | join(" ")')
	local text=$(field '.choices[0].text')
	# What scoring says of the same tokens.
	post /v1/completions "$(jq -cn --arg t "The quick$text" '{prompt: $t, max_tokens: 0, echo: true, logprobs: 2}')"
	expect "$(field '.choices[0].text')" "The quick$text"
	expect "$(field '.choices[0].logprobs.token_logprobs[0]')" null
	expect "$(field '.choices[0].logprobs.token_logprobs[9:] | map(. * 10000 | round) | join(" ")')" "$drawn"
	expect "$(field '.choices[0].logprobs.text_offset == [range(13)]')" true
	# The token itself is among them, or beside them.
	expect "$(field '[.choices[0].logprobs.top_logprobs[1:][] | length] | unique | join(" ")')" "2 3"
	expect "$(field '.choices[0].logprobs | [.tokens, .token_logprobs, .top_logprobs] | transpose[1:] | all(.[1] == .[2][.[0]])')" true
	# And with more drawn after it, for two choices.
	post /v1/completions '{"prompt": "The quick", "max_tokens": 4, "seed": 1, "logprobs": 2, "echo": true, "n": 2}'
	expect "$(field '[.choices[].logprobs.tokens | length] | join(" ")')" "13 13"
	expect "$(field '.choices[0].logprobs.token_logprobs[9:] | map(. * 10000 | round) | join(" ")')" "$drawn"
	expect "$(field '[.choices[] | (.logprobs.tokens | join("")) == .text] | unique | join(" ")')" true
}

# The choices' text and logprobs of the chunks of a stream, put together.
joined() {
	grep '^data: {' "$BATS_TEST_TMPDIR/body" | cut -c7- | jq -cSs '
		[.[].choices[]] | group_by(.index) | map({text: (map(.text) | add)}
		+ (map(.logprobs // {} | to_entries[]) | group_by(.key)
		| map({(.[0].key): (map(.value) | add)}) | add))'
}

@test "an echoed prompt with logprobs, as a stream" {
	start
	local long="The quick brown fox jumps over the lazy dog, O me! Why, then, is my pump well flowered?"
	local prompt n
	for prompt in "The" "$long" "$long$long$long"; do
		for n in 0 7; do
			local asked=$(jq -cn --arg p "$prompt" --argjson n $n \
				'{prompt: $p, max_tokens: $n, seed: 1, logprobs: 2, echo: true, n: 2, unknown: "skip"}')
			post /v1/completions "$asked"
			local whole=$(jq -cS '[.choices[] | {text} + .logprobs]' "$BATS_TEST_TMPDIR/body")
			post /v1/completions "$(jq -c '. + {stream: true}' <<<"$asked")"
			expect "$(joined)" "$whole"
			[[ "$body" == *"data: [DONE]"* ]]
		done
	done
	# From a session's state the first token has a probability, too.
	post /v1/sessions '{"id": "s", "prompt": "The quick"}'
	post /v1/completions '{"session": "s", "prompt": "The", "max_tokens": 0, "logprobs": 0, "echo": true, "stream": true}'
	expect "$(joined | jq -c '.[0].token_logprobs | map(type) | unique')" '["number"]'
	# Resumed, offsets count on from where the client was.
	post /v1/completions '{"prompt": "The", "max_tokens": 100, "seed": 3, "logprobs": 1, "echo": true, "stream": true}'
	local stream=$(sed -n 's/^X-Stream-Id: //p' <<<"$head") all=$(joined)
	local at=$(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/body" | sed -n 2p)
	stop KILL
	start
	request GET "/v1/streams/$stream?from=$at"
	expect "$status" 200
	expect "$(joined | jq -c '.[0].text_offset')" \
		"$(jq -c --argjson at "$at" '.[0].text_offset[3 + $at:]' <<<"$all")"
	request GET "/v1/streams/$stream"
	expect "$(joined)" "$all"
}

@test "a stream's chunks, finish, usage and [DONE]" {
	start
	post /v1/completions '{"prompt": "The", "max_tokens": 10, "seed": 4}'
	local text=$(field '.choices[0].text')
	post /v1/completions '{"prompt": "The", "max_tokens": 10, "seed": 4, "stream": true}'
	[[ "$head" == *"text/event-stream"* ]]
	expect "$(chunks | jq -j '.choices[0].text')" "$text"
	expect "$(chunks | jq -s 'map(.choices[0].finish_reason) | map(select(. != null)) | join(" ")' -r)" length
	expect "$(chunks | jq -s 'map(has("usage")) | any')" false
	expect "$(chunks | jq -r .object | sort -u)" text_completion
	expect "$(chunks | jq -r .id | sort -u | wc -l)" 1
	expect "$(tail -1 <<<"$body")" "data: [DONE]"
	post /v1/completions '{"prompt": "The", "max_tokens": 10, "seed": 4, "stream": true, "stream_options": {"include_usage": true}}'
	expect "$(chunks | tail -1 | jq -c '[.choices, .usage.total_tokens]')" "[[],13]"
	expect "$(chunks | sed '$d' | jq -c .usage | sort -u)" null
}

@test "a stream of several prompts and choices" {
	start
	post /v1/completions '{"prompt": ["The", "quick"], "n": 2, "max_tokens": 10, "seed": 4, "echo": true}'
	local texts=$(field '[.choices[].text] | join("|")')
	post /v1/completions '{"prompt": ["The", "quick"], "n": 2, "max_tokens": 10, "seed": 4, "echo": true, "stream": true, "stream_options": {"include_usage": true}}'
	expect "$(chunks | jq -rs '[.[] | .choices[]] | group_by(.index) | map(map(.text) | join("")) | join("|")')" "$texts"
	expect "$(chunks | jq -rs '[.[] | .choices[] | select(.finish_reason).index] | sort | join(" ")')" "0 1 2 3"
	expect "$(chunks | tail -1 | jq -c '[.choices, .usage.completion_tokens]')" "[[],40]"
	expect "$(grep -c 'DONE' <<<"$body")" 1
}

@test "a stream can be resumed, in its own shape" {
	start
	post /v1/completions '{"prompt": "The", "max_tokens": 30, "seed": 4, "stream": true}'
	local whole=$body id=$(sed -n 's/^X-Stream-Id: //p' <<<"$head")
	[[ "$id" == cmpl_* ]]
	request GET "/v1/streams/$id"
	expect "$body" "$whole"
	stop
	start
	request GET "/v1/streams/$id"
	expect "$(chunks | jq -j '.choices[0].text')" \
		"$(sed -n 's/^data: \({.*\)$/\1/p' <<<"$whole" | jq -j '.choices[0].text')"
	expect "$(chunks | head -1 | jq -r .object)" text_completion
}

@test "a session goes on, and a retry does not advance it twice" {
	start
	post /v1/sessions '{"id": "s", "seed": 9}'
	post /sample '{"session": "s", "prompt": "The", "length": 20}'
	local text=$(field .text)
	post /v1/sessions '{"id": "t", "seed": 9}'
	post /v1/completions '{"session": "t", "prompt": "The", "max_tokens": 10}'
	expect "$(field '[.session, .position] | join(" ")')" "t 13"
	local first=$(field '.choices[0].text')
	request POST /v1/completions -H 'Content-Type: application/json' \
		-H 'Idempotency-Key: k1' -d '{"session": "t", "max_tokens": 10}'
	expect "$first$(field '.choices[0].text')" "$text"
	local second=$body
	request POST /v1/completions -H 'Content-Type: application/json' \
		-H 'Idempotency-Key: k1' -d '{"session": "t", "max_tokens": 10}'
	expect "$body" "$second"
	[[ "$head" == *"Idempotent-Replayed: true"* ]]
	request GET /v1/sessions/t
	expect "$(field .position)" 23
	post /v1/completions '{"session": "t", "prompt": ["a", "b"]}'
	expect_error 400 prompt invalid_value "a session has one timeline"
}

@test "stop ends before the text, and stop is the reason" {
	start
	post /v1/completions '{"prompt": "The", "max_tokens": 60, "seed": 2}'
	local text=$(field '.choices[0].text') stop
	stop=${text:7:2}
	post /v1/completions "$(jq -cn --arg s "$stop" '{prompt: "The", max_tokens: 60, seed: 2, stop: [$s]}')"
	expect "$(field '.choices[0].finish_reason')" stop
	expect "$(field '.choices[0].text')" "${text%%"$stop"*}"
}

@test "a client that leaves a list cancels all of it" {
	start
	timeout 1 curl -sSN "$url/v1/completions" -H 'Content-Type: application/json' \
		-d '{"prompt": ["The", "quick", "fox"], "max_tokens": 1000000, "stream": true}' \
		>/dev/null || true
	wait_metric unrolld_generations_active 0
	[ "$(metric 'unrolld_generations_total{outcome="cancelled"}')" = 3 ]
}

@test "models are OpenAI's objects with ours beside" {
	start
	request GET /v1/models
	expect "$(field '.object')" list
	expect "$(field '.data[0] | [.id, .object, .owned_by, (.created | type)] | join(" ")')" \
		"tiny model unrolld number"
	request GET /v1/models/tiny
	expect "$(field .id)" tiny
	request GET /v1/models/none
	expect_error 404 model model_not_found none
}
