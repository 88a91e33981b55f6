# Chinese words a second against python-jieba, and what the dictionary costs.
need jq "Debian's jq"
text=$data/tang-poetry.txt
dictionary=${UNROLLD_EXE%/*}/jieba.dict
[ -f "$text" ] || skip "no $text (set DATA_DIR)"
[ -f "$dictionary" ] || skip "no $dictionary: install python3-jieba, make again"
"$python" -c 'import jieba' 2>/dev/null ||
	skip "no jieba for $python (Debian's python3-jieba)"
[ -x "$programs/bench_jieba" ] ||
	skip "no $programs/bench_jieba: use 'make bench'"

for ((i = 0; i < rounds; i++)); do
	"$programs/bench_jieba" "$dictionary" "$text" >>"$work/ours"
	"$python" "$here/jieba_peer.py" "$text" >>"$work/peer"
done
for cut in hmm plain; do
	[ $cut = hmm ] && target=20 || target=12
	jq -nc --arg cut $cut --argjson target $target \
		--slurpfile ours "$work/ours" --slurpfile peer "$work/peer" '
		def median(f): map(f) | sort | .[length / 2 | floor];
		($ours | median(.[$cut + "_mb_s"])) as $mine |
		($peer | median(.[$cut + "_mb_s"])) as $theirs |
		{bench: "jieba", cut: $cut, mb_s: ($mine * 10 | round / 10),
		peer: "python-jieba", peer_mb_s: ($theirs * 1000 | round / 1000),
		same_words: ($ours[0][$cut + "_words"] ==
			$peer[0][$cut + "_words"]),
		ratio: ($mine / $theirs * 10 | round / 10), target: $target}'
done
jq -sc 'def median(f): map(f) | sort | .[length / 2 | floor];
	{bench: "jieba", open_ms: median(.open_ms), open_ms_target: 5,
	resident_mb: median(.resident_mb), resident_mb_target: 12}' "$work/ours"
