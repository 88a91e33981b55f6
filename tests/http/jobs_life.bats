#!/usr/bin/env bats
# Jobs that are paused, killed with the daemon, stopped or cancelled: nothing of
# their work is lost, and nothing of them is left.

load daemon.bash
load jobs.bash

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_text "$BATS_FILE_TMPDIR/text"
}

text=
setup() {
	text=$BATS_FILE_TMPDIR/text
}

@test "a job ends with the same weights whether or not it was paused" {
	start
	upload "$text"
	h='{"max_steps": 160, "batch_size": 16, "checkpoint_every": 40}'
	create '{}' "$h"
	wait_status succeeded
	whole=$(weights)
	create '{}' "$h"
	wait_step 5
	request POST "/v1/fine_tuning/jobs/$job/pause"
	expect "$status" 200
	expect "$(field .status)" paused
	request POST "/v1/fine_tuning/jobs/$job/pause"
	expect_error 409 status conflict "is paused: it can't be paused"
	stop
	expect "$ended" 0
	start
	show
	expect "$(field .status)" paused
	request POST "/v1/fine_tuning/jobs/$job/resume"
	expect "$status" 200
	wait_status succeeded
	expect "$(weights)" "$whole"
}

@test "a job ends with the same weights whether or not the daemon was killed" {
	start
	upload "$text"
	h='{"max_steps": 160, "batch_size": 16, "checkpoint_every": 20}'
	create '{}' "$h"
	wait_status succeeded
	whole=$(weights)
	create '{}' "$h"
	for step in 1 45 110 159; do
		wait_step "$step"
		stop KILL
		start
	done
	wait_status succeeded
	expect "$(weights)" "$whole"
	wait_clean
	expect "$(ls -A "$BATS_TEST_TMPDIR/jobs/models" | wc -l)" 2
}

@test "a daemon that is stopped goes on with its jobs when it is back" {
	start
	upload "$text"
	create '{}' '{"max_steps": 200, "batch_size": 16}'
	curl -sSN --max-time 100 "$url/v1/fine_tuning/jobs/$job/events?stream=true" \
		>"$BATS_TEST_TMPDIR/stream" &
	reader=$!
	wait_step 5
	stop
	expect "$ended" 0
	wait "$reader"
	grep -q 'the job goes on when it is back' "$BATS_TEST_TMPDIR/stream"
	start
	show
	expect "$(field .status)" running
	wait_status succeeded
}

@test "a cancelled job leaves nothing" {
	start
	upload "$text"
	create '{}' '{"max_steps": 100000, "batch_size": 4, "seq_length": 16}'
	wait_step 10
	request DELETE "/v1/files/$file"
	expect "$status" 409
	request POST "/v1/fine_tuning/jobs/$job/cancel"
	expect "$status" 200
	expect "$(field .status)" cancelled
	expect "$(field .fine_tuned_model)" null
	request POST "/v1/fine_tuning/jobs/$job/cancel"
	expect_error 409 status conflict "is cancelled: it can't be cancelled"
	wait_clean
	request DELETE "/v1/files/$file"
	expect "$status" 200
}

@test "a base model that is gone when its job begins is said" {
	cp "$BATS_FILE_TMPDIR/models/tiny.safetensors" "$BATS_FILE_TMPDIR/models/gone.safetensors"
	start
	upload "$text"
	rm "$BATS_FILE_TMPDIR/models/gone.safetensors"
	create '{"model": "gone"}' '{"max_steps": 10}'
	wait_status failed
	[[ "$(field .error.message)" == *gone* ]]
}
