# `unrolld eval`: how well a model predicts a text.
# run: parallel

load train.bash

setup() {
	train_setup
}

base() {
	unrolld train text -o m.safetensors "${small[@]}" --max-steps 100 \
		--optimizer adam --learning-rate 0.01 --schedule constant "$@" \
		2>err
}

@test "the loss that training reported at its end, on each split" {
	for dtype in f32 bf16; do
		base --dtype $dtype --averaging 0.9
		told=$(sed -n 's/.*validation \([0-9.]*\) nats.*/\1/p' err |
			tail -1)
		unrolld eval m.safetensors text --part tail >out
		grep -q "^nats/token  $told$" out
		grep -q "^split       tail 0.1, batch 1, stateful" out
		unrolld eval m.safetensors text --part tail --json >json
		unrolld inspect m.safetensors --json >inspected
		jq -es '.[0].nats_per_token as $n | .[1] | .. | objects |
			select(.nats_per_token) |
			(.nats_per_token - $n | fabs) < 1e-9' json inspected
	done
	base --validation-fraction 0.25
	told=$(sed -n 's/.*validation \([0-9.]*\) nats.*/\1/p' err | tail -1)
	unrolld eval m.safetensors text --part tail --fraction 0.25 |
		grep -q "^nats/token  $told$"
}

@test "the parts of a text are what they say" {
	base
	head -c 1000 text >head
	tail -c +1001 text >tail
	fraction=$(awk -v n="$(wc -c <text)" \
		'BEGIN { printf "%.17g", (n - 1000) / n + 1e-9 }')
	for part in head tail; do
		unrolld eval m.safetensors text --part $part \
			--fraction "$fraction" | tail -n +2 >a
		unrolld eval m.safetensors $part | tail -n +2 >b
		cmp a b
	done
}

@test "weights as they are served: f32 the same, rounded ones close" {
	base --embedding 16
	unrolld eval m.safetensors text --json >out
	for type in f32 bf16 int8; do
		unrolld eval m.safetensors text --json --weights $type >$type
	done
	jq -es '.[0] as $c | map(.nats_per_token - $c.nats_per_token | fabs) |
		.[1] < 1e-5 and .[2] < 0.01 and .[3] < 0.02' out f32 bf16 int8
	jq -es 'map(.nats_per_token) | unique | length == 3' f32 bf16 int8
	jq -es 'map(.tokens) | unique | length == 1' out f32 bf16 int8
	run unrolld eval m.safetensors text --weights int4
	[ "$status" = 2 ]
	says "--weights" "'int4'" "int8"
}

@test "the units agree with each other" {
	base
	unrolld eval m.safetensors text --json >out
	jq -e --argjson n $((characters - 1)) \
		'.tokens == $n and .characters == $n and .skipped == 0 and
		.split == "all" and
		.nats_per_character == .nats_per_token and
		(.bits_per_character * (2 | log) - .nats_per_character |
			fabs) < 1e-6 and
		((.nats_per_token | exp) - .perplexity | fabs) < 1e-4' out
	# Of bytes, a character may be several.
	for i in {1..300}; do echo "Größe und Maße $i"; done >umlauts
	unrolld train umlauts -o b.safetensors "${small[@]}" --max-steps 5 \
		--tokenizer byte --progress none
	unrolld eval b.safetensors umlauts --json >out
	jq -e --argjson bytes "$(wc -c <umlauts)" \
		--argjson chars "$(wc -m <umlauts)" \
		'.tokens == $bytes - 1 and .characters == $chars - 1 and
		(.nats_per_token * .tokens / .characters - .nats_per_character |
			fabs) < 1e-6' out
}

@test "threads and standard input change nothing" {
	base
	unrolld eval m.safetensors text --threads 1 >a
	unrolld eval m.safetensors text --threads 2 >b
	cat text | unrolld eval m.safetensors - >c
	cmp a b
	cmp a c
}

@test "characters outside the vocabulary" {
	base
	echo "日本" >>text
	run unrolld eval m.safetensors text
	[ "$status" = 1 ]
	says "'日' (U+65E5)"
	run unrolld eval m.safetensors text --unknown skip
	[ "$status" = 0 ]
	says "skipped     2"
}

@test "what is wrong is named" {
	base
	run unrolld eval
	[ "$status" = 2 ]
	says "no model named"
	run unrolld eval m.safetensors
	[ "$status" = 2 ]
	says "no text named"
	run unrolld eval m.safetensors nowhere
	[ "$status" = 1 ]
	says "nowhere: no such file"
	run unrolld eval nowhere.safetensors text
	[ "$status" = 1 ]
	says "nowhere.safetensors: no such file"
	printf L >one
	run unrolld eval m.safetensors one
	[ "$status" = 1 ]
	says "nothing to evaluate: 1 tokens"
	run unrolld eval m.safetensors text --part middle
	[ "$status" = 2 ]
	says "--part" "'middle'" "all"
	printf 'Line \xff' >bad
	run unrolld eval m.safetensors bad
	[ "$status" = 1 ]
	says "bad: invalid UTF-8 at byte 5"
}
