# What a browser, a load balancer and a monitor need: CORS, Host, health,
# metrics, the description of the API.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "pages of this machine may use the API" {
	start
	request OPTIONS /sample -H 'Origin: http://localhost:5173' \
		-H 'Access-Control-Request-Method: POST' \
		-H 'Access-Control-Request-Headers: content-type, x-custom'
	expect "$status" 204
	[[ "$head" == *"Access-Control-Allow-Origin: http://localhost:5173"* ]]
	[[ "$head" == *"Access-Control-Allow-Methods: POST, OPTIONS"* ]]
	[[ "$head" == *"Access-Control-Allow-Headers: content-type, x-custom"* ]]
	[[ "$head" == *"Vary: Origin"* ]]
	request POST /sample -H 'Origin: http://127.0.0.1:3000' \
		-H 'Content-Type: application/json' -d '{"length": 3}'
	expect "$status" 200
	[[ "$head" == *"Access-Control-Allow-Origin: http://127.0.0.1:3000"* ]]
	# An error is readable, too.
	request POST /sample -H 'Origin: http://127.0.0.1:3000' \
		-H 'Content-Type: application/json' -d '{"length": 0}'
	expect "$status" 400
	[[ "$head" == *"Access-Control-Allow-Origin: http://127.0.0.1:3000"* ]]
	# And a stream.
	request POST /sample -H 'Origin: http://127.0.0.1:3000' \
		-H 'Content-Type: application/json' -d '{"length": 3, "stream": true}'
	[[ "$head" == *"Access-Control-Allow-Origin: http://127.0.0.1:3000"* ]]
}

@test "pages of elsewhere may not" {
	start
	local origin
	for origin in https://evil.example http://localhost.evil.example null; do
		request POST /sample -H "Origin: $origin" \
			-H 'Content-Type: application/json' -d '{"length": 3}'
		expect_error 403 null origin_not_allowed "$origin"
		[[ "$head" != *"Access-Control-Allow-Origin"* ]]
		request OPTIONS /sample -H "Origin: $origin" \
			-H 'Access-Control-Request-Method: POST'
		expect "$status" 403
	done
	expect "$(metric unrolld_generated_tokens_total)" 0
}

@test "origins can be allowed" {
	start --http.cors_origins https://app.example \
		--http.cors_origins 'https://*.play.example:*'
	request GET /v1/models -H 'Origin: https://app.example'
	expect "$status" 200
	request GET /v1/models -H 'Origin: https://a.play.example:8443'
	expect "$status" 200
	request GET /v1/models -H 'Origin: http://localhost:3000'
	expect "$status" 403
	# Its own pages always.
	request GET /v1/models -H "Origin: $url"
	expect "$status" 200
}

@test "a name that was rebound to loopback is refused" {
	start
	request GET /v1/models -H 'Host: evil.example'
	expect_error 403 null host_not_allowed "evil.example"
	request GET /v1/models -H 'Host: localhost:1234'
	expect "$status" 200
	stop
	start --http.hosts lm.example
	request GET /v1/models -H 'Host: LM.example:80'
	expect "$status" 200
	request GET /v1/models -H 'Host: evil.example'
	expect "$status" 403
}

@test "health, readiness, metrics" {
	start
	request GET /healthz
	expect "$status $body" '200 {"status":"ok"}'
	request GET /readyz
	expect "$status $body" '200 {"status":"ready"}'
	post /sample '{"length": 25}'
	request GET /metrics
	expect "$status" 200
	[[ "$head" == *"Content-Type: text/plain; version=0.0.4"* ]]
	expect "$(metric unrolld_generated_tokens_total)" 25
	expect "$(metric 'unrolld_generations_total{outcome="length"}')" 1
	expect "$(metric 'unrolld_http_requests_total{route="/sample",status="200"}')" 1
	expect "$(metric unrolld_models)" 1
	expect "$(metric unrolld_ready)" 1
	if command -v promtool >/dev/null; then
		curl -sS "$url/metrics" | promtool check metrics
	fi
}

@test "not ready without a model, and it says so" {
	mkdir -p "$BATS_TEST_TMPDIR/none"
	start --models.dir "$BATS_TEST_TMPDIR/none"
	request GET /healthz
	expect "$status" 200
	request GET /readyz
	expect_error 503 null unavailable "no model is loaded"
	post /sample '{}'
	expect "$status" 404
}

@test "the description lists every route and every field" {
	start
	request GET /openapi.json
	expect "$status" 200
	expect "$(field .openapi)" 3.1.0
	expect "$(field '.paths | keys | join(" ")')" \
		"/ /healthz /metrics /openapi.json /readyz /sample /v1/activations /v1/aliases /v1/aliases/{alias} /v1/captions /v1/completions /v1/detokenize /v1/files /v1/files/{file} /v1/files/{file}/content /v1/fine_tuning/jobs /v1/fine_tuning/jobs/{id} /v1/fine_tuning/jobs/{id}/cancel /v1/fine_tuning/jobs/{id}/checkpoints /v1/fine_tuning/jobs/{id}/events /v1/fine_tuning/jobs/{id}/pause /v1/fine_tuning/jobs/{id}/resume /v1/models /v1/models/{model} /v1/models/{model}/load /v1/models/{model}/unload /v1/score /v1/sessions /v1/sessions/import /v1/sessions/{id} /v1/sessions/{id}/export /v1/sessions/{id}/fork /v1/sessions/{id}/peek /v1/sessions/{id}/rewind /v1/sessions/{id}/snapshot /v1/sessions/{id}/snapshot/{name} /v1/streams/{id} /v1/tokenize /web/{file}"
	expect "$(field '.paths["/sample"].post.requestBody.content["application/json"].schema.properties.length | [.type, .minimum, .default] | map(tostring) | join(" ")')" \
		"integer 0 200"
	expect "$(field '.paths["/v1/sessions/{id}"] | keys | join(" ")')" "delete get"
	# Each GET without parameters that it lists is there.
	local path paths
	paths=$(field '.paths | to_entries[] | select(.value.get and (.key | contains("{") | not)) | .key')
	for path in $paths; do
		request GET "$path"
		expect "$status" 200
	done
}

@test "the models are described" {
	start
	request GET /v1/models
	expect "$(field '.object, .data[0].id, .data[0].object' | tr '\n' ' ')" "list tiny model "
	request GET /v1/models/tiny
	expect "$(field '[.cell, .layers, .hidden, .tokenizer, .state_bytes] | map(tostring) | join(" ")')" \
		"lstm 2 48 char 768"
}

@test "the root says where to go, in JSON and in HTML" {
	start
	request GET /
	expect "$(field .api)" /openapi.json
	request GET / -H 'Accept: text/html'
	[[ "$head" == *"Content-Type: text/html"* ]]
}
