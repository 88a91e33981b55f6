# What a fine-tuning job costs those that are served meanwhile, and what serving
# leaves of the job; how fast it is with the daemon to itself, against `unrolld
# train`; how much better it makes the demo model at a text of another kind.
#   JOBS_PARTS   of these ("latency speed loss")
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

# serve: sets $pid, $url and $port.
serve() {
	"$UNROLLD_EXE" serve --http.port 0 --models.dir "$model" \
		--sessions.store memory --jobs.dir "$work/jobs" \
		--log.level warn >"$work/url" 2>"$work/log" &
	pid=$!
	url=
	for _ in {1..200}; do
		url=$(grep -o 'http://[^ ]*' "$work/url" | head -1) || true
		[ -z "$url" ] || break
		sleep 0.05
	done
	[ -n "$url" ] || {
		cat "$work/log" >&2
		return 1
	}
	port=${url##*:}
	file=$(curl -sSf "$url/v1/files" -F purpose=fine-tune \
		-F "file=@$text" | jq -r .id)
}

leave() {
	[ -z "${pid:-}" ] || kill "$pid" 2>/dev/null || true
	[ -z "${pid:-}" ] || wait "$pid" || true
	pid=
}
trap leave EXIT

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

# trains N: until so many steps are done, or it is over.
trains() {
	local over

	for _ in {1..2000}; do
		over=$(of ".progress.step >= $1 or .finished_at != null")
		[ "$over" = false ] || return 0
		sleep 0.05
	done
}

cancel() {
	curl -sSf -o /dev/null -X POST "$url/v1/fine_tuning/jobs/$job/cancel"
}

# Turn about: without the job, with it; each of the three targets beside it.
latency() {
	local n tokens without with

	for n in ${STREAMS:-1 8 64}; do
		tokens=${TOKENS:-$((40000 / n + 3000))}
		"$driver" "$port" "$pid" streams "$n" 300 >/dev/null # warm
		without=$("$driver" "$port" "$pid" streams "$n" "$tokens")
		job '{"n_epochs": 1000}'
		trains 3
		with=$("$driver" "$port" "$pid" streams "$n" "$tokens")
		cancel
		jq -nc --argjson n "$n" --argjson a "$without" \
			--argjson b "$with" '
			{bench: "jobs", name: "served while a job trains",
			streams: $n,
			p99_ratio: ($b.gap_ms_p99 / $a.gap_ms_p99 * 1e3 | round / 1e3),
			p99_at_most: 1.5,
			rate_ratio: ($b.tokens_per_second / $a.tokens_per_second * 1e3 | round / 1e3),
			rate_at_least: 0.8,
			job_cores: $b.job_cores, job_at_least: 0.05,
			without: ($a | {tokens_per_second, gap_ms_p50, gap_ms_p99}),
			with: ($b | {tokens_per_second, gap_ms_p50, gap_ms_p99})}'
	done
}

# Tokens a second of the job's own clock, and of the command that trains alike, at
# the job's priority: with the machine to itself that is no matter.
speed() {
	local steps=${STEPS:-60} ours theirs

	job "{\"max_steps\": $steps, \"batch_size\": 32, \"seq_length\": 64, \"validation_fraction\": 0, \"checkpoint_every\": $steps}"
	trains "$steps"
	ours=$(of '.trained_tokens / .progress.seconds | round')
	nice -n 15 "$UNROLLD_EXE" train "$text" -o "$work/t.safetensors" --cell lstm \
		--hidden 480 --layers 2 --batch 32 --seq-length 64 \
		--max-steps "$steps" --sample-every 0 --json --averaging 0 \
		--validation-fraction 0 --report-every "$((steps / 2))" \
		>"$work/train" 2>/dev/null
	theirs=$(jq -s 'map(select(.step)) | (.[-1].step - .[0].step) * 2048 /
		(.[-1].seconds - .[0].seconds) | round' "$work/train")
	jq -nc --argjson ours "$ours" --argjson theirs "$theirs" '
		{bench: "jobs", name: "speed of unrolld train",
		job_tokens_per_second: $ours, train_tokens_per_second: $theirs,
		ratio: ($ours / $theirs * 1e3 | round / 1e3), at_least: 0.9}'
}

# The whole of it, at most two minutes.
loss() {
	job '{"time_limit_s": 100}'
	until [ "$(of '.finished_at != null')" = true ]; do
		sleep 1
	done
	of '{bench: "jobs", name: "held-out loss, nats per token",
		before: .losses.before, after: .losses.after,
		drop: (1 - .losses.after / .losses.before), at_least: 0.3,
		seconds: (.finished_at - .created_at), seconds_at_most: 120,
		steps: .progress.step, tokens_per_second: (.trained_tokens / .progress.seconds | round)}'
}

serve
for part in ${JOBS_PARTS:-latency speed loss}; do
	"$part"
done
