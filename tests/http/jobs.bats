#!/usr/bin/env bats
# Fine-tuning jobs, driven by curl against the real daemon.

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

@test "a text makes a better model, which is served at once" {
	start
	upload "$text"
	create '{"suffix": "dogs", "metadata": {"team": "a"}}' '{"n_epochs": 20}'
	expect "$(field .object)" fine_tuning.job
	expect "$(field .status)" validating_files
	expect "$(field .hyperparameters.batch_size)" auto
	wait_status succeeded
	model=$(field .fine_tuned_model)
	[[ "$model" == ft:tiny:dogs:???????? ]]
	expect "$(field '.losses.after < .losses.before')" true
	expect "$(field '.trained_tokens > 1000')" true
	expect "$(field '.finished_at >= .created_at')" true
	expect "$(field .error)" null
	expect "$(field .user_provided_suffix)" dogs
	corpus=$(field .corpus.hash)
	post /sample "{\"model\": \"$model\", \"prompt\": \"JULIET:\", \"length\": 20}"
	expect "$status" 200
	expect "$(field .usage.completion_tokens)" 20
	# Who names no model gets the one that he got before.
	post /sample '{"length": 1}'
	expect "$(field .model)" tiny
	request GET "/v1/models/$model"
	expect "$(field .training.parent)" tiny
	expect "$(field .training.job)" "$job"
	expect "$(field .training.corpus.hash)" "$corpus"
	expect "$(field '.training.losses.after < .training.losses.before')" true
	# After a restart it is still there, and so is its job.
	stop
	expect "$ended" 0
	start
	request GET "/v1/models/$model"
	expect "$status" 200
	show
	expect "$(field .status)" succeeded
	# Nothing is left but the model and its latest checkpoints.
	wait_clean
	expect "$(ls -A "$BATS_TEST_TMPDIR/jobs/models" | grep -vc ckpt-step-)" 1
	expect "$(ls -A "$BATS_TEST_TMPDIR/jobs/models" | wc -l)" 3
}

@test "events are paged, and streamed until the job is over" {
	start
	upload "$text"
	create '{}' '{"max_steps": 40, "checkpoint_every": 10}'
	curl -sSN --max-time 100 "$url/v1/fine_tuning/jobs/$job/events?stream=true" \
		>"$BATS_TEST_TMPDIR/stream"
	expect "$(tail -2 "$BATS_TEST_TMPDIR/stream" | head -1)" "data: [DONE]"
	wait_status succeeded
	sed -n 's/^data: {/{/p' "$BATS_TEST_TMPDIR/stream" |
		jq -r .id >"$BATS_TEST_TMPDIR/streamed"
	expect "$(sed -n 's/^id: //p' "$BATS_TEST_TMPDIR/stream" | tr '\n' ' ')" \
		"$(seq -s ' ' "$(wc -l <"$BATS_TEST_TMPDIR/streamed")") "
	# Pages of three, from the newest on, come to the same.
	after=
	: >"$BATS_TEST_TMPDIR/paged"
	for _ in {1..60}; do
		request GET "/v1/fine_tuning/jobs/$job/events?limit=3&after=$after"
		field '.data[].id' >>"$BATS_TEST_TMPDIR/paged"
		after=$(field .last_id)
		[ "$(field .has_more)" = true ] || break
	done
	expect "$(tac "$BATS_TEST_TMPDIR/paged")" "$(cat "$BATS_TEST_TMPDIR/streamed")"
	request GET "/v1/fine_tuning/jobs/$job/events?limit=100"
	expect "$(field .data[0].message)" "The job has successfully completed"
	expect "$(field '[.data[] | select(.type == "metrics")] | length > 3')" true
	request GET "/v1/fine_tuning/jobs/$job/checkpoints"
	expect "$(field '[.data[].step_number] | map(tostring) | join(" ")')" "40 30 20 10"
	expect "$(field '.data[0].metrics.valid_loss > 0')" true
	expect "$(field '[.data[].metrics.sample | length > 50] | all')" true
	# A browser that comes back is sent what it missed.
	n=$(wc -l <"$BATS_TEST_TMPDIR/streamed")
	curl -sSN --max-time 10 -H "Last-Event-ID: $((n - 1))" \
		"$url/v1/fine_tuning/jobs/$job/events?stream=true" \
		>"$BATS_TEST_TMPDIR/again"
	expect "$(grep -c '^data: {' "$BATS_TEST_TMPDIR/again")" 1
}

