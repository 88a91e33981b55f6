# The daemon under load on 127.0.0.1, each figure beside its target. Daemon and
# generator share the processors: what each used stands in every line.
#   WEIGHTS   of the model ("bf16 int8 f32")
need jq "Debian's jq"
driver=$programs/bench_http
[ -x "$driver" ] || skip "no $driver: use 'make bench'"
model=$root/conf/models/shakespeare.safetensors
[ -f "$model" ] || skip "no $model"

# serve WEIGHTS
serve() {
	daemon --models.dir "$model" --sessions.store memory --engine.weights "$1"
}

# steps WEIGHTS BATCH FIELD [OPTION...]: of `unrolld bench`, as many threads.
steps() {
	"$UNROLLD_EXE" bench "$model" --json --weights "$1" --batch "$2" \
		--seconds 1 "${@:4}" | jq "select(.batch) | .$3"
}

drive() {
	"$driver" "$port" "$pid" "$@"
}

# judge NAME WEIGHTS VALUE TARGET UNIT DETAILS: at most, or at least.
judge() {
	jq -nc --arg name "$1" --arg weights "$2" --argjson value "$3" \
		--arg bound "$4" --argjson target "$5" --arg unit "$6" \
		--argjson details "$7" '
		{bench: "serve", name: $name, weights: $weights,
		value: ($value * 1e4 | round / 1e4), unit: $unit,
		($bound): $target,
		ratio: ($value / $target * 1e3 | round / 1e3)} +
		($details | del(.mode))'
}

# Turn about with the steps alone: the machine's mood is the same for both.
streams_64() {
	local i lines= rates= line

	for ((i = 0; i < rounds; i++)); do
		rates+=$(steps "$1" 64 tokens_per_second --sample)$'\n'
		lines+=$(drive streams 64 "$2")$'\n'
	done
	line=$(middle tokens_per_second <<<"$lines")
	rates=$(median <<<"${rates%$'\n'}")
	judge "64 streams, of unrolld bench's rate" "$1" \
		"$(jq ".tokens_per_second / $rates" <<<"$line")" at_least 0.85 \
		ratio "$(jq -c ". + {bench_tokens_per_second: $rates}" <<<"$line")"
}

latency() {
	local i lines= raw= line

	for ((i = 0; i < rounds; i++)); do
		raw+=$(steps "$1" 1 us_per_step)$'\n'
		lines+=$(drive latency 2000)$'\n'
	done
	line=$(middle ms_p50 <<<"$lines")
	raw=$(median <<<"${raw%$'\n'}")
	judge "one token, p50 over the raw step" "$1" \
		"$(jq ".ms_p50 - $raw / 1e3" <<<"$line")" at_most 0.3 ms \
		"$(jq -c ". + {raw_step_us: $raw}" <<<"$line")"
}

# several KEY MODE...: the middle of all rounds.
several() {
	local i key=$1

	shift
	for ((i = 0; i < rounds; i++)); do
		drive "$@"
	done | middle "$key"
}

section_of() {
	local line

	serve "$1"
	streams_64 "$1" "$2"
	latency "$1"
	line=$(drive streams 1000 "$3")
	judge "1000 streams, slowest of the mean" "$1" \
		"$(jq '.share_min / .share_mean' <<<"$line")" at_least 0.5 \
		ratio "$line"
	line=$(several ms_p99 ttft 300 0)
	judge "first token of 20, idle server, p99" "$1" \
		"$(jq .ms_p99 <<<"$line")" at_most 5 ms "$line"
	line=$(several ms_p99 ttft 300 1000000)
	judge "first token of 20 while another primes 1 MB, p99" "$1" \
		"$(jq .ms_p99 <<<"$line")" at_most 5 ms "$line"
	line=$(several steps_p50 cancel 50)
	judge "a client leaves: until its slot is free, p50" "$1" \
		"$(jq .ms_p50 <<<"$line")" at_most \
		"$(jq ".probe_ms * 2 + $(steps "$1" 1 us_per_step) / 1e3" \
			<<<"$line")" "ms" "$line"
	leave
}

for weights in ${WEIGHTS:-bf16 int8 f32}; do
	if [ "$weights" = f32 ]; then
		section_of f32 1000 200
	else
		section_of "$weights" 4000 400
	fi
done
serve int8
line=$(several requests_per_second get /healthz 64 2)
judge "/healthz" - "$(jq .requests_per_second <<<"$line")" at_least 60000 \
	requests/s "$line"
line=$(drive sessions 10000)
judge "10,000 idle sessions, each over its blob" - \
	"$(jq .over_blob <<<"$line")" at_most 512 bytes "$line"
leave
