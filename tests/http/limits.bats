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
