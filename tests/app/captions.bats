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
	grep -q '^cnn  *64 x 64 pixels, 16 M 32 M 64 64 M 128, batch norm, until classifier.0' out
	grep -q '^  cnn.classifier.0.weight  *\[256,512\]' out
	unrolld inspect c.safetensors --json --tensors >out
	jq -e '.kind == "captioner" and .captioner.features == 256 and
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

@test "training shows its pace: lines in a pipe, JSON where it is asked for" {
	unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}" \
		--max-steps 6 2>err
	grep -q '^3 images, 4 captions, ' err
	grep -q '^step 6 epoch .* img/s ETA 0m00s$' err
	unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}" \
		--max-steps 6 --json --report-every 2 --log log >out
	cmp out log
	jq -se 'map(.step) == [2, 4, 6] and
		all(.[]; .loss > 0 and .images_per_second > 0)' out
}

@test "a signal saves what was learnt so far, and --resume goes on to the bit" {
	$loose "$exe" train-caption lines.jsonl -o c.safetensors "${tiny[@]}" \
		--json --report-every 1 >out 2>err &
	pid=$!
	for ((i = 0; i < 500; i++)); do
		[ ! -s out ] || break
		sleep 0.02
	done
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ $rc = 143 ]
	step=$(sed -n 's/^interrupted at step \([0-9]*\); saved. To go on: the same command with --resume$/\1/p' err)
	[ "$step" -gt 0 ]
	[ "$step" -lt "$steps" ]
	unrolld caption c.safetensors "$images/tall.jpg"
	cp c.safetensors cut.safetensors
	cp c.train.safetensors cut.train.safetensors
	# What the run was told need not be told again.
	unrolld train-caption lines.jsonl -o c.safetensors --images "$images" \
		--resume --threads 2
	unrolld train-caption lines.jsonl -o whole.safetensors "${tiny[@]}"
	cmp c.safetensors whole.safetensors
	unrolld train-caption lines.jsonl -o c.safetensors --images "$images" \
		--resume 2>err
	grep -q "^nothing left to do at step $steps of $steps$" err
	cmp c.safetensors whole.safetensors
	# Other captions, or other options, are another run.
	run unrolld train-caption lines.jsonl -o cut.safetensors \
		--images "$images" --resume --hidden 32
	[ "$status" = 1 ]
	says "--hidden is '32', but cut.train.safetensors has '64'"
	sed 's/a tall/a small/g' lines.jsonl >others.jsonl
	run unrolld train-caption others.jsonl -o cut.safetensors \
		--images "$images" --resume
	[ "$status" = 1 ]
	says '--resume: the hash of the captions and pictures is' \
		'but the run was on captions and pictures of hash'
	rm cut.train.safetensors
	run unrolld train-caption lines.jsonl -o cut.safetensors \
		--images "$images" --resume
	[ "$status" = 1 ]
	says '--resume: cut.train.safetensors'
}

@test "words that are hidden in training are still said" {
	unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}" \
		--word-dropout 0.5
	unrolld eval-caption c.safetensors lines.jsonl --images "$images" \
		--json >out
	[ "${VARIANT:-release}" != release ] || jq -e '.exact == 1' out
	run unrolld train-caption lines.jsonl -o c.safetensors --word-dropout 1.5
	[ "$status" = 2 ]
	says 'word-dropout'
}

# Drawn by tests/tools/make_scenes, the second with a pair of colour and shape
# that was in no picture of the training.
@test "the shipped captioner says what is in a scene" {
	scenes=$BATS_TEST_DIRNAME/../golden/scenes
	unrolld caption "$BATS_TEST_DIRNAME/../../conf/models/scenes.safetensors" \
		"$scenes/seen.png" "$scenes/unseen.png" >out
	grep -q 'seen.png: three large orange circles above three small purple squares (' out
	grep -q 'unseen.png: two large white squares above three small yellow diamonds (' out
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
	# Before an hour of training, not after it; and what is read stays.
	for output in nowhere/c.safetensors . lines.jsonl; do
		run unrolld train-caption lines.jsonl -o $output "${tiny[@]}"
		[ "$status" = 1 ]
	done
	says '-o lines.jsonl is the file of captions itself'
	grep -q none.png lines.jsonl
	mkdir c.train.safetensors
	run unrolld train-caption lines.jsonl -o c.safetensors "${tiny[@]}"
	[ "$status" = 1 ]
	says 'c.train.safetensors is a directory, expected a file'
	run unrolld caption "$BATS_TEST_DIRNAME/../../conf/models/shakespeare.safetensors" \
		"$images/tall.jpg"
	[ "$status" = 1 ]
	says 'holds a text model, expected a captioner'
}
