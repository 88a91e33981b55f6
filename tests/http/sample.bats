# POST /sample: what it answers, and what it says to what it can't take.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "an answer has all its fields" {
	start
	post /sample '{"prompt": "ROMEO:", "length": 20, "seed": 7}'
	expect "$status" 200
	expect "$(field 'keys_unsorted | join(" ")')" \
		"id object created model session position text finish_reason seed usage timings system_fingerprint"
	expect "$(field .model)" tiny
	expect "$(field .session)" null
	expect "$(field .position)" 26
	expect "$(field .finish_reason)" length
	expect "$(field .seed)" 7
	expect "$(field '.text | length')" 20
	expect "$(field '.usage | "\(.prompt_tokens) \(.completion_tokens) \(.total_tokens)"')" "6 20 26"
	[[ "$(field .system_fingerprint)" =~ ^[0-9a-f]{16}-f32-[a-z0-9]+$ ]]
	[[ "$head" == *"Content-Type: application/json"* ]]
	[[ "$head" == *"X-Request-Id: req-"* ]]
}

@test "defaults: 200 tokens of the default model from an empty prompt" {
	start
	post /sample '{}'
	expect "$status" 200
	expect "$(field '.usage.completion_tokens')" 200
	expect "$(field '.usage.prompt_tokens')" 0
}

@test "one seed gives one text; another, another" {
	start
	post /sample '{"prompt": "The", "length": 100, "seed": 1}'
	local first=$(field .text)
	post /sample '{"prompt": "The", "length": 100, "seed": 1}'
	expect "$(field .text)" "$first"
	post /sample '{"prompt": "The", "length": 100, "seed": 2}'
	[ "$(field .text)" != "$first" ]
	# None: drawn afresh, and told, so that it can be had again.
	post /sample '{"prompt": "The", "length": 100}'
	first=$(field .text)
	post /sample "{\"prompt\": \"The\", \"length\": 100, \"seed\": \"$(field .seed)\"}"
	expect "$(field .text)" "$first"
}

@test "max_tokens is length" {
	start
	post /sample '{"max_tokens": 5}'
	expect "$(field .usage.completion_tokens)" 5
	post /sample '{"max_tokens": 5, "length": 5}'
	expect "$status" 200
	post /sample '{"max_tokens": 5, "length": 6}'
	expect_error 400 max_tokens invalid_value "mean the same: give one"
	post /sample '{"max_tokens": 0}'
	expect_error 400 max_tokens invalid_value "max_tokens is the integer 0, expected an integer from 1 to 1000000"
}

@test "seeds are whole 64-bit numbers" {
	start
	local seed
	for seed in 0 9007199254740993 9223372036854775807 \
		'"9223372036854775808"' '"18446744073709551615"'; do
		post /sample "{\"length\": 5, \"seed\": $seed}"
		expect "$status" 200
		expect "$(field .seed)" "${seed//\"/}"
	done
	# Past 2^53, neighbours are told apart.
	post /sample '{"length": 60, "seed": 9007199254740992}'
	local even=$(field .text)
	post /sample '{"length": 60, "seed": 9007199254740993}'
	[ "$(field .text)" != "$even" ]
	for seed in -1 1.5 1e3 '"x"' '"18446744073709551616"' true; do
		post /sample "{\"seed\": $seed}"
		expect_error 400 seed invalid_value "expected an integer from 0 to 9223372036854775807, or a decimal string up to 18446744073709551615"
	done
	post /sample '{"seed": 9223372036854775808}'
	expect_error 400 null invalid_value "write a seed above 9223372036854775807 as a string"
}

@test "temperature 0 is greedy" {
	start
	post /sample '{"prompt": "ROMEO:", "length": 50, "temperature": 0, "seed": 1}'
	expect "$status" 200
	local text=$(field .text)
	post /sample '{"prompt": "ROMEO:", "length": 50, "temperature": 0, "seed": 2}'
	expect "$(field .text)" "$text"
	post /sample '{"prompt": "ROMEO:", "length": 50, "top_k": 1, "seed": 3}'
	expect "$(field .text)" "$text"
}

