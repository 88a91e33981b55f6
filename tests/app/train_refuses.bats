# What `unrolld train` is given wrong: a clear error that names it, and nothing
# lost.
# run: parallel

load train.bash

setup() {
	train_setup
}

# fails STATUS TEXT... -- ARGUMENTS: training fails so, and says these.
fails() {
	local rc=$1 texts=()

	shift
	while [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	shift
	run unrolld train "$@"
	[ "$status" = "$rc" ] || {
		echo "status $status, expected $rc: $output"
		return 1
	}
	says "${texts[@]}"
}

@test "an empty text" {
	: >empty
	fails 1 "empty: the text is empty" -- empty -o m.safetensors
	fails 1 "the text is empty" -- - -o m.safetensors </dev/null
	[ ! -e m.safetensors ]
}

@test "one character, however often" {
	printf a >one
	fails 1 "the text has 1 distinct token, expected 2 or more" -- \
		one -o m.safetensors
	printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' >ones
	fails 1 "1 distinct token" -- ones -o m.safetensors
}

@test "a text shorter than a chunk" {
	printf 'abcdefghij' >short
	fails 1 "the text has 10 tokens" "seq-length 16" -- \
		short -o m.safetensors "${small[@]}"
	fails 1 "the text has 10 tokens" "of 1 rows" "seq-length 25" -- \
		short -o m.safetensors --preset min-char-rnn
	# Just long enough.
	run unrolld train short -o m.safetensors --preset min-char-rnn \
		--seq-length 9 --max-steps 3
	[ "$status" = 0 ]
}

@test "invalid UTF-8, with its offset" {
	printf 'abc\xff\xfedef' >bad
	fails 1 "bad: invalid UTF-8 at byte 3: 0xff" -- bad -o m.safetensors
	(head -c 100000 /dev/zero | tr '\0' a; printf '\xe6\x97') >cut
	fails 1 "cut: UTF-8 is cut at its end: byte 100000" -- cut -o m.safetensors
}

@test "a text that is not there, or a directory" {
	fails 1 "nowhere: " "no such file" -- nowhere -o m.safetensors
	fails 1 ". : " -- ". " -o m.safetensors
	mkdir d
	fails 1 "d: " -- d -o m.safetensors
}

@test "an output that can't be written, before any training" {
	mkdir -p d/there.safetensors
	fails 1 "nowhere/m.safetensors" "No such file or directory" -- \
		text -o nowhere/m.safetensors --progress lecture
	[[ "$output" != *"data has"* ]]
	fails 1 "there.safetensors" -- text -o d/there.safetensors \
		"${small[@]}" --max-steps 1
	fails 1 "--log nowhere/log" -- text -o m.safetensors --log nowhere/log
	if [ "$(id -u)" != 0 ]; then
		mkdir locked
		chmod 555 locked
		fails 1 "locked/m.safetensors" -- text -o locked/m.safetensors
	fi
}

@test "an output that is the text" {
	cp text copy
	ln -s copy link
	fails 1 "-o link is the text itself" -- text copy -o link
	cmp text copy
}

@test "unknown names, each with what is known" {
	fails 2 "--preset is 'huge', expected min-char-rnn, char-rnn" -- \
		text -o m.safetensors --preset huge
	fails 1 "cell is 'cnn', expected rnn, lstm or gru" -- \
		text -o m.safetensors --cell cnn
	fails 1 "optimizer is 'adamax', expected adagrad, rmsprop, adam" -- \
		text -o m.safetensors --optimizer adamax
	fails 1 'tokenizer: kind "wordy", expected one of ' -- \
		text -o m.safetensors --tokenizer wordy
	fails 1 'encoding: unknown charset "klingon"' -- \
		text -o m.safetensors --encoding klingon
}

@test "a wrong name is known before a text is read" {
	mkfifo endless
	for wrong in "--cell cnn" "--optimizer adamax" --tied; do
		# Who opens it waits, since nobody writes.
		fails 1 "${wrong:2:4}" -- endless -o m.safetensors $wrong
	done
}

@test "unknown options and bad values" {
	fails 2 "unknown option '--max-stps', did you mean '--max-steps'?" -- \
		text -o m.safetensors --max-stps 5
	fails 2 "--max-steps is 'x', expected an unsigned integer" -- \
		text -o m.safetensors --max-steps x
	fails 2 "--hidden" "'0'" -- text -o m.safetensors --hidden 0
	fails 2 "--layers" "'9'" -- text -o m.safetensors --layers 9
	fails 2 "--dropout" "'1'" -- text -o m.safetensors --dropout 1
	fails 2 "--learning-rate" "'-1'" -- \
		text -o m.safetensors --learning-rate -1
	fails 2 "--learning-rate" "'nan'" -- \
		text -o m.safetensors --learning-rate nan
	fails 2 "--clip" "'maybe'" "none" "value" "norm" -- \
		text -o m.safetensors --clip maybe
	fails 2 "no text named" -- -o m.safetensors
	fails 2 "no output named" -- text
	fails 1 "tied" "embedding is 0 and hidden is 16" -- \
		text -o m.safetensors "${small[@]}" --tied
	fails 1 "dropout-input is 0.5" "one-hot" -- \
		text -o m.safetensors "${small[@]}" --dropout-input 0.5
	fails 1 "early-stop" "--validation-split tail" -- \
		text -o m.safetensors "${small[@]}" --early-stop 0.1 \
		--validation-split stream
	[ ! -e m.safetensors ]
}

train_base() {
	unrolld train text -o m.safetensors "${small[@]}" --max-steps 20 \
		--progress none "$@"
	cp m.safetensors old
	cp m.train.safetensors old.train
}

# The run's files are what they were.
kept() {
	cmp old m.safetensors
	cmp old.train m.train.safetensors
	unrolld eval m.safetensors text >/dev/null
	[ -z "$(find . -name '*.tmp*' -o -name '.*.safetensors*')" ]
}

@test "resuming with another text or other options" {
	train_base
	head -90 text >other
	fails 1 "the hash of the text is" "on text of hash" -- \
		other -o m.safetensors --resume
	fails 1 "--hidden is '17'" "has '16'" -- \
		text -o m.safetensors --resume --hidden 17
	fails 1 "--optimizer is 'sgd'" -- \
		text -o m.safetensors --resume --optimizer sgd
	fails 1 "--seed is '2'" -- text -o m.safetensors --resume --seed 2
	fails 2 "--from and --resume exclude each other" -- \
		text -o m.safetensors --resume --from m.safetensors
	fails 1 "--resume: " "n.train.safetensors: " "no such file" -- \
		text -o n.safetensors --resume
	kept
	# The same option again is no contradiction.
	run unrolld train text -o m.safetensors --resume --hidden 16 \
		--max-steps 21
	[ "$status" = 0 ]
}

@test "resuming what is cut short or damaged" {
	train_base
	head -c 500 old.train >m.train.safetensors
	fails 1 "m.train.safetensors" -- text -o m.safetensors --resume
	: >m.train.safetensors
	fails 1 "m.train.safetensors" -- text -o m.safetensors --resume
	cp old m.train.safetensors
	fails 1 "m.train.safetensors" "unrolld_training is missing" -- \
		text -o m.safetensors --resume
	cp old.train m.train.safetensors
	head -c 500 old >m.safetensors
	fails 1 "m.safetensors" -- text -o m.safetensors --resume
	rm m.safetensors
	fails 1 "m.safetensors: " "no such file" -- \
		text -o m.safetensors --resume
	fails 1 "nowhere.safetensors: " "no such file" -- \
		text -o n.safetensors --from nowhere.safetensors
}

@test "a learning rate that diverges: the step is named, the last good kept" {
	train_base
	fails 1 "at step 8: rnn.weight_ih_l0 is not finite" -- \
		text -o m.safetensors "${small[@]}" --optimizer sgd \
		--learning-rate 1e6 --weight-decay 1 --schedule constant
	kept
	# The last update's harm, which no loss has shown yet.
	fails 1 "step 7: " "rnn.weight_ih_l0" -- \
		text -o m.safetensors "${small[@]}" --optimizer sgd \
		--learning-rate 1e6 --weight-decay 1 --schedule constant \
		--max-steps 7
	kept
	# What was saved on the way is good, and can be gone on from.
	fails 1 "at step 8" -- text -o n.safetensors "${small[@]}" \
		--optimizer sgd --learning-rate 1e6 --weight-decay 1 \
		--schedule constant --save-every 3
	unrolld eval n.safetensors text >/dev/null
	run unrolld train text -o n.safetensors --resume --max-steps 6 --json
	[ "$status" = 0 ]
}

@test "a disk that is full while saving: the old checkpoint is intact" {
	train_base --hidden 64
	# Sizes in KiB: the checkpoint (100 KB) fits in neither.
	for limit in 1 40; do
		run bash -c "ulimit -f $limit; trap '' XFSZ
			exec timeout 60 $loose '$exe' train text \
			-o m.safetensors --resume --max-steps 30 --progress none"
		[ "$status" = 1 ]
		says "m.safetensors" "File too large"
		kept
	done
}

@test "a full file system: the old checkpoint is intact" {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir disk
	mount -t tmpfs -o size=256k none disk 2>/dev/null ||
		skip "may not mount"
	unrolld train text -o disk/m.safetensors "${small[@]}" \
		--max-steps 5 --progress none || failed=1
	cp disk/m.safetensors old || failed=1
	cp disk/m.train.safetensors old.train || failed=1
	head -c 300000 /dev/zero >disk/filler 2>/dev/null || true
	run unrolld train text -o disk/m.safetensors --resume --max-steps 9 \
		--progress none
	cmp old disk/m.safetensors || failed=1
	cmp old.train disk/m.train.safetensors || failed=1
	rm disk/filler
	unrolld train text -o disk/m.safetensors --resume --max-steps 9 \
		--progress none || failed=1
	umount disk
	[ "${failed:-0}" = 0 ]
	[ "$status" = 1 ]
	says "No space left on device" "m.safetensors"
}
