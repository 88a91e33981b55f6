# Tokenizers on English and Chinese, one core.
[ -x "$programs/bench_text" ] ||
	skip "no $programs/bench_text: use 'make bench'"
dictionary=${UNROLLD_EXE%/*}/jieba.dict
[ ! -f "$dictionary" ] || export JIEBA_DICTIONARY=$dictionary
"$programs/bench_text" "$data/tinyshakespeare.txt" "$data/tang-poetry.txt"