@test "values out of range are named" {
	start
	local row
	while IFS='|' read -r json param message; do
		post /sample "{$json}"
		expect_error 400 "$param" invalid_value "$message"
	done <<-'ROWS'
		"temperature": -1|temperature|temperature is the integer -1, expected a number from 0 to 10
		"temperature": 11|temperature|the integer 11, expected a number from 0 to 10
		"length": 0|length|length is the integer 0, expected an integer from 1 to 1000000
		"length": -5|length|length is the integer -5
		"length": 1000001|length|expected an integer from 1 to 1000000
		"length": 9223372036854775807|length|length is the integer 9223372036854775807
		"top_k": -1|top_k|expected an integer from 0
		"top_p": 0|top_p|expected a number from 1e-09 to 1
		"top_p": 1.1|top_p|the number 1.1
		"min_p": -0.1|min_p|expected a number from 0 to 1
		"repetition_penalty": 0|repetition_penalty|expected a number from 0.01 to 10
		"presence_penalty": 3|presence_penalty|expected a number from -2 to 2
		"frequency_penalty": -3|frequency_penalty|expected a number from -2 to 2
		"n": 0|n|expected an integer from 1 to 16
		"n": 17|n|expected an integer from 1 to 16
		"logprobs": 21|logprobs|expected an integer from 0 to 20
		"logprobs": 20, "length": 100000|logprobs|stream them
		"stop": ""|stop|expected a string of 1 to 256 bytes
		"stop": ["a", 5]|stop|stop has the integer 5
		"stop": ["1","2","3","4","5","6","7","8","9","0","1","2","3","4","5","6","7"]|stop|stop has 17 items, expected at most 16
		"logit_bias": {"a": 1}|logit_bias|logit_bias has 'a', expected a token id
		"logit_bias": {"1": 101}|logit_bias|expected a number from -100 to 100
		"logit_bias": {"99999": 1}|logit_bias|99999
		"logit_bias": 3|logit_bias|expected an object
		"expected_position": 3|expected_position|without a session
	ROWS
}

@test "wrong types are named" {
	start
	local json param message
	while IFS='|' read -r json param message; do
		post /sample "{$json}"
		expect_error 400 "$param" invalid_value "$message"
	done <<-'ROWS'
		"prompt": 5|prompt|prompt is the integer 5, expected a string
		"prompt": ["a"]|prompt|prompt is an array, expected a string
		"length": "5"|length|length is a string ("5"), expected an integer from 0
		"length": 5.5|length|length is the number 5.5
		"temperature": "hot"|temperature|temperature is a string ("hot"), expected a number
		"stream": 1|stream|stream is the integer 1, expected true or false
		"echo": "yes"|echo|expected true or false
		"model": 1|model|model is the integer 1, expected a string of 1 to 64 bytes
		"session": {}|session|session is an object
		"unknown": "ignore"|unknown|unknown is a string ("ignore"), expected one of error|skip|auto
		"promt": "x"|promt|unknown field 'promt', expected some of: model session prompt
	ROWS
}

@test "bodies that are no JSON object" {
	start
	post /sample '{"prompt": "a",}'
	expect_error 400 null invalid_value "the body is not valid JSON: line 1 column 16"
	post /sample $'{\n "prompt": "a"\n "length": 1}'
	expect_error 400 null invalid_value "line 3 column"
	post /sample ''
	expect_error 400 null invalid_value "the body is empty, expected a JSON object"
	post /sample '[]'
	expect_error 400 null invalid_value "the body is an array, expected a JSON object"
	post /sample '{"length": 1, "length": 2}'
	expect_error 400 null invalid_value "duplicate"
	post /sample $'{"prompt": "\xff\xfe"}'
	expect_error 400 null invalid_value "not valid JSON"
	post /sample "$(printf '[%.0s' {1..100000})"
	expect_error 400 null invalid_value "nests deeper than 16 levels"
	post /sample '{}'
	expect "$status" 200
}

