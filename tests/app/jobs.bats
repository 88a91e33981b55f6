#!/usr/bin/env bats
# `unrolld files` and `unrolld jobs`, against a daemon.

load ../http/daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

setup() {
	start
	export UNROLLD_URL=$url
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/models/text" text.txt
}

files() {
	"${loose[@]}" "$exe" files "$@" 3>&-
}

jobs_() {
	timeout 50 "${loose[@]}" "$exe" jobs "$@" 3>&-
}

# gives STATUS COMMAND...: sets $output, of both streams.
gives() {
	local want=$1 got=0

	shift
	output=$("$@" 2>&1) || got=$?
	[ "$got" = "$want" ] || {
		echo "exit code $got, expected $want: $output" >&2
		return 1
	}
}

# ends STATUS PID
ends() {
	local got=0

	wait "$2" || got=$?
	[ "$got" = "$1" ]
}

# make [OPTION...]: a small job; its id.
make_job() {
	jobs_ create text.txt --max-steps 4 --batch 2 --seq-length 16 --json \
		"$@" | jq -r .id
}

# A job that goes on until it is told to end.
make_long_job() {
	make_job --max-steps 1000000 --epochs 100000 "$@"
}

status_of() {
	jobs_ show "$1" --json | jq -r .status
}

# A watch that writes to `watched` has begun.
until_told() {
	for _ in {1..100}; do
		[ ! -s watched ] || return 0
		sleep 0.1
	done
	return 1
}

# until_status ID STATUS
until_status() {
	for _ in {1..200}; do
		[ "$(status_of "$1")" != "$2" ] || return 0
		sleep 0.1
	done
	jobs_ show "$1" >&2
	return 1
}

@test "files are uploaded, listed and deleted" {
	printf 'one\n' >a.txt
	printf '{"text": "two"}\n' >b.jsonl
	printf 'tr\xe9s\n' >c.txt
	expect "$(files upload a.txt b.jsonl --json | jq -rc '[.filename, .format]' | paste -sd ' ')" '["a.txt","text"] ["b.jsonl","jsonl"]'
	expect "$(files upload c.txt --encoding latin1 --json | jq -r .encoding)" latin1
	expect "$(files upload - --name piped <a.txt | awk '{ print $2, $NF }')" "4 piped"
	expect "$(files list | awk 'NR > 1 { print $NF }' | paste -sd ' ')" "piped c.txt b.jsonl a.txt"
	expect "$(files list --json --limit 3 | jq -r .filename | paste -sd ' ')" "piped c.txt b.jsonl"
	last=$(files list --json | jq -r 'select(.filename == "c.txt") | .id')
	expect "$(files list --json --after "$last" | jq -r .filename | paste -sd ' ')" "b.jsonl a.txt"
	files list --json | jq -r .id | xargs "${loose[@]}" "$exe" files rm
	expect "$(files list --json)" ""
}

@test "what can't be uploaded says why, and the others are" {
	printf 'one\n' >a.txt
	printf 'tr\xe9s\n' >c.txt
	gives 1 files upload c.txt none a.txt --json
	[[ "$output" == *'unrolld files upload: c.txt: invalid UTF-8 at byte 2'* ]]
	[[ "$output" == *'unrolld files upload: none: cannot read: No such file'* ]]
	expect "$(files list --json | jq -r .filename)" a.txt
	gives 2 files upload
	[[ "$output" == *'no file is named'* ]]
	gives 2 files upload a b --name c
	gives 2 files fly
	[[ "$output" == *"unknown action 'fly'"* ]]
	gives 1 files rm file-none
	[[ "$output" == *"there is no file 'file-none'"* ]]
	gives 1 files list --url http://127.0.0.1:1
}

@test "a job is made of a text and watched to its end, in lines" {
	gives 0 jobs_ create text.txt --max-steps 4 --batch 2 --seq-length 16 \
		--suffix mine --learning-rate 0.001 --watch
	[[ "$output" == *'step 4 loss '* ]]
	[[ "$(tail -1 <<<"$output")" == ft:tiny:mine:*': held-out loss '*', before '* ]]
	! grep -q $'\r' <<<"$output"
	expect "$(jobs_ list --json | jq -r '[.status, .hyperparameters.max_steps, .hyperparameters.learning_rate] | map(tostring) | join(" ")')" "succeeded 4 0.001"
	expect "$(jobs_ list | awk 'NR > 1 { print $2, $3, $4 }')" "succeeded tiny 4/4"
	name=$(jobs_ list --json | jq -r .fine_tuned_model)
	post /sample "{\"model\": \"$name\", \"length\": 5}"
	expect "$status" 200
	# What a job made may be deleted, and stays so.
	request PUT /v1/aliases/mine -H 'Content-Type: application/json' \
		-d "{\"model\": \"$name\"}"
	expect "$status" 200
	request DELETE "/v1/models/$name"
	expect "$status" 409
	request DELETE /v1/aliases/mine
	request DELETE "/v1/models/$name"
	expect "$body" "{\"id\":\"$name\",\"object\":\"model\",\"deleted\":true}"
	stop
	start
	request GET "/v1/models/$name"
	expect "$status" 404
}