@test "jobs are listed, the newest first, and found by their metadata" {
	start
	upload "$text"
	for i in 1 2 3; do
		create "{\"metadata\": {\"n\": \"$i\"}}" '{"max_steps": 2}'
		ids[i]=$job
	done
	request GET '/v1/fine_tuning/jobs?limit=2'
	expect "$(field '[.data[].id] | join(" ")')" "${ids[3]} ${ids[2]}"
	expect "$(field .has_more)" true
	request GET "/v1/fine_tuning/jobs?after=${ids[2]}"
	expect "$(field '[.data[].id] | join(" ")')" "${ids[1]}"
	expect "$(field .has_more)" false
	request GET '/v1/fine_tuning/jobs?metadata%5Bn%5D=2'
	expect "$(field '[.data[].id] | join(" ")')" "${ids[2]}"
	for job in "${ids[@]}"; do
		wait_status succeeded
	done
	expect "$(metric 'unrolld_jobs{state="succeeded"}')" 3
}

@test "a learning rate that is too large fails, and names the step" {
	start
	upload "$text"
	request GET /v1/models/tiny
	before=$(field .fingerprint)
	create '{}' '{"learning_rate": 1e6, "max_steps": 60}'
	wait_status failed
	[[ "$(field .error.message)" == "loss is "*" at step "*": training diverged"* ]]
	expect "$(field .error.code)" diverged
	expect "$(field .fine_tuned_model)" null
	[[ "$(messages | tail -1)" == "loss is "*" at step "* ]]
	create '{}' '{"learning_rate": 1e37, "learning_rate_multiplier": 1000, "max_steps": 60}'
	wait_status failed
	[[ "$(field .error.message)" == "loss is NaN at step "* ]]
	request GET /v1/models/tiny
	expect "$(field .fingerprint)" "$before"
	wait_clean
}

@test "a job that must improve fails when it does not" {
	start
	upload "$text"
	h='{"learning_rate": 1, "max_steps": 12, "checkpoint_every": 12, "schedule": "constant"}'
	create '{"require_improvement": true}' "$h"
	wait_status failed
	expect "$(field .error.param)" require_improvement
	[[ "$(field .error.message)" == "the held-out loss did not fall: "* ]]
	create '{}' "$h"
	wait_status succeeded
	messages | grep -q "The held-out loss did not fall"
}

@test "unknown characters extend the vocabulary, are left out or refused" {
	start
	sed 's/fox/wölf Ω/' "$text" >"$BATS_TEST_TMPDIR/new"
	upload "$BATS_TEST_TMPDIR/new"
	request GET /v1/models/tiny
	vocab=$(field .vocab)
	create '{}' '{"max_steps": 10}'
	wait_status succeeded
	expect "$(field .corpus.new_tokens)" 2
	request GET "/v1/models/$(field .fine_tuned_model)"
	expect "$(field .vocab)" $((vocab + 2))
	create '{}' '{"max_steps": 10, "unknown": "skip"}'
	wait_status succeeded
	expect "$(field .corpus.skipped)" 120
	create '{}' '{"max_steps": 10, "unknown": "error"}'
	wait_status failed
	[[ "$(field .error.message)" == "new: character 'ö' "*" at character offset "* ]]
	printf 'ΩΩΩΩ%.0s' {1..50} >"$BATS_TEST_TMPDIR/greek"
	upload "$BATS_TEST_TMPDIR/greek"
	create '{}' '{"unknown": "skip"}'
	wait_status failed
	[[ "$(field .error.message)" == "greek: none of its characters is in the vocabulary" ]]
}

