# What one key, or one address, may use: requests and tokens a minute, and how
# much at once.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "requests a minute" {
	start --limits.requests_per_minute 3
	local i
	for i in 1 2 3; do
		request GET /v1/models
		expect "$status" 200
	done
	request GET /v1/models
	expect_error 429 limits.requests_per_minute rate_limit_exceeded "more than 3 requests a minute"
	local after=$(sed -n 's/^Retry-After: //p' <<<"$head")
	[ "$after" -ge 1 ] && [ "$after" -le 20 ]
	# Monitors are not counted.
	request GET /healthz
	expect "$status" 200
	[ "$(metric 'unrolld_limited_total{limit="requests"}')" = 1 ]
	[ "$(metric 'unrolld_limit{option="limits.requests_per_minute"}')" = 3 ]
	[ "$(metric 'unrolld_limit{option="http.max_connections_per_address"}')" = 0 ]
}

@test "each key has its own" {
	UNROLLD_API_KEYS="a sample aaaaaaaaaaaaaaaa;b sample bbbbbbbbbbbbbbbb" \
		start --limits.requests_per_minute 1
	request GET /v1/models -H 'X-Api-Key: aaaaaaaaaaaaaaaa'
	expect "$status" 200
	request GET /v1/models -H 'X-Api-Key: aaaaaaaaaaaaaaaa'
	expect "$status" 429
	request GET /v1/models -H 'X-Api-Key: bbbbbbbbbbbbbbbb'
	expect "$status" 200
	request GET /v1/models
	expect "$status" 401
}

@test "tokens a minute, of prompts, answers and scores" {
	start --limits.tokens_per_minute 100
	post /sample '{"prompt": "The", "length": 150}'
	expect "$status" 200
	local path
	for path in /sample /v1/completions; do
		post $path '{"prompt": "The"}'
		expect_error 429 limits.tokens_per_minute rate_limit_exceeded "more than 100 tokens a minute"
		[ "$(sed -n 's/^Retry-After: //p' <<<"$head")" -ge 1 ]
	done
	post /v1/completions '{"prompt": ["The", "quick"]}'
	expect_error 429 limits.tokens_per_minute rate_limit_exceeded "tokens a minute"
	post /v1/score '{"text": "The"}'
	expect_error 429 limits.tokens_per_minute rate_limit_exceeded "tokens a minute"
	stop
	start --limits.tokens_per_minute 100
	post /v1/score '{"text": ["The quick brown fox", "The quick brown fox", "The quick brown fox", "The quick brown fox", "The quick brown fox", "The quick brown fox"]}'
	expect "$status" 200
	post /v1/score '{"text": "The"}'
	expect "$status" 429
	# What a session reads when it is made.
	stop
	start --limits.tokens_per_minute 100
	post /v1/sessions "$(jq -cn '{prompt: ("The quick brown fox" * 8)}')"
	expect "$status" 201
	post /sample '{"length": 1}'
	expect "$status" 429
	post /v1/sessions '{"id": "none", "prompt": "The"}'
	expect_error 429 limits.tokens_per_minute rate_limit_exceeded "tokens a minute"
	[ "$(sed -n 's/^Retry-After: //p' <<<"$head")" -ge 1 ]
	request GET /v1/sessions/none
	expect "$status" 404
	post /v1/sessions '{"id": "some"}'
	expect "$status" 201
	# And what cells are looked at for.
	stop
	start --limits.tokens_per_minute 100
	post /v1/activations "$(jq -cn '{text: ("The quick brown fox" * 8)}')"
	expect "$status" 200
	post /v1/activations '{"text": "The"}'
	expect "$status" 429
}

@test "what a request may read and write" {
	start --http.max_prompt 10 --http.max_length 20
	post /sample '{"prompt": "The quick brown", "length": 3}'
	expect_error 413 prompt too_large "more than 10 tokens"
	post /v1/completions '{"prompt": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "max_tokens": 3}'
	expect_error 413 prompt too_large "more than 10 tokens"
	post /v1/completions '{"prompt": ["The", "The quick brown"], "max_tokens": 3}'
	expect_error 413 prompt too_large "more than 10 tokens"
	post /v1/sessions '{"prompt": "The quick brown"}'
	expect_error 413 prompt too_large "more than 10 tokens"
	post /v1/score '{"text": "quick brown", "prefix": "The "}'
	expect_error 413 text too_large "more than 10 tokens"
	post /v1/completions '{"prompt": "The", "max_tokens": 21}'
	expect_error 400 max_tokens invalid_value "expected an integer from 0 to 20"
	post /sample '{"prompt": "The quick ", "length": 20}'
	expect "$status" 200
}

@test "every limit of the option table is in /metrics" {
	start --http.body_timeout 1500ms
	request GET /metrics
	cp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/metrics"
	"${loose[@]}" "$exe" serve --print-config | awk '
		/^\[/ { section = substr($1, 2, length($1) - 2) }
		/^;?[a-z_]+ =/ { sub(/^;/, ""); print section "." $1 }' |
		grep -E '^limits\.|[._](max|queue|quota|slots|resident)(_|$)|_per_[a-z]*$|\.[a-z]*_?timeout$|buffer' |
		grep -vE '^http.drain_timeout$' >"$BATS_TEST_TMPDIR/options"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/options")" -ge 30 ]
	local option
	while read -r option; do
		echo "$option"
		grep -qF "unrolld_limit{option=\"$option\"}" "$BATS_TEST_TMPDIR/metrics"
	done <"$BATS_TEST_TMPDIR/options"
	grep -qxF 'unrolld_limit{option="http.body_timeout"} 1.5' "$BATS_TEST_TMPDIR/metrics"
}

@test "generations at once" {
	start --limits.generations 1
	curl -sSN "$url/sample" -H 'Content-Type: application/json' --max-time 20 \
		-d '{"length": 1000000, "stream": true}' >/dev/null &
	wait_metric unrolld_generations_active 1
	post /sample '{"length": 3}'
	expect_error 429 limits.generations rate_limit_exceeded "more than 1 generations at once"
	kill $! && wait $! || true
	wait_metric unrolld_generations_active 0
	post /sample '{"length": 3}'
	expect "$status" 200
	post /v1/completions '{"prompt": ["The", "quick"]}'
	expect "$status" 429
	wait_metric unrolld_generations_active 0
	post /sample '{"length": 3}'
	expect "$status" 200
}

@test "a caption that begins a session counts once" {
	local images=$BATS_TEST_DIRNAME/../golden/images models=$BATS_TEST_TMPDIR/models

	mkdir "$models"
	cp "$BATS_FILE_TMPDIR/models/tiny.safetensors" "$models"
	cp "$BATS_TEST_DIRNAME/../../conf/models/scenes.safetensors" "$models"
	start --models.dir "$models" --limits.generations 1
	for i in 1 2 3; do
		request POST /v1/captions -F "image=@$images/tall.jpg" \
			-F "session=s$i" -F session_model=tiny -F 'session_prompt=fox {caption}'
		expect "$status" 200
		expect "$(field .session.id)" "s$i"
	done
}
