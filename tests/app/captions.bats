# `unrolld train-caption`, `caption` and `eval-caption`, on scenes that
# tests/golden/images has and a few words.
# run: parallel

load train.bash

setup() {
	train_setup
	images=$BATS_TEST_DIRNAME/../golden/images
	cat >lines.jsonl <<-EOF
		{"image": "colour.png", "caption": "a broad picture"}
		{"image": "tall.jpg", "captions": ["a tall picture", "a tall picture"]}
		{"image": "grey.jpg", "caption": "nothing but grey"}
	EOF
	steps=200
	[ "${VARIANT:-release}" = release ] || steps=60
	tiny=(--images "$images" --hidden 64 --embedding 16 --threads 1
		--max-steps "$steps" --epochs 300 --learning-rate 0.005 --warmup 5)
}

@test "a captioner learns pictures, and says what it learnt" {
	unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}"
	unrolld eval-caption c.safetensors lines.jsonl --images "$images" \
		--json >out
	jq -e '.images == 3 and .exact == 1 and .bleu_1 > 0.999' out
	unrolld inspect c.safetensors --tensors >out
	grep -q '^kind  *captioner' out
	grep -q '^cnn  *64 x 64 pixels, 16 M 32 M 64 M 64 M, batch norm, until classifier.0' out
	grep -q '^  cnn.classifier.0.weight  *\[128,1024\]' out
	unrolld inspect c.safetensors --json --tensors >out
	jq -e '.kind == "captioner" and .captioner.features == 128 and
		([.tensors[].bytes] | add) == .bytes' out
	unrolld caption c.safetensors "$images/tall.jpg" >out
	grep -q 'tall.jpg: a tall picture (-[0-9.]*)' out
	unrolld caption c.safetensors "$images/tall.jpg" "$images/grey.jpg" \
		-n 2 --json >out
	[ "$(wc -l <out)" = 2 ]
	jq -se '.[1].captions[0].text == "nothing but grey" and
		.[0].captions[0].finish_reason == "stop" and
		.[0].captions[0].logprob > .[0].captions[1].logprob' out
	unrolld caption c.safetensors "$images/tall.jpg" --beam 0 -n 3 -s 5 >a
	unrolld caption c.safetensors "$images/tall.jpg" --beam 0 -n 3 -s 5 >b
	cmp a b
}

@test "the same run gives the same file, whatever the threads" {
	unrolld train-caption lines.jsonl -o a.safetensors "${tiny[@]}" \
		--max-steps 4
	unrolld train-caption lines.jsonl -o b.safetensors "${tiny[@]}" \
		--max-steps 4 --threads 3
	cmp a.safetensors b.safetensors
}

@test "what is missing or wrong is said" {
	echo '{"image": "none.png", "caption": "x"}' >>lines.jsonl
	run unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}"
	[ "$status" = 1 ]
	says '1 of 4 images missing: ' none.png
	echo '{"image": "none.png"}' >bad.jsonl
	run unrolld train-caption bad.jsonl -o c.safetensors "${tiny[@]}"
	[ "$status" = 1 ]
	says 'bad.jsonl: line 1: caption is missing or empty'
	run unrolld train-caption lines.jsonl "${tiny[@]}"
	[ "$status" = 2 ]
	run unrolld train-caption lines.jsonl -o c.safetensors --cnn vgg17
	[ "$status" = 1 ]
	says "cnn is 'vgg17', expected vgg11"
	run unrolld train-caption lines.jsonl -o c.safetensors --freeze
	[ "$status" = 2 ]
	says 'freeze wants --cnn-weights'
	run unrolld caption "$BATS_TEST_DIRNAME/../../conf/models/shakespeare.safetensors" \
		"$images/tall.jpg"
	[ "$status" = 1 ]
	says 'holds a text model, expected a captioner'
}
