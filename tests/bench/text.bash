# Tokenizers on English and Chinese, one core.
[ -x "$programs/bench_text" ] ||
	skip "no $programs/bench_text: use 'make bench'"
"$programs/bench_text" "$data/tinyshakespeare.txt" "$data/tang-poetry.txt"
