# Tokens a second of a step against ONNX Runtime (LSTM, as one step's graph) and
# against PyTorch (with sampling, as its peer does), each at the better of one
# and all cores.
# ONNX Runtime is onnxruntime-node: NODE_PATH says where, unless node finds it.
need jq "Debian's jq"
cores=$(nproc)
text=$data/tinyshakespeare.txt
openblas=/usr/lib/$(uname -m)-linux-gnu/openblas-pthread
core=$(awk '/^flags/ { print ($0 ~ /avx512f/ ? "SkylakeX" : "Haswell"); exit }' \
	/proc/cpuinfo)

# ours FILE ARGUMENT...: rows "weights batch tokens/s", appended.
ours() {
	local file=$1

	shift
	"$UNROLLD_EXE" bench --json --seconds "${SECONDS_EACH:-0.5}" "$@" |
		jq -r 'select(.weights) |
			"\(.weights) \(.batch) \(.tokens_per_second)"' >>"$file"
}

# of FILE KEY...: the median of the last column where the first ones are KEY.
of() {
	local file=$1

	shift
	awk -v key="$* " 'index($0, key) == 1 { print $NF }' "$file" | median
}

# compare MODEL PEER WEIGHTS BATCH TARGET: from $work/{ours,peer}; the peer's
# rows are "threads batch tokens/s".
compare() {
	local mine theirs best=0 threads=0 t

	mine=$(of "$work/ours" "$3" "$4")
	for t in 1 "$cores"; do
		theirs=$(of "$work/peer" "$t" "$4")
		if [ -n "$theirs" ] && awk -v a="$theirs" -v b="$best" \
			'BEGIN { exit !(a > b) }'; then
			best=$theirs
			threads=$t
		fi
	done
	jq -nc --arg model "$1" --arg peer "$2" --arg weights "$3" \
		--argjson batch "$4" --argjson mine "$mine" \
		--argjson theirs "$best" --argjson threads "$threads" \
		--argjson target "$5" \
		'{bench: "step", model: $model, weights: $weights,
		batch: $batch, tokens_per_second: ($mine | round), peer: $peer,
		peer_tokens_per_second: ($theirs | round),
		peer_threads: $threads,
		ratio: ($mine / $theirs * 100 | round / 100), target: $target}'
}

onnx() {
	local h=$1 t i weights batch

	: >"$work/ours"
	: >"$work/peer"
	"$python" "$peers/make_onnx.py" "$h" 2 65 "$work/m.onnx"
	for ((i = 0; i < rounds; i++)); do
		ours "$work/ours" --hidden "$h" --embedding "$h" --vocab 65 \
			--batch 1 --batch 4 --batch 16 --batch 64
		for t in $(printf '%s\n' 1 "$cores" | sort -u); do
			node "$peers/ort_step.js" "$work/m.onnx" "$h" 2 "$t" |
				jq -r --argjson t "$t" \
					'"\($t) \(.B) \(.tok_s)"' \
					>>"$work/peer"
		done
	done
	for weights in f32 bf16 int8; do
		for batch in 1 4 16 64; do
			compare "lstm 2x$h" onnxruntime $weights $batch \
				"$(target "$h" $weights $batch)"
		done
	done
}

# What the issue asks for; null: nothing.
target() {
	case $1-$2-$3 in
	512-int8-1) echo 5 ;;
	512-int8-16 | 512-int8-64) echo 4 ;;
	512-f32-1 | 512-f32-16 | 512-f32-64) echo 1.4 ;;
	128-int8-1) echo 10 ;;
	128-f32-1) echo 5 ;;
	*) echo null ;;
	esac
}

torch() {
	local cell=$1 h=$2 t i weights batch

	: >"$work/ours"
	: >"$work/peer"
	for ((i = 0; i < rounds; i++)); do
		ours "$work/ours" --cell "$cell" --hidden "$h" --embedding "$h" \
			--vocab 65 --batch 1 --batch 64 --sample
		for t in $(printf '%s\n' 1 "$cores" | sort -u); do
			LD_LIBRARY_PATH=$openblas OPENBLAS_CORETYPE=$core \
				OPENBLAS_NUM_THREADS=$t "$python" \
				"$peers/torch_lm.py" "$text" "$cell" "$h" 2 2 \
				2 1 1 | jq -r --argjson t "$t" \
				'"\($t) 1 \(.gen1_chars_s)",
				"\($t) 64 \(.gen64_chars_s)"' >>"$work/peer"
		done
	done
	for weights in f32 int8; do
		for batch in 1 64; do
			compare "$cell 2x$h, sampling" pytorch $weights $batch 1
		done
	done
}

"$UNROLLD_EXE" bench --json --batch 1 --batch 12 --batch 64 --threads 1 \
	--seconds "${SECONDS_EACH:-0.5}" | jq -c '. + {bench: "ceilings"}'
if node -e 'require("onnxruntime-node")' 2>/dev/null &&
	"$python" -c 'import onnx' 2>/dev/null; then
	onnx 512
	onnx 128
else
	echo "bench: no onnxruntime-node for node (set NODE_PATH) or no" \
		"python3-onnx: not compared with ONNX Runtime" >&2
fi
[ -f "$text" ] || skip "no $text (set DATA_DIR)"
"$python" -c 'import torch' 2>/dev/null ||
	skip "no torch for $python (Debian's python3-torch)"
for cell in rnn gru lstm; do
	for h in 128 512; do
		torch $cell $h
	done
done
