# `unrolld sample`: text from a checkpoint.
# run: parallel

load train.bash

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	make_text 300 >text
	unrolld train text -o m.safetensors "${small[@]}" --hidden 48 \
		--max-steps 400 --optimizer adam --learning-rate 0.01 \
		--schedule constant --averaging 0 --dropout 0 --progress none
}

setup() {
	cd "$BATS_FILE_TMPDIR"
	model=m.safetensors
}

@test "a seed gives one text, of the length asked for" {
	unrolld sample $model --seed 7 --length 300 >"$BATS_TEST_TMPDIR/a"
	unrolld sample $model --seed 7 -n 300 >"$BATS_TEST_TMPDIR/b"
	unrolld sample $model --seed 8 -n 300 >"$BATS_TEST_TMPDIR/c"
	cd "$BATS_TEST_TMPDIR"
	cmp a b
	differ a c
	[ "$(wc -c <a)" = 301 ]
	[ "$(wc -l <a)" -gt 3 ]
	grep -q "the quick" a
}

@test "a longer text begins as the shorter one" {
	short=$(unrolld sample $model --seed 7 -n 50; echo x)
	long=$(unrolld sample $model --seed 7 -n 100; echo x)
	short=${short%?x}
	[ ${#short} -ge 50 ]
	[[ "$long" == "$short"* ]]
}

@test "rounded weights make a text of their own" {
	for type in f32 bf16 int8; do
		unrolld sample $model --seed 7 -n 200 --weights $type \
			>"$BATS_TEST_TMPDIR/$type"
		unrolld sample $model --seed 7 -n 200 --weights $type |
			cmp - "$BATS_TEST_TMPDIR/$type"
		grep -q "the quick" "$BATS_TEST_TMPDIR/$type"
	done
	unrolld sample $model --seed 7 -n 200 | cmp - "$BATS_TEST_TMPDIR/f32"
}

@test "without a seed one is drawn and told" {
	unrolld sample $model -n 50 >"$BATS_TEST_TMPDIR/a" \
		2>"$BATS_TEST_TMPDIR/err"
	cd "$BATS_TEST_TMPDIR"
	seed=$(sed -n 's/^seed \([0-9]*\)$/\1/p' err)
	[ -n "$seed" ]
	unrolld sample "$OLDPWD/$model" -n 50 --seed "$seed" >b
	cmp a b
}

@test "temperature 0 is the likeliest, whatever the seed" {
	a=$(unrolld sample $model -t 0 -n 100 --seed 1)
	b=$(unrolld sample $model -t 0 -n 100 --seed 2)
	c=$(unrolld sample $model --top-k 1 -n 100 --seed 3)
	[ "$a" = "$b" ]
	[ "$a" = "$c" ]
}

@test "a prompt is echoed unless told otherwise, and continued" {
	a=$(unrolld sample $model -p "Line 12" -n 40 --seed 3)
	b=$(unrolld sample $model -p "Line 12" -n 40 --seed 3 --no-echo)
	[ "$a" = "Line 12$b" ]
	[ ${#b} -ge 38 ]
	printf 'Line 12' >"$BATS_TEST_TMPDIR/prompt"
	c=$(unrolld sample $model --prompt-file "$BATS_TEST_TMPDIR/prompt" \
		-n 40 --seed 3)
	[ "$a" = "$c" ]
	# What is learnt of the text after these words is all but certain.
	d=$(unrolld sample $model -p "the quick brown " -n 3 -t 0)
	[ "$d" = "the quick brown fox" ]
}

@test "a prompt counts as generated text does" {
	a=$(unrolld sample $model -t 0 -n 60; echo x)
	head=${a:0:30}
	b=$(unrolld sample $model -t 0 -n 30 --prompt "$head"; echo x)
	[ ${#a} -gt 60 ]
	[ "$a" = "$b" ]
}

@test "a stop text ends it and is not printed" {
	a=$(unrolld sample $model -p "Line 1" -t 0 -n 200 --stop fox \
		--stop never)
	[[ "$a" == "Line 1"*"brown " || "$a" == "Line 1"*"brown" ]]
	[[ "$a" != *fox* ]]
	# One that the end of the text only begins is printed.
	full=$(unrolld sample $model -p "the quick brown " -t 0 -n 2)
	b=$(unrolld sample $model -p "the quick brown " -t 0 -n 2 --stop fox)
	run unrolld sample $model --stop ''
	[ "$status" = 2 ]
	says "--stop is '', expected a text"
	[ "$full" = "$b" ]
}

@test "characters outside the vocabulary" {
	run unrolld sample $model -p "Linie é" --seed 1
	[ "$status" = 1 ]
	says "prompt: character 'é' (U+00E9) at character offset 6 is not in" \
		"vocabulary"
	run unrolld sample $model -p "Line é" --unknown skip --seed 1 -n 10
	[ "$status" = 0 ]
	says "1 characters of the prompt left out"
	a=$(unrolld sample $model -p "Line é" --unknown skip --seed 1 -n 10 \
		--no-echo 2>/dev/null)
	b=$(unrolld sample $model -p "Line " --seed 1 -n 10 --no-echo)
	[ "$a" = "$b" ]
	run unrolld sample $model -p $'L\xffi' --seed 1
	[ "$status" = 1 ]
	says "prompt" "UTF-8"
}

@test "what is wrong is named" {
	run unrolld sample
	[ "$status" = 2 ]
	says "expected one" "usage: unrolld sample MODEL"
	run unrolld sample $model --temperature -1
	[ "$status" = 2 ]
	says "--temperature" "'-1'"
	run unrolld sample $model --length 0
	[ "$status" = 2 ]
	says "--length" "'0'"
	run unrolld sample $model --top-p 2
	[ "$status" = 2 ]
	says "--top-p" "'2'"
	run unrolld sample $model --prompt a --prompt-file b
	[ "$status" = 2 ]
	says "exclude each other"
	run unrolld sample $model --prompt-file nowhere
	[ "$status" = 1 ]
	says "nowhere" "no such file"
	run unrolld sample nowhere.safetensors --seed 1
	[ "$status" = 1 ]
	says "nowhere.safetensors: no such file"
	[ "${#lines[@]}" = 1 ]
	head -c 1000 $model >"$BATS_TEST_TMPDIR/cut.safetensors"
	run unrolld sample "$BATS_TEST_TMPDIR/cut.safetensors" --seed 1
	[ "$status" = 1 ]
	says "cut.safetensors"
	run unrolld sample text --seed 1
	[ "$status" = 1 ]
	says "text: "
}

@test "a reader that leaves ends it" {
	timeout 60 bash -c "$loose '$exe' sample $model -n 1000000000 --seed 1 \
		| head -c 100" >"$BATS_TEST_TMPDIR/a"
	[ "$(wc -c <"$BATS_TEST_TMPDIR/a")" = 100 ]
}

@test "a full disk is an error" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c "$loose '$exe' sample $model -n 10 --seed 1 >/dev/full"
	[ "$status" = 1 ]
	says "standard output"
}