@test "characters outside the vocabulary: refused by name, or skipped" {
	start
	post /sample '{"prompt": "ROMEO: ünd ß", "length": 5}'
	expect_error 422 prompt unknown_character "ü"
	post /sample '{"prompt": "ROMEO: ünd ß", "length": 5, "unknown": "error"}'
	expect "$status" 422
	post /sample '{"prompt": "ROMEO: ünd ß", "length": 5, "unknown": "skip", "seed": 1}'
	expect "$status" 200
	expect "$(field .usage.prompt_tokens)" 10
	expect "$(field .usage.skipped_characters)" 2
	local text=$(field .text)
	post /sample '{"prompt": "ROMEO: nd ", "length": 5, "seed": 1}'
	expect "$(field .text)" "$text"
}

@test "unknown models and sessions" {
	start
	post /sample '{"model": "gpt"}'
	expect_error 404 model model_not_found "gpt"
	post /sample '{"session": "nobody"}'
	expect_error 404 session session_not_found "nobody"
	request GET /v1/models/gpt
	expect_error 404 model model_not_found "gpt"
	request GET /v1/sessions/nobody
	expect_error 404 session session_not_found "nobody"
}

@test "wrong methods, paths and content types" {
	start
	request GET /sample
	expect_error 405 null method_not_allowed "GET does not apply to '/sample', which takes POST, OPTIONS"
	[[ "$head" == *"Allow: POST, OPTIONS"* ]]
	request PUT /v1/models
	expect_error 405 null method_not_allowed "takes GET, HEAD, OPTIONS"
	request GET /nowhere
	expect_error 404 null not_found "there is nothing at '/nowhere'"
	request POST /sample -H 'Content-Type: text/plain' -d '{}'
	expect_error 415 null unsupported_media_type "Content-Type is text/plain, expected application/json"
	request POST /sample -H 'Content-Type:' -d '{}'
	expect_error 415 null unsupported_media_type "Content-Type is missing"
	request POST /sample -d '{}'
	expect "$status" 415
	request HEAD /healthz -I
	expect "$status" 200
}

@test "a body over the limit" {
	start --http.max_body 2K
	post /sample "{\"prompt\": \"$(printf 'a%.0s' {1..3000})\"}"
	expect_error 413 null too_large "at most 2048 are taken"
	request POST /sample -H 'Content-Type: application/json' \
		-H 'Transfer-Encoding: chunked' \
		-d "{\"prompt\": \"$(printf 'a%.0s' {1..3000})\"}"
	expect_error 413 null too_large "longer than 2048 bytes"
	# Far over it, announced or not: refused, and the daemon lives.
	head -c 4000000 /dev/zero >"$BATS_TEST_TMPDIR/big"
	request POST /sample -H 'Content-Type: application/json' \
		--data-binary "@$BATS_TEST_TMPDIR/big" || true
	expect "$status" 413
	post /sample '{"length": 5}'
	expect "$status" 200
}

@test "stop ends before the text" {
	start
	post /sample '{"prompt": "ROMEO:", "length": 400, "seed": 5}'
	local whole=$(field .text)
	local stop=${whole:100:2}
	post /sample "$(jq -nc --arg s "$stop" '{prompt: "ROMEO:", length: 400, seed: 5, stop: $s}')"
	expect "$(field .finish_reason)" stop
	[[ "$(field .text)" != *"$stop"* ]]
	[ "$(field .text)" = "${whole%%"$stop"*}" ]
	post /sample "$(jq -nc --arg s "$stop" '{prompt: "ROMEO:", length: 400, seed: 5, stop: [$s, "~"]}')"
	[ "$(field .text)" = "${whole%%"$stop"*}" ]
}

