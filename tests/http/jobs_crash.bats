#!/usr/bin/env bats
# The daemon is killed at every moment of an upload, of a checkpoint and of a
# job's end: each call that changes the disk is one (crash_point.c). Nothing half
# is left, and each job ends with the weights that it would have had.
# CRASH_KILLS=all is the long form.

bats_require_minimum_version 1.5.0
load daemon.bash
load jobs.bash

# Of the moments, these are tried: every so many, from the first on.
stride=7
[ "${VARIANT:-release}" = release ] || stride=29
[ "${CRASH_KILLS:-}" != all ] || stride=1
export DAEMON_SECONDS=600

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_text "$BATS_FILE_TMPDIR/text"
}

point=
setup() {
	point=$BATS_FILE_TMPDIR/crash_point.so
	[ -e "$point" ] || ${CC:-cc} -shared -fPIC -O1 -D_GNU_SOURCE -std=gnu17 \
		-o "$point" "$BATS_TEST_DIRNAME/crash_point.c" ||
		skip "no C compiler"
}

# start_to_die FILE CALLS: see crash_point.c.
start_to_die() {
	LD_PRELOAD=$point CRASH_FILE=$1 CRASH_CALLS=$2 \
		ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 start
}

# died: waits for its death, true, or for the end of the job and of its files,
# which is the last that the daemon does for it, false.
died() {
	local at=

	for _ in {1..3000}; do
		kill -0 "$pid" 2>/dev/null || {
			wait "$waiter" || true
			pid=
			return 0
		}
		case $at in
		succeeded | failed | cancelled)
			[ -n "$(ls -A "$BATS_TEST_TMPDIR/jobs/work")" ] || return 1
			;;
		*)
			at=$(curl -sS --max-time 5 \
				"$url/v1/fine_tuning/jobs/$job" 2>/dev/null |
				jq -r .status) || at=
			;;
		esac
		sleep 0.02
	done
	return 1
}

# Nothing that begins with a dot or is a job's own is left.
nothing_half() {
	wait_clean
	run -0 find "$BATS_TEST_TMPDIR/jobs" -name '.*'
	expect "$output" ""
}

@test "killed while a checkpoint or the result is written" {
	local h='{"max_steps": 6, "batch_size": 4, "seq_length": 16, "checkpoint_every": 3}'
	local at=1 kills=0 n=1

	start
	upload "$BATS_FILE_TMPDIR/text"
	create '{}' "$h"
	wait_status succeeded
	whole=$(weights)
	stop
	while :; do
		start_to_die .best.safetensors "$at"
		create '{}' "$h"
		n=$((n + 1))
		died || break
		kills=$((kills + 1))
		start
		wait_status succeeded
		expect "$(weights)" "$whole"
		nothing_half
		# Each has its result and two checkpoints, of which all load.
		expect "$(ls "$BATS_TEST_TMPDIR/jobs/models" | wc -l)" $((3 * n))
		request GET /v1/models
		expect "$(field '.data | length')" $((3 * n + 1))
		stop
		at=$((at + stride))
	done
	wait_status succeeded
	expect "$(weights)" "$whole"
	echo "killed $kills times, at the last call $((at - stride)) or later" >&2
	[ "$kills" -ge 2 ]
}

@test "killed while a job begins" {
	local h='{"max_steps": 2, "batch_size": 4, "seq_length": 16}'
	local at

	start
	upload "$BATS_FILE_TMPDIR/text"
	create '{}' "$h"
	wait_status succeeded
	whole=$(weights)
	stop
	for ((at = 1; at < 12; at += (stride + 2) / 3)); do
		start_to_die .base.safetensors "$at"
		create '{}' "$h"
		died
		start
		wait_status succeeded
		expect "$(weights)" "$whole"
		nothing_half
		stop
	done
}

@test "killed while a file is uploaded" {
	local at=1 kills=0 n=0

	head -c 300000 /dev/zero | tr '\0' a >"$BATS_TEST_TMPDIR/file"
	while :; do
		start_to_die jobs/files/. "$at"
		curl -sS --max-time 60 "$url/v1/files" -F purpose=fine-tune \
			-F "file=@$BATS_TEST_TMPDIR/file" >"$BATS_TEST_TMPDIR/answer" || true
		# An answer may come before the death; then it is held to.
		[[ "$(jq -r .id "$BATS_TEST_TMPDIR/answer")" != file-* ]] || n=$((n + 1))
		sleep 0.1
		! kill -0 "$pid" 2>/dev/null || break
		wait "$waiter" || true
		kills=$((kills + 1))
		start
		request GET /v1/files
		[ "$(field '.data | length')" -ge "$n" ]
		n=$(field '.data | length')
		expect "$(ls -A "$BATS_TEST_TMPDIR/jobs/files" | wc -l)" "$n"
		for id in $(field '.data[].id'); do
			curl -sS "$url/v1/files/$id/content" |
				cmp - "$BATS_TEST_TMPDIR/file"
		done
		stop
		at=$((at + 1))
	done
	[ "$kills" -ge 4 ]
}
