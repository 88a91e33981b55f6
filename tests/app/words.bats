# `unrolld train --tokenizer word`: cut-offs, what is unknown, and how it is
# measured.
# run: parallel

load train.bash

setup() {
	train_setup
}

words() {
	unrolld train text -o w.safetensors "${small[@]}" --tokenizer word \
		--max-steps 20 --progress none "$@"
}

@test "words are tokens, and the vocabulary is in the checkpoint" {
	words --embedding 8
	unrolld inspect w.safetensors >out
	grep -q 'tokenizer     word, vocabulary [0-9]*, start [0-9]* "\\n"' out
	unrolld sample w.safetensors -p "Line" -n 20 --seed 1 >a
	unrolld sample w.safetensors -p "Line" -n 20 --seed 1 >b
	cmp a b
	unrolld eval w.safetensors text --json >out
	jq -e '.unknown == 0 and .characters > 3 * .tokens and
		(.nats_per_character * .characters -
			.nats_per_token * .tokens | fabs) < 1e-3' out
}

@test "what is rare is <unk>, counted and never said" {
	words --min-count 5
	unrolld eval w.safetensors text --json >out
	jq -e '.unknown > 100 and .unknown_rate > 0.05 and
		(.unknown / .tokens - .unknown_rate | fabs) < 1e-6' out
	unrolld sample w.safetensors -p "Line" -n 2000 --seed 1 >out
	! grep -q '<unk>' out
	unrolld sample w.safetensors -p "A zebra" -n 5 --seed 1 >out
	run unrolld sample w.safetensors -p "A zebra" -n 5 --unknown error
	[ "$status" = 1 ]
	says '"A" at character offset 0 is not in the vocabulary'
	run unrolld eval w.safetensors text --unknown error
	[ "$status" = 1 ]
	says "is not in the vocabulary"
	unrolld eval w.safetensors text --unknown skip --json >out
	jq -e '.unknown == 0 and .skipped > 100' out
}

@test "a cut-off by number, and lower case" {
	words --max-vocab 12 --lower-case
	unrolld inspect w.safetensors >out
	grep -q 'tokenizer     word, vocabulary 12,' out
	unrolld sample w.safetensors -p "LINE" -n 5 --unknown error >out
	grep -q '^LINE' out
}

@test "going on with words, to the bit" {
	words --min-count 3 --max-steps 20
	cp w.safetensors whole.safetensors
	words --min-count 3 --max-steps 10
	unrolld train text -o w.safetensors --resume --max-steps 20 \
		--progress none
	cmp w.safetensors whole.safetensors
}

@test "options that a tokenizer can't follow are refused by name" {
	run unrolld train text -o m.safetensors "${small[@]}" --min-count 2
	[ "$status" = 1 ]
	says "tokenizer char takes no min-count"
	run unrolld train text -o m.safetensors "${small[@]}" \
		--tokenizer byte --lower-case
	[ "$status" = 1 ]
	says "tokenizer byte takes no lower-case"
	run words --min-count 100000
	[ "$status" = 1 ]
	says "came 100000 times: nothing is left to learn"
}

@test "sampled softmax trains, and goes on to the bit" {
	words --embedding 8 --sampled-softmax 12 --max-steps 30
	cp w.safetensors whole.safetensors
	# It has learnt something, by the loss over all tokens.
	words --embedding 8 --max-steps 1
	unrolld eval w.safetensors text --json | jq .nats_per_token >before
	unrolld eval whole.safetensors text --json | jq .nats_per_token >after
	awk 'NR == FNR { a = $1; next } { exit !($1 < a) }' before after
	words --embedding 8 --sampled-softmax 12 --max-steps 15
	unrolld train text -o w.safetensors --resume --max-steps 30 \
		--threads 2 --progress none
	cmp w.safetensors whole.safetensors
}
