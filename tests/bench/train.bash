# Training's characters a second against NumPy and PyTorch, in the same form:
# the lecture's (one-hot, Adagrad, one stream), and an embedding as wide as the
# layers with Adam, 50 streams, 50 steps.
text=$data/tinyshakespeare.txt
need jq "Debian's jq"
[ -f "$text" ] || skip "no $text (set DATA_DIR)"
[ -f "$peers/torch_lm.py" ] || skip "no $peers/torch_lm.py (set PEERS_DIR)"
"$python" -c 'import numpy' 2>/dev/null ||
	skip "no numpy for $python (Debian's python3-numpy)"
"$python" -c 'import torch' 2>/dev/null ||
	skip "no torch for $python (Debian's python3-torch)"

# The rivals' best here: Debian's OpenBLAS takes new processors for old ones
# unless told, and PyTorch's own threads are slower than OpenBLAS's.
openblas=/usr/lib/$(uname -m)-linux-gnu/openblas-pthread
core=$(awk '/^flags/ { print ($0 ~ /avx512f/ ? "SkylakeX" : "Haswell"); exit }' \
	/proc/cpuinfo)

# peer CORES SCRIPT ARGUMENT...: its characters a second.
peer() {
	local cores=$1 script=$2

	shift 2
	LD_LIBRARY_PATH=$openblas OPENBLAS_CORETYPE=$core \
		OPENBLAS_NUM_THREADS=$cores \
		"$python" "$peers/$script" "$text" "$@" |
		tee -a "$work/peers" | jq .train_chars_s
}

# ours THREADS STEPS ARGUMENT...: the same, between the first report and the
# last, so that neither reading the text nor saving counts.
ours() {
	local threads=$1 steps=$2

	shift 2
	"$UNROLLD_EXE" train "$text" -o "$work/m.safetensors" "$@" \
		--threads "$threads" --max-steps "$steps" \
		--report-every "$((steps / 4))" --json --sample-every 0 \
		--validation-fraction 0 2>"$work/err" >"$work/ours" || {
		cat "$work/err" >&2
		return 1
	}
	jq -s --argjson tokens "$tokens" 'map(select(.seconds)) |
		(.[-1].step - .[0].step) * $tokens /
		(.[-1].seconds - .[0].seconds)' "$work/ours"
}

# report NAME PEER THREADS FLOPS-PER-TOKEN TARGET, from $work/{a,b}: all turns.
report() {
	local mine theirs

	mine=$(median <"$work/a")
	theirs=$(median <"$work/b")
	jq -nc --arg name "$1" --arg peer "$2" --argjson threads "$3" \
		--argjson mine "$mine" --argjson theirs "$theirs" \
		--argjson flops "$4" --argjson target "$5" \
		--argjson peak "$(peak_of "$3")" \
		'{bench: "train", model: $name, cores: $threads,
		chars_per_second: ($mine | round), peer: $peer,
		peer_chars_per_second: ($theirs | round),
		ratio: ($mine / $theirs * 100 | round / 100), target: $target,
		gflops: ($mine * $flops / 1e8 | round / 10),
		of_peak: (if $peak > 0 then
			$mine * $flops / 1e9 / $peak * 1000 | round / 1000
			else null end)}'
}

# Measured peak of so many cores, in 1e9 operations a second; 0: not known.
peak_of() {
	jq -s --argjson n "$1" 'map(select(.bench == "fma_peak" and
		.threads == $n).gflops) | .[0] // 0' "$work/peak"
}

"$programs/bench_kernels" 2>/dev/null | grep fma_peak >"$work/peak" || true
vocab=65

# The lecture: per token 6 operations for each weight of W_hh and W_hy; W_xh is
# gathered.
tokens=25
flops=$((6 * (200 * 200 + 200 * vocab)))
for ((i = 0; i < rounds; i++)); do
	ours 1 20000 --preset min-char-rnn >>"$work/a"
	peer 1 mincharrnn_numpy.py 200 25 800 >>"$work/b"
	INPUT=onehot OPTIM=adagrad \
		peer 1 torch_lm.py rnn 200 1 1 25 1500 1 >>"$work/c"
done
report "rnn 1x200, batch 1, seq 25" numpy 1 $flops 25
mv "$work/c" "$work/b"
report "rnn 1x200, batch 1, seq 25" pytorch 1 $flops 12
rm "$work/a" "$work/b"

# compare CELL HIDDEN CORES STEPS PEER-STEPS TARGET
compare() {
	local cell=$1 h=$2 cores=$3 gates i
	local form=(--embedding "$h" --hidden "$h" --cell "$cell" --layers 2
		--batch 50 --seq-length 50 --optimizer adam
		--learning-rate 2e-3 --schedule constant --clip value
		--clip-threshold 5 --dropout 0 --averaging 0
		--init pytorch --forget-bias 0)

	tokens=2500
	gates=$([ "$cell" = lstm ] && echo 4 || echo 3)
	for ((i = 0; i < rounds; i++)); do
		ours "$cores" "$4" "${form[@]}" >>"$work/a"
		peer "$cores" torch_lm.py "$cell" "$h" 2 50 50 "$5" 1 \
			>>"$work/b"
	done
	same_size
	# W_hh of both layers, W_ih of the second, the output; the first's W_ih
	# once for each word of a chunk.
	report "$cell 2x$h, batch 50, seq 50" pytorch "$cores" \
		$((6 * (3 * gates * h * h + h * vocab) +
			6 * vocab * gates * h * h / tokens)) "$6"
	rm "$work/a" "$work/b"
}

# Both must have as many parameters, or the ratio would mean nothing.
same_size() {
	local mine theirs

	mine=$("$UNROLLD_EXE" inspect "$work/m.safetensors" --json |
		jq .parameters)
	theirs=$(tail -1 "$work/peers" | jq .params)
	[ "$mine" = "$theirs" ] || {
		echo "bench: $mine parameters, but the peer has $theirs" >&2
		exit 1
	}
}

# Ten thousand words: as characters, which the peer's own reading takes, too, and
# which cost the same. Zipf's frequencies.
words() {
	local h=512 i
	local words=$work/words text=$work/words

	"$python" - >"$words" <<-'EOF'
		import itertools, random
		random.seed(1)
		weights = list(itertools.accumulate(1 / (i + 1) for i in range(10000)))
		ids = random.choices(range(10000), cum_weights=weights, k=200000)
		print("".join(chr(0x4e00 + i) for i in [*range(10000), *ids]), end="")
	EOF
	tokens=1750
	for ((i = 0; i < rounds; i++)); do
		ours 1 8 --embedding $h --hidden $h --layers 2 --batch 50 \
			--seq-length 35 --optimizer adam --learning-rate 2e-3 \
			--schedule constant --clip value --clip-threshold 5 \
			--dropout 0 --averaging 0 --init pytorch \
			--forget-bias 0 >>"$work/a"
		peer 1 torch_lm.py lstm $h 2 50 35 4 1 >>"$work/b"
	done
	same_size
	report "lstm 2x$h, 10,000 words, batch 50, seq 35" pytorch 1 \
		$((6 * (16 * h * h + h * 10000))) 1.3
	rm "$work/a" "$work/b"
}

compare lstm 128 1 60 30 1.6
compare lstm 512 1 12 5 1.4
compare gru 512 1 12 5 1.4
words
[ "$(nproc)" -ge 2 ] || skip "the rest needs two cores"
compare lstm 128 2 80 40 2.5
compare lstm 512 2 16 8 1.8
compare gru 512 2 16 8 1.8
