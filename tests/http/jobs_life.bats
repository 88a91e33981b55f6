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

@test "a job ends with the same weights whether or not it makes way for text" {
	local h='{"max_steps": 8, "batch_size": 4, "seq_length": 16}'

	start
	upload "$text"
	create '{}' "$h"
	wait_status succeeded
	whole=$(weights)
	stop
	UNROLLD_JOBS_NICE=12 start
	start_stream
	create '{}' "$h"
	wait_status succeeded
	end_stream
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
	expect "$(ls -A "$BATS_TEST_TMPDIR/jobs/models" | grep -vc ckpt-step-)" 2
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

@test "a base model that is deleted meanwhile harms no job that has begun" {
	cp "$BATS_FILE_TMPDIR/models/tiny.safetensors" "$BATS_FILE_TMPDIR/models/brief.safetensors"
	start --models.default tiny
	upload "$text"
	h='{"max_steps": 60, "batch_size": 16, "checkpoint_every": 20}'
	create '{"model": "brief"}' "$h"
	wait_status succeeded
	whole=$(weights)
	create '{"model": "brief"}' "$h"
	wait_step 5
	request POST /v1/models/brief/unload
	expect "$status" 200
	rm "$BATS_FILE_TMPDIR/models/brief.safetensors"
	wait_status succeeded
	expect "$(weights)" "$whole"
	# One that waits for its turn fails, and says why.
	create '{"model": "tiny"}' '{"max_steps": 100000}'
	wait_step 1
	running=$job
	cp "$BATS_FILE_TMPDIR/models/tiny.safetensors" "$BATS_FILE_TMPDIR/models/brief.safetensors"
	request POST /v1/models/brief/load
	expect "$status" 200
	create '{"model": "brief"}' "$h"
	wait_status queued
	request POST /v1/models/brief/unload
	rm "$BATS_FILE_TMPDIR/models/brief.safetensors"
	request POST "/v1/fine_tuning/jobs/$running/cancel"
	wait_status failed
	expect "$(field .error.message)" "model 'brief' is not loaded"
	expect "$(field .error.param)" model
}

@test "the latest checkpoints are models, and the rest of them is gone" {
	start --jobs.checkpoints 2
	upload "$text"
	create '{"suffix": "x"}' '{"max_steps": 60, "checkpoint_every": 15}'
	wait_status succeeded
	result=$(field .fine_tuned_model)
	request GET "/v1/fine_tuning/jobs/$job/checkpoints"
	expect "$(field '[.data[] | .fine_tuned_model_checkpoint] | map(tostring) | join(" ")')" \
		"$result:ckpt-step-60 $result:ckpt-step-45 null null"
	for step in 60 45; do
		post /sample "{\"model\": \"$result:ckpt-step-$step\", \"prompt\": \"JULIET:\", \"length\": 9}"
		expect "$(field .usage.completion_tokens)" 9
		request GET "/v1/models/$result:ckpt-step-$step"
		expect "$(field .training.steps)" "$step"
	done
	expect "$(ls "$BATS_TEST_TMPDIR/jobs/models" | wc -l)" 3
	stop
	start --jobs.checkpoints 1
	request GET "/v1/fine_tuning/jobs/$job/checkpoints"
	expect "$(field '[.data[] | .fine_tuned_model_checkpoint] | map(tostring) | join(" ")')" \
		"$result:ckpt-step-60 null null null"
	# It can be trained on, too.
	create "{\"model\": \"$result:ckpt-step-60\"}" '{"max_steps": 2}'
	wait_status succeeded
	[[ "$(field .fine_tuned_model)" == ft:tiny::* ]]
	create '{}' '{"max_steps": 100000, "batch_size": 4, "seq_length": 16, "checkpoint_every": 101}'
	wait_step 120
	name=ft:tiny::${job:6:8}
	ls "$BATS_TEST_TMPDIR/jobs/models" | grep -q "^$name:ckpt-step-"
	request POST "/v1/fine_tuning/jobs/$job/cancel"
	wait_clean
	[ -z "$(ls "$BATS_TEST_TMPDIR/jobs/models" | grep "^$name")" ]
}
