# How answers travel: gzip, TLS, a Unix socket.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "long JSON is gzipped for who takes it" {
	start
	local plain=$BATS_TEST_TMPDIR/plain packed=$BATS_TEST_TMPDIR/packed accept
	curl -sS "$url/openapi.json" >"$plain"
	for accept in gzip 'deflate, gzip;q=0.5' '*' 'br, GZIP'; do
		curl -sS -D "$BATS_TEST_TMPDIR/head" -H "Accept-Encoding: $accept" "$url/openapi.json" >"$packed"
		grep -qi '^Content-Encoding: gzip' "$BATS_TEST_TMPDIR/head"
		grep -qi '^Vary: Accept-Encoding' "$BATS_TEST_TMPDIR/head"
		gzip -dc <"$packed" | cmp - "$plain"
		[ $((3 * $(wc -c <"$packed"))) -lt "$(wc -c <"$plain")" ]
	done
	for accept in identity 'gzip;q=0' 'gzip; q=0.0, br' 'xgzip' ''; do
		request GET /openapi.json -H "Accept-Encoding: $accept"
		[[ "$head" != *"Content-Encoding"* ]]
		cmp "$BATS_TEST_TMPDIR/body" "$plain"
	done
	# What is short is not worth it, and a stream must not wait.
	request GET /healthz -H 'Accept-Encoding: gzip'
	[[ "$head" != *"Content-Encoding"* ]]
	request POST /sample -H 'Accept-Encoding: gzip' -H 'Content-Type: application/json' \
		-d '{"length": 500, "stream": true}'
	[[ "$head" != *"Content-Encoding"* ]]
	[[ "$body" == *"[DONE]"* ]]
	request GET /openapi.json -0 -H 'Accept-Encoding: gzip'
	[[ "$head" != *"Content-Encoding"* ]]
	request HEAD /openapi.json -I -H 'Accept-Encoding: gzip'
	expect "$status" 200
	# A connection goes on after one.
	expect "$(curl -sS -H 'Accept-Encoding: gzip' "$url/openapi.json" -o /dev/null \
		"$url/openapi.json" -o /dev/null -w '%{num_connects}')" 10
}

@test "a long answer, gzipped, is whole" {
	start
	jq -cn '{text: [range(4000) | "The quick brown fox"]}' >"$BATS_TEST_TMPDIR/many"
	curl -sS --compressed --max-time 30 -H 'Content-Type: application/json' \
		-d "@$BATS_TEST_TMPDIR/many" "$url/v1/score" >"$BATS_TEST_TMPDIR/answer"
	expect "$(jq '.results | length' "$BATS_TEST_TMPDIR/answer")" 4000
}

# start with TLS: the URL is https.
start_tls() {
	start --http.tls_cert "$BATS_TEST_TMPDIR/live.crt" \
		--http.tls_key "$BATS_TEST_TMPDIR/live.key" "$@"
	[[ "$url" == https://* ]]
}

@test "TLS, with a certificate that can be renewed" {
	command -v openssl >/dev/null || skip "no openssl to make certificates with"
	local tls=$BATS_TEST_TMPDIR
	certificate one
	certificate two
	cp "$tls/one.crt" "$tls/live.crt"
	cp "$tls/one.key" "$tls/live.key"
	start_tls
	request GET /healthz --cacert "$tls/one.crt"
	expect "$status" 200
	request POST /sample --cacert "$tls/one.crt" -H 'Content-Type: application/json' \
		-d '{"prompt": "The", "length": 300, "seed": 1, "stream": true}'
	expect "$(stream_text <<<"$body" | wc -c)" 300
	# A client that leaves is noticed.
	timeout 1 curl -sSN --cacert "$tls/one.crt" "$url/sample" -H 'Content-Type: application/json' \
		-d '{"length": 1000000, "stream": true}' >/dev/null || true
	for _ in {1..100}; do
		request GET /metrics --cacert "$tls/one.crt"
		! grep -q '^unrolld_generations_active 0$' "$BATS_TEST_TMPDIR/body" || break
		sleep 0.05
	done
	grep -q '^unrolld_generations_active 0$' "$BATS_TEST_TMPDIR/body"
	run ! curl -sS --max-time 5 "$url/healthz"
	cp "$tls/two.crt" "$tls/live.crt"
	cp "$tls/two.key" "$tls/live.key"
	kill -HUP "$pid"
	for _ in {1..100}; do
		! curl -sS --max-time 5 --cacert "$tls/two.crt" "$url/healthz" >/dev/null 2>&1 || break
		sleep 0.05
	done
	request GET /healthz --cacert "$tls/two.crt"
	expect "$status" 200
	run ! curl -sS --max-time 5 --cacert "$tls/one.crt" "$url/healthz"
	# What does not fit is left alone.
	cp "$tls/one.key" "$tls/live.key"
	kill -HUP "$pid"
	for _ in {1..100}; do
		! grep -q "the certificate is not read again" "$tls/err" || break
		sleep 0.05
	done
	grep -q "is not the certificate's" "$tls/err"
	request GET /healthz --cacert "$tls/two.crt"
	expect "$status" 200
	stop
	expect "$ended" 0
	run ! "${loose[@]}" "$exe" serve --http.port 0 --http.tls_cert "$tls/one.crt"
	[[ "$output" == *"belong together"* ]]
	chmod 644 "$tls/one.key"
	run ! "${loose[@]}" "$exe" serve --http.port 0 --http.tls_cert "$tls/one.crt" --http.tls_key "$tls/one.key"
	[[ "$output" == *"has the mode 0644"* ]]
}

@test "a Unix socket" {
	local socket=$BATS_TEST_TMPDIR/socket
	start --http.address "unix:$socket"
	expect "$(stat -c %a "$socket")" 660
	url=http://localhost
	request GET /healthz --unix-socket "$socket"
	expect "$status" 200
	request POST /sample --unix-socket "$socket" -H 'Content-Type: application/json' -d '{"length": 5}'
	expect "$status" 200
	# The words that it prints work as they are.
	run -0 bash -c "$(sed -n '/curl/,$p' "$BATS_TEST_TMPDIR/out")"
	[[ "$output" == *'"object":"sample"'* ]]
	# Another can't have it; what a crash left behind can be had.
	run ! "${loose[@]}" "$exe" serve --http.address "unix:$socket" --sessions.store memory \
		--models.dir "$BATS_FILE_TMPDIR/models"
	[[ "$output" == *"another process does"* ]]
	stop KILL
	[ -S "$socket" ]
	start --http.address "unix:$socket"
	url=http://localhost
	request GET /healthz --unix-socket "$socket"
	expect "$status" 200
	stop
	expect "$ended" 0
	[ ! -e "$socket" ]
}
