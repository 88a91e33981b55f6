# Garbage at the real daemon; GARBAGE_SECONDS=600 with SAN=asan is the long form.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "whatever is sent, the daemon lives, and says so" {
	local seconds=${GARBAGE_SECONDS:-5} seed=${GARBAGE_SEED:-$RANDOM}
	DAEMON_SECONDS=$((seconds + 60)) start --log.level error
	run -0 python3 "$BATS_TEST_DIRNAME/garbage.py" "${url##*:}" "$seconds" \
		"$seed"
	echo "seed $seed: $output"
	post /sample '{"length": 5}'
	expect "$status" 200
	stop
	run ! grep -E 'Sanitizer|runtime error' "$BATS_TEST_TMPDIR/err"
	expect "$ended" 0
}