@test "a model is made from scratch, of an architecture" {
	start
	upload "$text"
	create '{"model": null, "from": "scratch", "architecture": {"cell": "gru", "hidden": 32, "layers": 1}}' \
		'{"max_steps": 60}'
	wait_status succeeded
	[[ "$(field .fine_tuned_model)" == ft:scratch::* ]]
	expect "$(field '.losses.after < .losses.before')" true
	request GET "/v1/models/$(field .fine_tuned_model)"
	expect "$(field '[.cell, .hidden, .layers] | map(tostring) | join(" ")')" "gru 32 1"
}

@test "lines of JSON and a validation file are read as a text is" {
	start
	jq -Rc '{text: .}' "$text" >"$BATS_TEST_TMPDIR/lines.jsonl"
	upload "$BATS_TEST_TMPDIR/lines.jsonl"
	lines=$file
	upload "$text"
	create "{\"validation_file\": \"$lines\"}" '{"max_steps": 20}'
	wait_status succeeded
	plain=$(field '[.corpus.hash, .losses.before] | map(tostring) | join(" ")')
	file=$lines
	create "{\"validation_file\": \"$lines\"}" '{"max_steps": 20}'
	wait_status succeeded
	expect "$(field '[.corpus.hash, .losses.before] | map(tostring) | join(" ")')" "$plain"
}

@test "what is wrong in a request is named" {
	start
	upload "$text"
	try() {
		post /v1/fine_tuning/jobs "$1"
	}
	try '{"model": "tiny"}'
	expect_error 400 training_file invalid_value "training_file is missing"
	try '{"model": "tiny", "training_file": "file-none"}'
	expect_error 404 training_file not_found "file-none"
	try "{\"model\": \"none\", \"training_file\": \"$file\"}"
	expect_error 404 model model_not_found "model 'none'"
	try "{\"training_file\": \"$file\", \"suffix\": \"a b\"}"
	expect_error 400 suffix invalid_value "suffix is 'a b'"
	try "{\"training_file\": \"$file\", \"hyperparameters\": {\"n_epochs\": -1}}"
	expect_error 400 hyperparameters.n_epochs invalid_value "is -1, expected a number from"
	try "{\"training_file\": \"$file\", \"hyperparameters\": {\"epochs\": 1}}"
	expect_error 400 hyperparameters.epochs invalid_value "unknown field 'hyperparameters.epochs'"
	try "{\"training_file\": \"$file\", \"hyperparameters\": {\"optimizer\": \"magic\"}}"
	expect_error 400 hyperparameters.optimizer invalid_value "optimizer is 'magic'"
	try "{\"training_file\": \"$file\", \"method\": {\"type\": \"dpo\"}}"
	expect_error 400 method.type invalid_value '"supervised"'
	try "{\"training_file\": \"$file\", \"from\": \"scratch\", \"architecture\": {\"cell\": \"x\"}}"
	expect "$status" 400
	try "{\"training_file\": \"$file\", \"architecture\": {\"cell\": \"gru\"}}"
	expect_error 400 architecture invalid_value scratch
	request GET /v1/fine_tuning/jobs/ftjob-none
	expect_error 404 job not_found "there is no job 'ftjob-none'"
	request GET '/v1/fine_tuning/jobs?after=ftjob-none'
	expect_error 404 after not_found "none of the jobs"
	request GET '/v1/fine_tuning/jobs/ftjob-none/events?stream=true'
	expect_error 404 job not_found "ftjob-none"
	printf 'abcdef' >"$BATS_TEST_TMPDIR/short"
	upload "$BATS_TEST_TMPDIR/short"
	create '{}'
	wait_status failed
	[[ "$(field .error.message)" == "short: the text has 6 tokens"* ]]
}
