# `unrolld health`: what those who watch a daemon are told, by exit status.

bats_require_minimum_version 1.5.0
load daemon.bash

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" demo
}

setup() {
	unset UNROLLD_URL CURL_CA_BUNDLE SSL_CERT_FILE
}

health() {
	run timeout 20 "${loose[@]}" "$exe" health "$@"
}

@test "a daemon that serves is ready and alive" {
	start
	health --url "$url"
	[ "$status" = 0 ]
	[ "$output" = "$url: ready" ]
	health --url "$url/" --live
	[ "$status" = 0 ]
	[[ "$output" == *": alive" ]]
	health --url "$url" --quiet
	[ "$status" = 0 ]
	[ -z "$output" ]
	UNROLLD_URL=$url health
	[ "$status" = 0 ]
}

@test "it asks where the configuration says that a daemon listens" {
	start
	port=${url##*:}
	UNROLLD_HTTP_PORT=$port UNROLLD_HTTP_ADDRESS=0.0.0.0 health
	[ "$status" = 0 ]
	[ "$output" = "$url: ready" ]
	printf '[http]\nport = %s\n' "$port" >"$BATS_TEST_TMPDIR/conf"
	health --config "$BATS_TEST_TMPDIR/conf"
	[ "$status" = 0 ]
	printf '[http]\nport = 0\n' >"$BATS_TEST_TMPDIR/conf"
	health --config "$BATS_TEST_TMPDIR/conf"
	[ "$status" = 1 ]
	[[ "$output" == *"http.port is 0"*"--url"* ]]
}

@test "it finds a daemon behind a socket, and one that speaks TLS" {
	start --http.address "unix:$BATS_TEST_TMPDIR/socket"
	UNROLLD_HTTP_ADDRESS=unix:$BATS_TEST_TMPDIR/socket health
	[ "$status" = 0 ]
	[ "$output" = "unix:$BATS_TEST_TMPDIR/socket: ready" ]
	stop
	command -v openssl >/dev/null || skip "no openssl to make certificates with"
	certificate daemon example.com
	start --http.tls_cert "$BATS_TEST_TMPDIR/daemon.crt" \
		--http.tls_key "$BATS_TEST_TMPDIR/daemon.key"
	port=${url##*:}
	printf '[http]\nport = %s\ntls_cert = %s\ntls_key = %s\n' "$port" \
		"$BATS_TEST_TMPDIR/daemon.crt" "$BATS_TEST_TMPDIR/daemon.key" \
		>"$BATS_TEST_TMPDIR/conf"
	# It is the one that is configured, whatever its name.
	health --config "$BATS_TEST_TMPDIR/conf"
	[ "$status" = 0 ]
	[ "$output" = "https://127.0.0.1:$port: ready" ]
	certificate other
	sed -i 's/daemon/other/' "$BATS_TEST_TMPDIR/conf"
	health --config "$BATS_TEST_TMPDIR/conf"
	[ "$status" = 1 ]
	[[ "$output" == *"ertificate"* ]]
	health --url "$url"
	[ "$status" = 1 ]
	stop
	certificate local
	start --http.tls_cert "$BATS_TEST_TMPDIR/local.crt" \
		--http.tls_key "$BATS_TEST_TMPDIR/local.key"
	CURL_CA_BUNDLE=$BATS_TEST_TMPDIR/local.crt health --url "$url"
	[ "$status" = 0 ]
	SSL_CERT_FILE=$BATS_TEST_TMPDIR/local.crt health --url "$url"
	[ "$status" = 0 ]
}

@test "without a model a daemon is alive and not ready" {
	mkdir "$BATS_TEST_TMPDIR/none"
	start --models.dir "$BATS_TEST_TMPDIR/none"
	health --url "$url"
	[ "$status" = 1 ]
	[[ "$output" == *"no model is loaded (503 unavailable)"* ]]
	health --url "$url" --live
	[ "$status" = 0 ]
}

@test "what does not answer in time, or at all, is unhealthy" {
	start
	kill -STOP "$pid"
	health --url "$url" --timeout 200ms
	kill -CONT "$pid"
	[ "$status" = 1 ]
	[[ "$output" == *"$url: "* ]]
	stop
	health --url "$url"
	[ "$status" = 1 ]
	health --url "unix:$BATS_TEST_TMPDIR/none"
	[ "$status" = 1 ]
	[[ "$output" == *"unix:$BATS_TEST_TMPDIR/none: "* ]]
}

@test "wrong usage is told apart" {
	health now
	[ "$status" = 2 ]
	[[ "$output" == *"'now' is not an option"* ]]
	health --timeout soon
	[ "$status" = 2 ]
}