@test "n, echo, logprobs and logit_bias" {
	start
	post /sample '{"prompt": "The ", "length": 30, "n": 3, "seed": 5, "echo": true}'
	expect "$(field '.choices | length')" 3
	expect "$(field '[.choices[].index] | join(" ")')" "0 1 2"
	expect "$(field '[.choices[].text[0:4]] | unique | join("")')" "The "
	expect "$(field '[.choices[].text] | unique | length')" 3
	expect "$(field '.usage.completion_tokens')" 90
	local first=$(field '.choices[0].text')
	post /sample '{"prompt": "The ", "length": 30, "seed": 5, "echo": true}'
	expect "$(field .text)" "$first"
	post /sample '{"prompt": "The ", "length": 4, "logprobs": 2, "temperature": 0}'
	expect "$(field '.logprobs.tokens | length')" 4
	expect "$(field '.logprobs.tokens | join("")')" "$(field .text)"
	expect "$(field '[.logprobs.top_logprobs[] | length] | unique | join(" ")')" 2
	expect "$(field '.logprobs | [.token_logprobs, [.top_logprobs[] | [.[]] | max]] | (.[0] == .[1])')" true
	expect "$(field '[.logprobs.token_logprobs[] | . < 0] | all')" true
	# One token made certain, then banned.
	post /sample '{"length": 5, "logit_bias": {"20": 100}}'
	local banned=$(field '.text[0:1]')
	expect "$(field .text)" "$banned$banned$banned$banned$banned"
	post /sample '{"length": 200, "logit_bias": {"20": -100}}'
	[[ "$(field .text)" != *"$banned"* ]]
}

@test "penalties change the text, and leave it the same when off" {
	start
	post /sample '{"prompt": "The", "length": 80, "seed": 1}'
	local plain=$(field .text)
	post /sample '{"prompt": "The", "length": 80, "seed": 1, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1, "top_k": 0, "top_p": 1, "min_p": 0}'
	expect "$(field .text)" "$plain"
	for one in '"presence_penalty": 2' '"frequency_penalty": 2' \
		'"repetition_penalty": 3' '"top_k": 2' '"top_p": 0.1' \
		'"min_p": 0.9' '"temperature": 0.1'; do
		post /sample "{\"prompt\": \"The\", \"length\": 80, \"seed\": 1, $one}"
		expect "$status" 200
		[ "$(field .text)" != "$plain" ]
	done
}

@test "a prompt of a megabyte is fed, and others go on meanwhile" {
	start
	local times=20000
	# Sanitizers take their time.
	[ "${VARIANT:-release}" = release ] || times=2000
	{
		printf '{"length": 10, "seed": 1, "prompt": "'
		for ((i = 0; i < times; i++)); do
			printf 'the quick brown fox jumps over the lazy dog. the fox '
		done
		printf '"}'
	} >"$BATS_TEST_TMPDIR/long"
	curl -sS --max-time 50 -H 'Content-Type: application/json' \
		--data-binary "@$BATS_TEST_TMPDIR/long" "$url/sample" \
		>"$BATS_TEST_TMPDIR/answer" 3>&- &
	local job=$! slow=0 during=0 ms
	while kill -0 "$job" 2>/dev/null; do
		ms=$(curl -sS --max-time 10 -o /dev/null -w '%{time_total}' \
			-H 'Content-Type: application/json' \
			-d '{"length": 20}' "$url/sample" |
			awk '{ print int($1 * 1000) }')
		during=$((during + 1))
		[ "$ms" -lt 500 ] || slow=$((slow + 1))
		sleep 0.02
	done
	wait "$job"
	expect "$(jq .usage.prompt_tokens "$BATS_TEST_TMPDIR/answer")" $((times * 53))
	[ "$during" -ge 3 ]
	[ "$slow" -eq 0 ] || [ "${VARIANT:-release}" != release ]
}

@test "64 requests at once each get what they get alone" {
	start
	local i
	for i in {1..64}; do
		curl -sS --max-time 30 -H 'Content-Type: application/json' \
			-d "{\"prompt\": \"ROMEO: fox $i\", \"length\": $((50 + i * 5)), \"seed\": $i, \"temperature\": 0.8}" \
			"$url/sample" >"$BATS_TEST_TMPDIR/together.$i" 3>&- &
		jobs[i]=$!
	done
	wait "${jobs[@]}"
	for i in {1..64}; do
		expect "$(jq '.text | length' "$BATS_TEST_TMPDIR/together.$i")" \
			$((50 + i * 5))
		post /sample "{\"prompt\": \"ROMEO: fox $i\", \"length\": $((50 + i * 5)), \"seed\": $i, \"temperature\": 0.8}"
		expect "$(field .text)" "$(jq -r .text "$BATS_TEST_TMPDIR/together.$i")"
	done
}
