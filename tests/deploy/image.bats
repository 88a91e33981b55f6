# The image, really built from a clean tree and run as in earnest: read-only,
# without capabilities, in 256 MB.

bats_require_minimum_version 1.5.0
load containers.bash

setup_file() {
	containers_setup || return 0
	clean_tree "$BATS_FILE_TMPDIR/tree"
	build_image "$BATS_FILE_TMPDIR/tree" >&2
}

teardown_file() {
	containers_release
}

setup() {
	containers_needed
	key=test-key-0123456789
	authorized=(-H "Authorization: Bearer $key")
	keys=(-e "UNROLLD_API_KEYS=tester admin $key")
	name=unrolld-test-$BATS_TEST_NUMBER-$$
}

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || podman logs "$name" >&2 || true
	podman rm -f -t 1 -v "$name" >/dev/null 2>&1 || true
	podman volume rm -f "$name" >/dev/null 2>&1 || true
}

@test "it is small, has no compiler and says what it is" {
	local bytes

	bytes=$(podman image save "$image" | gzip -1 | wc -c)
	echo "# compressed: $bytes bytes" >&3
	[ "$bytes" -lt $((120 << 20)) ]
	run podman run --rm --entrypoint sh "$image" -c \
		'command -v gcc cc make; ls /src; id -u'
	[[ "$output" != *bin/* ]]
	[[ "$output" == *64080 ]]
	run -0 podman image inspect "$image"
	jq -e '.[0] | (.Config | .StopSignal == "SIGTERM" and
		.Labels["org.opencontainers.image.title"] == "unrolld") and
		(.Healthcheck // .HealthCheck).Test[1] == "/usr/bin/unrolld"' \
		<<<"$output"
}

@test "a change of the sources is built again, on what is cached" {
	echo >>"$BATS_FILE_TMPDIR/tree/src/base/utf8.c"
	SECONDS=0
	build_image "$BATS_FILE_TMPDIR/tree" >&2
	echo "# built again in $SECONDS s" >&3
}

@test "the first start makes a key; samples, streams and sessions outlive a restart" {
	run_daemon "$name" "$image"
	key=$(podman logs "$name" 2>/dev/null |
		sed -n 's/.*export UNROLLD_API_KEY=//p')
	[[ "$key" == ur-* ]]
	ask /sample -d '{"length": 5}'
	expect "$status" 401
	authorized=(-H "Authorization: Bearer $key")
	ask /sample -d '{"length": 20, "seed": 1}'
	expect "$status" 200
	ask /sample -d '{"length": 20, "stream": true}'
	[[ "$body" == *'"finish_reason":"length"'*'data: [DONE]'* ]]
	ask /v1/sessions -d '{"id": "play", "seed": 3}'
	ask /sample -d '{"session": "play", "length": 50}'
	expect "$(field .position)" 50
	podman restart -t 10 "$name" >/dev/null
	find_url "$name"
	wait_ready
	run ! grep -q "export UNROLLD_API_KEY=" <(podman logs --since 5s "$name" 2>&1 | tail -n 20)
	ask /sample -d '{"session": "play", "length": 50}'
	expect "$(field .position)" 100
	# The same as without a restart between.
	text=$(field .text)
	ask /v1/sessions -d '{"id": "again", "seed": 3}'
	ask /sample -d '{"session": "again", "length": 100}'
	expect "$(field '.text[50:]')" "$text"
}

@test "it runs as is, without any option" {
	podman run -d --name "$name" -p 127.0.0.1::8080 "$image" >/dev/null
	find_url "$name"
	wait_ready
	key=$(podman logs "$name" 2>/dev/null |
		sed -n 's/.*export UNROLLD_API_KEY=//p')
	authorized=(-H "Authorization: Bearer $key")
	ask /sample -d '{"length": 20}'
	expect "$status" 200
}

@test "health, and a graceful stop" {
	run_daemon "$name" "${keys[@]}" "$image"
	podman healthcheck run "$name"
	expect "$(podman inspect -f '{{.State.Health.Status}}' "$name")" healthy
	podman stop -t 10 "$name" >/dev/null
	expect "$(podman inspect -f '{{.State.ExitCode}}' "$name")" 0
}

@test "what was answered survives a kill -9" {
	run_daemon "$name" "${keys[@]}" "$image"
	ask /v1/sessions -d '{"id": "play"}'
	ask /sample -d '{"session": "play", "length": 30}'
	podman kill -s KILL "$name" >/dev/null
	podman wait "$name" >/dev/null
	podman start "$name" >/dev/null
	find_url "$name"
	wait_ready
	ask /v1/sessions/play
	expect "$(field .position)" 30
}

@test "huge requests don't kill it" {
	run_daemon "$name" "${keys[@]}" "$image"
	head -c 15000000 /dev/zero | tr '\0' a |
		sed 's/^/{"length": 1, "prompt": "/; s/$/"}/' >"$BATS_TEST_TMPDIR/big"
	local i
	for i in {1..12}; do
		curl -s --max-time 60 -o /dev/null -w '%{http_code}\n' \
			-H 'Content-Type: application/json' "${authorized[@]}" \
			-H 'Expect:' --data-binary "@$BATS_TEST_TMPDIR/big" \
			"$url/sample" >>"$BATS_TEST_TMPDIR/codes" 3>&- &
	done
	sleep 5
	ask /sample -d '{"length": 5}'
	expect "$status" 200
	expect "$(podman inspect -f '{{.State.Running}} {{.RestartCount}} {{.State.OOMKilled}}' "$name")" \
		"true 0 false"
	kill $(jobs -p) 2>/dev/null || true
}

@test "SIGTERM ends 50 streams properly by the deadline" {
	run_daemon "$name" "${keys[@]}" \
		-e UNROLLD_HTTP_DRAIN_TIMEOUT=2s "$image"
	local i pids=()
	for i in {1..50}; do
		curl -sSN --max-time 60 -o "$BATS_TEST_TMPDIR/stream.$i" \
			--limit-rate 50K -H 'Content-Type: application/json' \
			"${authorized[@]}" \
			-d '{"length": 1000000, "stream": true}' \
			"$url/sample" 3>&- &
		pids+=($!)
	done
	for i in {1..100}; do
		[ "$(curl -sS --max-time 5 "${authorized[@]}" "$url/metrics" |
			awk '$1 == "unrolld_slots_active" { print $2 }')" != 50 ] ||
			break
		sleep 0.1
	done
	podman stop -t 20 "$name" >/dev/null
	expect "$(podman inspect -f '{{.State.ExitCode}}' "$name")" 0
	wait "${pids[@]}" || true
	for i in {1..50}; do
		tail -n 4 "$BATS_TEST_TMPDIR/stream.$i" >"$BATS_TEST_TMPDIR/tail"
		grep -Eq '"finish_reason":"|"error":' "$BATS_TEST_TMPDIR/tail" || {
			echo "stream $i ended with:" >&2
			cat "$BATS_TEST_TMPDIR/tail" >&2
			false
		}
		grep -q '^data: \[DONE\]' "$BATS_TEST_TMPDIR/tail"
	done
}