@test "watch shows a bar on a terminal, and JSON where asked" {
	id=$(make_job)
	TERM=xterm timeout 50 script -qec "'$exe' jobs watch $id" /dev/null \
		>terminal 3>&-
	grep -q $'\r\033\[K\[[#.]*\] ' terminal
	grep -q 'ft:tiny:' terminal
	jobs_ watch "$id" --json >lines
	expect "$(jq -r 'select(.object == "fine_tuning.job.event" and .type == "metrics") | .data.step' lines | tail -1)" 4
	expect "$(tail -1 lines | jq -r '[.object, .status] | join(" ")')" "fine_tuning.job succeeded"
}

@test "jobs are paused, resumed and cancelled" {
	id=$(make_long_job)
	until_status "$id" running
	expect "$(jobs_ pause "$id")" "$id paused"
	gives 1 jobs_ pause "$id"
	[[ "$output" == *"409"* ]]
	jobs_ resume "$id"
	until_status "$id" running
	jobs_ watch "$id" >watched 2>&1 3>&- &
	watcher=$!
	until_told
	expect "$(jobs_ cancel "$id")" "$id cancelled"
	ends 1 "$watcher"
	grep -q "unrolld jobs watch: $id was cancelled" watched
}

@test "watch goes on over a restart of the daemon" {
	id=$(make_long_job)
	until_status "$id" running
	jobs_ watch "$id" --json >watched 2>faults 3>&- &
	watcher=$!
	until_told
	port=${url##*:}
	stop
	expect "$ended" 0
	start --http.port "$port"
	until_status "$id" running
	jobs_ cancel "$id"
	ends 1 "$watcher"
	cat faults
	# Each event once.
	expect "$(jq -r 'select(.object == "fine_tuning.job.event") | .id' watched | sort | uniq -d)" ""
	expect "$(tail -1 watched | jq -r .status)" cancelled
}

@test "from scratch, with a text to measure on, from files that are there" {
	text=$(files upload text.txt --json | jq -r .id)
	head -20 text.txt >other.txt
	id=$(jobs_ create "$text" --validation other.txt --scratch --cell gru \
		--hidden 16 --layers 1 --max-steps 2 --batch 2 --seq-length 8 \
		--seed 7 --json | jq -r .id)
	gives 0 jobs_ watch "$id"
	expect "$(jobs_ show "$id" --json | jq -r '[.from, .seed, .architecture.cell, .architecture.hidden] | map(tostring) | join(" ")')" "scratch 7 gru 16"
	expect "$(files list --json | jq -s length)" 2
}

@test "what a job can't be made of is said before it is one" {
	gives 1 jobs_ create text.txt --epochs many
	[[ "$output" == *'hyperparameters.n_epochs is "many"'* ]]
	gives 1 jobs_ create file-none
	[[ "$output" == *'file-none'* ]]
	gives 1 jobs_ create text.txt --model none
	[[ "$output" == *"model 'none' is not loaded"* ]]
	gives 2 jobs_ create text.txt --scratch --model tiny
	gives 2 jobs_ create
	gives 1 jobs_ watch ftjob-none
	[[ "$output" == *"there is no job 'ftjob-none'"* ]]
	expect "$(jobs_ list --json)" ""
}

@test "a failed job's watch ends with its reason" {
	id=$(make_job --learning-rate 1e11 --clip 0 --optimizer sgd \
		--require-improvement)
	gives 1 jobs_ watch "$id"
	[[ "$output" == *"unrolld jobs watch: $id failed: "* ]]
	expect "$(jobs_ show "$id" --json | jq -r .status)" failed
}

@test "of a job that is refused no upload stays" {
	gives 1 files upload .
	[[ "$output" == *".: is a directory, expected a text file"* ]]
	gives 1 jobs_ create text.txt --model nope
	[[ "$output" == *"'nope'"* ]]
	gives 1 jobs_ create text.txt --validation text.txt --optimizer foo
	gives 1 jobs_ create text.txt --validation missing.txt
	[ -z "$(files list --json)" ]
	# One that was there before does.
	id=$(files upload text.txt --json | jq -r .id)
	gives 1 jobs_ create "$id" --model nope
	[ "$(files list --json | jq -r .id)" = "$id" ]
	gives 2 jobs_ create text.txt --hidden 64
	[[ "$output" == *"--hidden is of a new model: it goes with --scratch"* ]]
}
