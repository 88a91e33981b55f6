# Peak memory of training, against what it can't do without; and of a text of
# 1 GB.
need jq "Debian's jq"
text=$data/tinyshakespeare.txt
[ -f "$text" ] || skip "no $text (set DATA_DIR)"

# peak FILE ARGUMENT...: MB resident at most while training on FILE.
peak() {
	local pid top=0 now

	"$UNROLLD_EXE" train "$@" -o "$work/m.safetensors" --sample-every 0 \
		--validation-fraction 0 --progress none &
	pid=$!
	while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" \
		2>/dev/null) && [ -n "$now" ]; do
		top=$now
		sleep 0.02
	done
	wait $pid
	awk -v kb="$top" 'BEGIN { printf "%.1f", kb * 1024 / 1e6 }'
}

# LSTM 2x512, batch 50, seq 50, Adam. Of a chunk's 2500 rows each layer keeps
# the gates (4 H), h, c and tanh c; then logits and the gradient of what is
# above.
form=(--cell lstm --hidden 512 --layers 2 --embedding 512 --batch 50
	--seq-length 50 --optimizer adam --averaging 0 --dropout 0)
got=$(peak "$text" "${form[@]}" --max-steps 6)
parameters=$("$UNROLLD_EXE" inspect "$work/m.safetensors" --json |
	jq .parameters)
jq -nc --argjson p "$parameters" --argjson got "$got" '
	($p * 16 / 1e6) as $blocks |
	(2500 * (2 * 7 * 512 + 65 + 512) * 4 / 1e6) as $activations |
	{bench: "memory", model: "lstm 2x512, batch 50, seq 50", peak_mb: $got,
	parameters_gradients_moments_mb: ($blocks | round),
	activations_mb: ($activations | round),
	ratio: ($got / ($blocks + $activations) * 100 | round / 100),
	target: 1.5}'

[ "${BENCH_LARGE:-}" = 1 ] || skip "1 GB text: set BENCH_LARGE=1"
count=$((1000000000 / $(wc -c <"$text") + 1))
for ((i = 0; i < count; i++)); do
	cat "$text"
done >"$work/large"
got=$(peak "$work/large" --preset char-rnn --max-steps 200)
jq -nc --argjson got "$got" --argjson bytes "$(wc -c <"$work/large")" \
	'{bench: "memory", text_mb: ($bytes / 1e6 | round), peak_mb: $got,
	target_mb: 2000}'
