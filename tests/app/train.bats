# `unrolld train` from a text to a checkpoint: what it prints, what it writes,
# and going on where it stopped.
# run: parallel

load train.bash

setup() {
	train_setup
}

@test "the lecture's preset prints what the lecture prints" {
	unrolld train text -o m.safetensors --preset min-char-rnn \
		--hidden 20 --max-steps 201 --threads 1 >out 2>err
	[ "$(head -1 out)" = "data has $characters characters, $distinct unique." ]
	[ "$(grep -c '^----$' out)" = 6 ]
	[ "$(grep '^iter ' out | cut -d, -f1 | tr '\n' ' ')" = \
		"iter 0 iter 100 iter 200 " ]
	grep -qE '^iter 0, loss: [0-9]+\.[0-9]{6}$' out
	# A first sample, then the loss of a model that knows nothing:
	# 25 ln V, the lecture's sum over a chunk.
	[ "$(sed -n 2p out)" = ---- ]
	awk -v v="$distinct" '/^iter 0,/ {
		exit !($4 > 25 * log(v) - .1 && $4 < 25 * log(v) + .1) }' out
	# A sample is 200 characters, between a space and a line of dashes.
	awk '/^----$/ { n++; next } n == 1 { text = text $0 "\n" }
		n == 2 { exit } END { exit length(text) != 203 }' out
}

@test "the lecture's numbers do not depend on what is shown" {
	for more in "--sample-every 0" "--progress none" "--threads 2"; do
		unrolld train text -o m.safetensors --preset min-char-rnn \
			--hidden 20 --max-steps 50 >/dev/null 2>&1
		unrolld train text -o n.safetensors --preset min-char-rnn \
			--hidden 20 --max-steps 50 $more >/dev/null 2>&1
		unrolld eval m.safetensors text >m
		unrolld eval n.safetensors text >n
		cmp m n
	done
}

# What a run's two files hold, but for the options that only say what to show.
same_run() {
	cmp "$1.safetensors" "$2.safetensors"
	cmp "$1.train.safetensors" "$2.train.safetensors"
}

@test "half and half again is the whole, to the bit" {
	for threads in 1 2; do
		for more in "--preset min-char-rnn --hidden 20" \
			"${small[*]} --averaging 0.9 --dropout 0.2" \
			"${small[*]} --cell gru --embedding 16 --tied
				--dropout-input 0.1 --accumulate 4
				--optimizer rmsprop --dtype bf16"; do
			unrolld train text -o whole.safetensors $more \
				--threads $threads --max-steps 150 \
				--progress none
			unrolld train text -o half.safetensors $more \
				--threads $threads --max-steps 75 \
				--progress none
			unrolld train text -o half.safetensors --resume \
				--threads $((3 - threads)) --max-steps 150
			same_run whole half
			rm ./*.safetensors
		done
	done
}

@test "the presets train" {
	for preset in min-char-rnn char-rnn small best; do
		run unrolld train text -o m.safetensors --preset $preset \
			--hidden 16 --seq-length 10 --batch 4 --max-steps 3 \
			--json
		[ "$status" = 0 ]
		unrolld eval m.safetensors text
	done
}

# Starts a run of its own and sends it SIGNAL once it trains.
interrupt() {
	local signal=$1 pid i

	shift
	$loose "$exe" train "$@" --log log --report-every 1 2>err &
	pid=$!
	for ((i = 0; i < 500; i++)); do
		[ ! -s log ] || break
		sleep 0.02
	done
	kill -"$signal" $pid
	rc=0
	wait $pid || rc=$?
}

@test "Ctrl-C saves, and the command that it prints goes on" {
	cp text "the user's text"
	interrupt TERM "the user's text" -o "a model.safetensors" \
		"${small[@]}" --epochs 100000 --save-every 1000000
	[ $rc = 143 ]
	[ -s "a model.safetensors" ] && [ -s "a model.train.safetensors" ]
	step=$(sed -n 's/.*interrupted at step \([0-9]*\); saved.*/\1/p' err)
	[ "$step" -gt 0 ]
	command=$(sed -n 's/.*To go on: unrolld //p' err)
	[ "$command" = \
		"train 'the user'\\''s text' -o 'a model.safetensors' --resume" ]
	eval "unrolld $command --max-steps $((step + 5)) --progress lines" 2>err
	grep -q "^step $((step + 5)) " err
	# All as if nothing had happened.
	unrolld train text -o whole.safetensors "${small[@]}" \
		--epochs 100000 --save-every 1000000 --max-steps $((step + 5)) \
		--progress none
	unrolld eval whole.safetensors text >whole
	unrolld eval "a model.safetensors" text >parts
	cmp whole parts
}

@test "SIGINT is Ctrl-C too, even where a shell ignored it" {
	interrupt INT text -o m.safetensors "${small[@]}" --epochs 100000
	[ $rc = 130 ]
	grep -q "interrupted at step .* unrolld train text -o m.safetensors" err
	[ -s m.train.safetensors ]
}

@test "standard input is a text" {
	unrolld train - -o a.safetensors "${small[@]}" --max-steps 20 \
		--progress none <text
	cat text | unrolld train - -o b.safetensors "${small[@]}" \
		--max-steps 20 --progress none
	unrolld train text -o c.safetensors "${small[@]}" --max-steps 20 \
		--progress none
	cmp a.safetensors b.safetensors
	cmp a.safetensors c.safetensors
}

@test "several texts are one, in order" {
	head -50 text >one
	tail -50 text >two
	unrolld train one two -o a.safetensors "${small[@]}" --max-steps 20 \
		--progress none
	unrolld train text -o b.safetensors "${small[@]}" --max-steps 20 \
		--progress none
	cmp a.safetensors b.safetensors
}

