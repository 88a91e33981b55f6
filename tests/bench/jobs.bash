# What a fine-tuning job costs those that are served meanwhile, and what serving
# leaves of the job; how fast it is with the daemon to itself, against `unrolld
# train`; how much better it makes the demo model at a text of another kind; how
# much memory a queue and a crowd of uploads take.
#   JOBS_PARTS   of these ("latency speed loss memory")
#   STEPS        of training, to measure its speed (200)
#   STREAMS      of the first ("1 8 64")
#   TOKENS       of each stream (40000 divided by their number, and 3000 more)
#   TEXT         to learn from (400 KB of /usr/share/common-licenses)
need jq "Debian's jq"
need curl "Debian's curl"
driver=$programs/bench_http
[ -x "$driver" ] || skip "no $driver: use 'make bench'"
model=$root/conf/models/shakespeare.safetensors
[ -f "$model" ] || skip "no $model"
text=${TEXT:-}
[ -n "$text" ] || {
	text=$work/licences
	cat /usr/share/common-licenses/* 2>/dev/null | head -c 400000 >"$text"
}
[ -s "$text" ] || skip "no text (set TEXT)"

# serve: with the text uploaded, $file.
serve() {
	daemon --models.dir "$model" --sessions.store memory \
		--jobs.dir "$work/jobs" --log.level warn
	file=$(curl -sSf "$url/v1/files" -F purpose=fine-tune \
		-F "file=@$text" | jq -r .id)
}

# job HYPERPARAMETERS: sets $job.
job() {
	job=$(curl -sSf "$url/v1/fine_tuning/jobs" \
		-H 'Content-Type: application/json' \
		-d "{\"training_file\": \"$file\", \"seed\": 1,
			\"hyperparameters\": $1}" | jq -r .id)
}

# of FILTER: what the job's record says.
of() {
	curl -sSf "$url/v1/fine_tuning/jobs/$job" | jq -c "$1"
}

# trains N: until so many steps are done, or it is over. To ask takes a core
# for a moment, which the job stands back for: seldom.
trains() {
	local over

	for _ in {1..200}; do
		over=$(of ".progress.step >= $1 or .finished_at != null")
		[ "$over" = false ] || return 0
		sleep 1
	done
}

# ends: until it is over.
ends() {
	until [ "$(of '.finished_at != null')" = true ]; do
		sleep 0.5
	done
}

cancel() {
	curl -sSf -o /dev/null -X POST "$url/v1/fine_tuning/jobs/$job/cancel"
}

# Turn about: without the job, with it, medians of each; the three targets stand
# beside them.
latency() {
	local n i tokens

	for n in ${STREAMS:-1 8 64}; do
		tokens=${TOKENS:-$((40000 / n + 3000))}
		"$driver" "$port" "$pid" streams "$n" 300 >/dev/null # warm
		rm -f "$work/with" "$work/without"
		for ((i = 0; i < rounds; i++)); do
			"$driver" "$port" "$pid" streams "$n" "$tokens" >>"$work/without"
			job '{"n_epochs": 1000}'
			trains 3
			"$driver" "$port" "$pid" streams "$n" "$tokens" >>"$work/with"
			cancel
		done
		jq -nc --argjson n "$n" --slurpfile a "$work/without" \
			--slurpfile b "$work/with" '
			def middle(f): map(f) | sort | .[length / 2 | floor];
			def show: {tokens_per_second: middle(.tokens_per_second),
				gap_ms_p50: middle(.gap_ms_p50),
				gap_ms_p99: middle(.gap_ms_p99)};
			($a | show) as $without | ($b | show) as $with |
			{bench: "jobs", name: "served while a job trains",
			streams: $n,
			p99_ratio: ($with.gap_ms_p99 / $without.gap_ms_p99 * 1e3 | round / 1e3),
			p99_at_most: 1.5,
			rate_ratio: ($with.tokens_per_second / $without.tokens_per_second * 1e3 | round / 1e3),
			rate_at_least: 0.8,
			job_cores: ($b | middle(.job_cores)), job_at_least: 0.05,
			without: $without, with: $with}'
	done
}

# job_speed STEPS: tokens a second by the clock on the wall, from a tenth of the
# steps on to the last but one; then of all of it, from its creation to its end.
job_speed() {
	local begun from to

	begun=$EPOCHREALTIME
	job "{\"max_steps\": $1, \"batch_size\": 32, \"seq_length\": 64}"
	trains $(($1 / 10))
	from="$EPOCHREALTIME $(of .progress.step)"
	trains $(($1 - 1))
	to="$EPOCHREALTIME $(of .progress.step)"
	ends
	echo "$from $to $begun $EPOCHREALTIME" | awk -v n="$1" '{
		printf "%.0f %.0f\n", ($4 - $2) * 2048 / ($3 - $1), n * 2048 / ($6 - $5) }'
}

# train_speed STEPS: the same of the command that trains alike, at the job's
# priority: with the machine to itself that is no matter.
train_speed() {
	local begun=$EPOCHREALTIME

	nice -n 12 "$UNROLLD_EXE" train "$text" -o "$work/t.safetensors" --cell lstm \
		--hidden 480 --layers 2 --batch 32 --seq-length 64 --max-steps "$1" \
		--dropout 0.2 --averaging 0.99 --sample-every 0 --json \
		--report-every $(($1 / 10)) >"$work/train" 2>/dev/null
	echo "$begun $EPOCHREALTIME" |
		awk -v n="$1" '{ printf "%.0f\n", n * 2048 / ($2 - $1) }' >"$work/whole"
	jq -s 'map(select(.gradient_norm)) | (.[-1].step - .[0].step) * 2048 /
		(.[-1].seconds - .[0].seconds) | round' "$work/train"
}

# Turn about.
speed() {
	local steps=${STEPS:-200} i

	for ((i = 0; i < rounds; i++)); do
		job_speed "$steps" >>"$work/ours"
		train_speed "$steps" >>"$work/theirs"
		cat "$work/whole" >>"$work/theirs.whole"
	done
	jq -nc --argjson ours "$(cut -d' ' -f1 "$work/ours" | median)" \
		--argjson theirs "$(median <"$work/theirs")" \
		--argjson all "$(cut -d' ' -f2 "$work/ours" | median)" \
		--argjson whole "$(median <"$work/theirs.whole")" '
		{bench: "jobs", name: "speed of unrolld train",
		job_tokens_per_second: $ours, train_tokens_per_second: $theirs,
		ratio: ($ours / $theirs * 1e3 | round / 1e3), at_least: 0.9,
		with_measurements_and_files: {job: $all, train: $whole}}'
}

# The whole of it, at most two minutes.
loss() {
	job '{"time_limit_s": 100}'
	ends
	of '{bench: "jobs", name: "held-out loss, nats per token",
		before: .losses.before, after: .losses.after,
		drop: (1 - .losses.after / .losses.before), at_least: 0.3,
		seconds: (.finished_at - .created_at), seconds_at_most: 120,
		steps: .progress.step, tokens_per_second: (.trained_tokens / .progress.seconds | round)}'
}

# resident: the daemon's peak so far, MB.
resident() {
	awk '/^VmHWM/ { printf "%.1f\n", $2 / 1024 }' "/proc/$pid/status"
}

# What queued jobs and uploads that come at once take beside one job's needs.
memory() {
	local one many big=$work/big i uploads=()

	head -c 200000000 <(while cat "$text"; do :; done) >"$big"
	# What went before is not counted.
	leave
	serve
	job '{"n_epochs": 1000}'
	trains 2
	one=$(resident)
	for ((i = 0; i < 5; i++)); do
		curl -sSf -o "$work/up$i" "$url/v1/files" -F purpose=fine-tune \
			-F "file=@$big" &
		uploads+=($!)
	done
	for ((i = 0; i < 100; i++)); do
		job '{"n_epochs": 1}'
	done
	wait "${uploads[@]}"
	# All are validated.
	until [ "$(curl -sSf "$url/metrics" |
		awk '$1 == "unrolld_jobs{state=\"queued\"}" { print $2 }')" = 100 ]; do
		sleep 0.2
	done
	many=$(resident)
	jq -nc --argjson one "$one" --argjson many "$many" '
		{bench: "jobs", name: "100 queued jobs and 5 uploads of 200 MB, peak MB resident",
		one_job: $one, all: $many, more: ($many - $one | . * 10 | round / 10),
		at_most: 50}'
	leave
	rm -rf "$work/jobs" "$big"
	serve
}

serve
for part in ${JOBS_PARTS:-latency speed loss memory}; do
	"$part"
done
