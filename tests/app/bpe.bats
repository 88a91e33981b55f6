# `unrolld train --tokenizer bpe`, and Hugging Face's files in and out.
# run: parallel

load train.bash

setup() {
	train_setup
}

learn() {
	unrolld train text -o b.safetensors "${small[@]}" --tokenizer bpe \
		--max-steps 10 --progress none "$@"
}

@test "byte pairs are learnt, saved and lossless" {
	learn --max-vocab 300 --embedding 8
	unrolld inspect b.safetensors >out
	grep -q 'tokenizer     bpe, vocabulary 300, start 10 "\\n"' out
	unrolld tokenize b.safetensors text >ids
	unrolld tokenize b.safetensors --decode ids | cmp - text
	[ "$(wc -w <ids)" -lt $((characters * 2 / 3)) ]
	head -c 3000 "$exe" >binary
	unrolld tokenize b.safetensors binary --encoding bytes >ids
	unrolld eval b.safetensors binary --encoding bytes
	unrolld sample b.safetensors -p 'Line é' -n 20 --seed 1 | iconv -f utf-8
}

@test "a Hugging Face tokenizer.json in and out" {
	learn --max-vocab 300
	unrolld export b.safetensors -o w --vocab t.json
	jq -e '.model.type == "BPE" and (.model.vocab | length) == 300 and
		.pre_tokenizer.type == "ByteLevel" and
		(.model.merges | length) == 44' t.json
	echo 'Another text, about quick brown foxes and more of them.' >>other
	for i in {1..30}; do cat other; done >long
	unrolld train long -o c.safetensors "${small[@]}" --tokenizer bpe \
		--vocab t.json --max-steps 5 --progress none
	cmp <(unrolld tokenize c.safetensors text) \
		<(unrolld tokenize b.safetensors text)
	unrolld train long -o c.safetensors --resume --max-steps 10 \
		--progress none
	unrolld import w -o d.safetensors --tokenizer bpe --vocab t.json
	cmp <(unrolld tokenize d.safetensors text) \
		<(unrolld tokenize b.safetensors text)
	[ "$(unrolld eval d.safetensors text)" = \
		"$(unrolld eval b.safetensors text)" ]
}

@test "what is not done is refused by name" {
	run learn --max-vocab 100
	[ "$status" = 1 ]
	says "max-vocab is 100, but the bytes alone are 256 tokens"
	run learn --lower-case
	[ "$status" = 1 ]
	says "tokenizer bpe takes no lower-case"
	learn --max-vocab 280
	unrolld export b.safetensors -o w --vocab t.json
	jq '.normalizer = {"type": "NFC"}' t.json >bad.json
	run learn --vocab bad.json
	[ "$status" = 1 ]
	says 'bad.json: tokenizer.json: normalizer is {"type":"NFC"}, expected null'
	run learn --vocab text
	[ "$status" = 1 ]
	says "text: not valid JSON"
	run unrolld train text -o x --vocab t.json --from b.safetensors
	[ "$status" = 2 ]
	says "--vocab is for a new model"
}