@test "a charset is decoded before it is learnt" {
	for i in {1..300}; do echo "Größe und Maße $i"; done >utf8
	iconv -t latin1 utf8 >latin1
	unrolld train utf8 -o a.safetensors "${small[@]}" --max-steps 5 \
		--progress none
	unrolld train latin1 -o b.safetensors "${small[@]}" --max-steps 5 \
		--encoding latin1 --progress none
	unrolld eval a.safetensors utf8 >a
	unrolld eval b.safetensors utf8 >b
	cmp a b
}

@test "bytes are a vocabulary too" {
	head -c 5000 "$exe" >binary
	run unrolld train binary -o m.safetensors "${small[@]}" \
		--tokenizer byte --encoding bytes --max-steps 5
	[ "$status" = 0 ]
	unrolld eval m.safetensors binary --encoding bytes
}

@test "a byte-order mark and old line ends change nothing" {
	printf '\xef\xbb\xbf' >bom
	cat text >>bom
	tr '\n' '\r' <text >cr
	sed 's/$/\r/' text >crlf
	unrolld train text -o a.safetensors "${small[@]}" --max-steps 5 \
		--progress none
	for other in bom cr crlf; do
		unrolld train $other -o b.safetensors "${small[@]}" \
			--max-steps 5 --progress none
		cmp a.safetensors b.safetensors
	done
}

@test "JSON lines say how training goes" {
	unrolld train text -o m.safetensors "${small[@]}" --max-steps 120 \
		--report-every 10 --sample-every 60 --json >out 2>err
	jq -es 'map(select(.loss and (.validation | not))) | length == 12 and
		all(.step and .epoch and .smooth_loss and .gradient_norm and
		.learning_rate and .tokens_per_second and .seconds)' out
	jq -es 'map(select(.sample)) | map(.step) == [0, 60] and
		all(.sample | length == 200)' out
	jq -es 'map(select(.validation)) | length >= 1' out
}

@test "the log is appended to, a JSON line for each report" {
	for steps in 20 40; do
		unrolld train text -o m.safetensors "${small[@]}" \
			--max-steps $steps --report-every 10 --log log \
			--progress none $([ $steps = 20 ] || echo --resume)
	done
	jq -es 'map(.step) == [10, 20, 30, 40]' log
	jq -es 'all(.loss and .smooth_loss)' log
}

@test "lines tell loss, speed and time left; the end tells the validation" {
	run unrolld train text -o m.safetensors "${small[@]}" --max-steps 30 \
		--progress lines
	[ "$status" = 0 ]
	says "$characters tokens, $distinct distinct; lstm 1x16" "step 30 epoch" \
		"tok/s ETA" "m.safetensors: validation " "last 10% of the text"
}

@test "samples are made of the text's characters" {
	unrolld train text -o m.safetensors "${small[@]}" --max-steps 3 \
		--sample-every 1 --sample-length 1000 --json >out
	jq -rj 'select(.sample) | .sample' out | fold -w1 | sort -u >used
	fold -w1 text | sort -u >known
	[ -z "$(comm -23 used known)" ]
}

@test "--from goes on from another model's weights and vocabulary" {
	unrolld train text -o base.safetensors "${small[@]}" --max-steps 200 \
		--optimizer adam --learning-rate 0.01 --schedule constant \
		--averaging 0 --progress none
	head -20 text >other
	unrolld train other -o tuned.safetensors --from base.safetensors \
		--batch 2 --seq-length 8 --max-steps 1 --sample-every 0 \
		--progress none
	unrolld inspect tuned.safetensors | grep -q 16
	unrolld eval base.safetensors text --json | jq .nats_per_token >before
	unrolld eval tuned.safetensors text --json | jq .nats_per_token >after
	# One step away, and far from a model that knows nothing.
	paste before after | awk -v v="$distinct" '{
		exit !($1 < log(v) - .5 && $2 < log(v) - .5) }'
	run unrolld train text -o t.safetensors --from base.safetensors \
		--hidden 17
	[ "$status" = 1 ]
	says "--hidden is '17', but base.safetensors has '16'"
	echo "日本" >>other
	run unrolld train other -o t.safetensors --from base.safetensors
	[ "$status" = 1 ]
	says "'日' (U+65E5)"
	run unrolld train other -o t.safetensors --from base.safetensors \
		--unknown skip --batch 2 --seq-length 8 --max-steps 1
	[ "$status" = 0 ]
	says "2 characters outside the vocabulary left out"
}

@test "early stopping ships the best, and says what it never saw" {
	run unrolld train text -o m.safetensors "${small[@]}" --epochs 12 \
		--early-stop 0.1 --learning-rate 0.02 --averaging 0 \
		--schedule constant --json --report-every 1000000
	[ "$status" = 0 ]
	best=$(jq -s 'map(select(.validation).validation) | min' \
		<<<"$(grep '^{' <<<"$output")")
	# The text without its last tenth, as streams, and of each the last
	# tenth.
	local batch=4 # as in small
	stride=$(((characters - characters / 10) / batch))
	for ((b = 0; b < batch; b++)); do
		head -c $(((b + 1) * stride)) text | tail -c $((stride / 10)) \
			>unseen
		unrolld eval m.safetensors unseen --json | jq .nats_per_token
	done | awk '{ sum += $1 } END { print sum / NR }' >got
	awk -v best="$best" '{ d = $1 - best; exit !(d * d < 1e-6) }' got
}
