#!/usr/bin/env bats
# The disk of jobs runs full: the job fails and says why, what is served goes on,
# and with room again so do jobs.

load daemon
load jobs

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_text "$BATS_FILE_TMPDIR/text"
}

setup() {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	mount -t tmpfs -o size=16m unrolld-test "$disk" 2>/dev/null ||
		skip "may not mount a small disk"
}

teardown() {
	[ -z "${pid:-}" ] || stop KILL
	umount "$disk" 2>/dev/null || true
	! grep -E 'ERROR: (Address|Leak|Thread)Sanitizer|runtime error' \
		"$BATS_TEST_TMPDIR/err" || cat "$BATS_TEST_TMPDIR/err"
}

@test "a job whose disk is full fails, and says so" {
	start --jobs.dir "$disk/jobs"
	upload "$BATS_FILE_TMPDIR/text"
	create '{}' '{"max_steps": 100000, "batch_size": 16, "checkpoint_every": 100}'
	wait_step 3
	cat /dev/zero >"$disk/fill" 2>/dev/null || true
	wait_status failed
	expect "$(field .error.code)" no_space
	[[ "$(field .error.message)" == *"No space left on device" ]]
	post /sample '{"model": "tiny", "length": 5}'
	expect "$status" 200
	rm "$disk/fill"
	expect "$(ls -A "$disk/jobs/models" | wc -l)" 0
	create '{}' '{"max_steps": 4}'
	wait_status succeeded
}
