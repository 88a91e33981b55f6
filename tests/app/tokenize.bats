# `unrolld tokenize`: a text's tokens and the way back.
# run: parallel

load train.bash

setup() {
	train_setup
	unrolld train text -o m.safetensors "${small[@]}" --max-steps 2 \
		--tokenizer word --min-count 2 --progress none
}

@test "there and back again" {
	unrolld tokenize m.safetensors text --unknown error --unknown skip >ids
	unrolld tokenize m.safetensors --decode ids >back
	unrolld tokenize m.safetensors - <back >again
	cmp ids again
	unrolld tokenize m.safetensors --decode - <ids | cmp - back
	run unrolld tokenize m.safetensors -p "the quick zebra" --texts
	[ "$status" = 0 ]
	says $'\t" quick"' $'0\t"<unk>"'
	[ "${#lines[@]}" = 3 ]
	unrolld tokenize m.safetensors text --json >out
	jq -e --argjson n "$characters" '.characters == $n and .bytes == $n and
		.unknown > 0 and .tokenizer == "word" and
		.encoding == "utf-8" and .faults == 0' out
}

@test "a text in another charset" {
	echo 'the quick' | iconv -t utf-16 >other
	[ "$(unrolld tokenize m.safetensors other --encoding auto)" = \
		"$(echo 'the quick' | unrolld tokenize m.safetensors -)" ]
}

@test "what is wrong is named" {
	run unrolld tokenize
	[ "$status" = 2 ]
	says "no model named"
	run unrolld tokenize m.safetensors
	[ "$status" = 2 ]
	says "no text named"
	run unrolld tokenize m.safetensors text -p x
	[ "$status" = 2 ]
	says "--text excludes files"
	run unrolld tokenize m.safetensors nowhere
	[ "$status" = 1 ]
	says "nowhere: no such file"
	echo "1 2 x3" >ids
	run unrolld tokenize m.safetensors --decode ids
	[ "$status" = 1 ]
	says "ids: token 2 is 'x3', expected a number"
	echo "1 99999" >ids
	run unrolld tokenize m.safetensors --decode ids
	[ "$status" = 1 ]
	says "tokens[1] is 99999, expected 0 to"
	run unrolld tokenize m.safetensors -p zebra --unknown error
	[ "$status" = 1 ]
	says '"zebra" at character offset 0'
}
