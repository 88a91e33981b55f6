# For the tests of fine-tuning jobs: files, jobs and what became of them.

# Tests don't stand back for whatever else a machine does.
export UNROLLD_JOBS_NICE=0 DAEMON_SECONDS=150

# make_text FILE [LINES]: of the letters that the tiny model knows.
make_text() {
	local i

	for ((i = 0; i < ${2:-60}; i++)); do
		echo "JULIET: the lazy dog jumps over the quick brown fox, $((i % 9))."
		echo 'O me! Why, is my pump then well flowered? ROMEO: why.'
	done >"$1"
}

# upload FILE [CURL OPTION...]: sets $file.
upload() {
	local path=$1

	shift
	request POST /v1/files -F purpose=fine-tune -F "file=@$path" "$@"
	expect "$status" 200
	file=$(field .id)
}

# create FIELDS [HYPERPARAMETERS]: JSON objects; sets $job.
create() {
	post /v1/fine_tuning/jobs "$(jq -nc --arg file "$file" \
		--argjson more "$1" --argjson h "${2:-{\}}" \
		'{model: "tiny", training_file: $file, seed: 3,
		hyperparameters: $h} + $more')"
	expect "$status" 200
	job=$(field .id)
}

show() {
	request GET "/v1/fine_tuning/jobs/$job"
	expect "$status" 200
}

# wait_status STATUS...: until the job has one of them, for at most 100 s.
wait_status() {
	local s

	for _ in {1..2000}; do
		show
		for s in "$@"; do
			[ "$(field .status)" != "$s" ] || return 0
		done
		case $(field .status) in
		succeeded | failed | cancelled) break ;;
		esac
		sleep 0.05
	done
	echo "the job is $(field .status), expected $*: $body" >&2
	return 1
}

# wait_step N: until so many steps are done, or the job is over.
wait_step() {
	for _ in {1..5000}; do
		show
		[ "$(field .progress.step)" -lt "$1" ] || return 0
		case $(field .status) in
		succeeded | failed | cancelled) return 0 ;;
		esac
		sleep 0.02
	done
	echo "step $1 is not reached: $body" >&2
	return 1
}

# The weights of what the job made, apart from what the file says of itself.
weights() {
	request GET "/v1/models/$(field .fine_tuned_model)"
	expect "$status" 200
	field .fingerprint
}

# messages: of all its events, the oldest first.
messages() {
	request GET "/v1/fine_tuning/jobs/$job/events?limit=100"
	field '[.data[].message] | reverse | .[]'
}

# wait_clean: until no job has files of its own: its end is seen before that.
wait_clean() {
	for _ in {1..200}; do
		[ -n "$(ls -A "$BATS_TEST_TMPDIR/jobs/work")" ] || return 0
		sleep 0.05
	done
	ls -lR "$BATS_TEST_TMPDIR/jobs/work" >&2
	return 1
}
