# Texts in other charsets: named, guessed, and broken.
# run: parallel

load train.bash

setup() {
	cd "$BATS_TEST_TMPDIR"
	for i in {1..60}; do
		echo "第$i行：中文，GBK $((i * i % 97))。"
	done >utf8
}

teach() {
	unrolld train "$@" "${small[@]}" --max-steps 5 --progress lines
}

corpus_hash() {
	unrolld inspect "$1" --json | jq -r .training.corpus.hash
}

@test "the same text in any charset is the same model" {
	teach utf8 -o a.safetensors
	for charset in gbk gb18030 utf-16 utf-8 utf-32le; do
		iconv -f utf-8 -t "$charset" utf8 >text
		teach text -o b.safetensors --encoding "$charset"
		[ "$(corpus_hash a.safetensors)" = "$(corpus_hash b.safetensors)" ]
	done
}

@test "auto finds byte-order marks, UTF-8 and GB18030" {
	teach utf8 -o a.safetensors
	for charset in gbk utf-16 utf-8 gb18030 utf-32; do
		iconv -f utf-8 -t "$charset" utf8 >text
		teach text -o b.safetensors --encoding auto
		[ "$(corpus_hash a.safetensors)" = "$(corpus_hash b.safetensors)" ]
		teach - -o c.safetensors --encoding auto <text
		[ "$(corpus_hash a.safetensors)" = "$(corpus_hash c.safetensors)" ]
		cat text | teach - -o c.safetensors --encoding auto
		[ "$(corpus_hash a.safetensors)" = "$(corpus_hash c.safetensors)" ]
		unrolld eval a.safetensors text --encoding auto >1
		unrolld eval a.safetensors utf8 >2
		cmp 1 2
	done
	iconv -f utf-8 -t gbk utf8 >text
	teach text -o b.safetensors --encoding auto
	[ "$(unrolld inspect b.safetensors --json |
		jq -r .training.corpus.encoding)" = gb18030 ]
}

@test "faults are named, or counted" {
	{
		iconv -f utf-8 -t gbk utf8
		printf '\xff\xff!\xd6'
	} >text
	size=$(($(wc -c <text) - 4))
	run teach text -o a.safetensors --encoding gbk
	[ "$status" = 1 ]
	says "text: invalid gbk at byte $size: 0xff 0xff 0x21"
	run teach text -o a.safetensors --encoding auto
	[ "$status" = 1 ]
	says "text (encoding auto): invalid gb18030 at byte $size"
	run teach text -o a.safetensors --encoding gbk --encoding-errors replace
	[ "$status" = 0 ]
	says "3 faults of the encoding replaced"
	run teach text -o a.safetensors --encoding gbk --encoding-errors skip
	[ "$status" = 0 ]
	says "3 faults of the encoding left out"
	run unrolld eval a.safetensors text --encoding gbk \
		--encoding-errors skip --json
	[ "$status" = 0 ]
	[ "$(jq .faults <<<"$output")" = 3 ]
	run teach text -o a.safetensors --encoding gkb
	[ "$status" = 1 ]
	says 'unknown charset "gkb"' "auto"
}

@test "words of a GBK text that is one long line" {
	{
		for i in {1..3000}; do printf '春眠不觉晓 spring %d, ' $((i % 7)); done
	} | iconv -f utf-8 -t gbk >text
	teach text -o a.safetensors --encoding gbk --tokenizer word
	run unrolld sample a.safetensors -p "春眠" -n 20 --seed 1
	[ "$status" = 0 ]
}
