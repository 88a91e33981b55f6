# Many connections: idle ones, more than there are files for, slow ones.
# CROWD_SECONDS=60 is the long form of the last.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

crowd() {
	run -0 python3 "$BATS_TEST_DIRNAME/crowd.py" "$1" "${url##*:}" "${@:2}"
	echo "$output"
}

@test "ten thousand connections stay open, and all are answered again" {
	local n=$(($(ulimit -Hn) - 1000))
	[ "$n" -lt 10000 ] || n=10000
	[ "$n" -ge 1000 ] || skip "only $(ulimit -Hn) files may be open"
	[ "${VARIANT:-release}" = release ] || n=1000
	ulimit -Sn "$(ulimit -Hn)"
	start --http.max_connections 12000 --log.level warn
	crowd idle "$n"
}

@test "more clients than files: they wait, and nothing breaks" {
	ulimit -Sn 120
	start --log.level warn
	crowd beyond 300
	stop
	expect "$ended" 0
}

@test "a thousand slow clients are no matter to the others" {
	ulimit -Sn "$(ulimit -Hn)"
	DAEMON_SECONDS=$((${CROWD_SECONDS:-6} + 60)) \
		start --log.level warn --http.header_timeout 5s
	crowd slow 1000 "${CROWD_SECONDS:-6}"
	wait_metric unrolld_http_connections 1
}
