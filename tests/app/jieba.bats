# The jieba tokenizer from the command line: the lecture's run on a GBK text,
# and what its dictionary's absence, damage or change says.
# run: parallel

load train.bash

setup() {
	dictionary=${exe%/*}/jieba.dict
	[ -f "$dictionary" ] || skip "no python3-jieba was there at make"
	cd "$BATS_TEST_TMPDIR"
	for i in {1..60}; do
		echo "北京大学生前来应聘，小明硕士毕业于中国科学院计算所$i。"
		echo "春眠不觉晓，处处闻啼鸟。C++ 3.14%"
	done >text
}

jieba() {
	unrolld train text -o j.safetensors "${small[@]}" --tokenizer jieba \
		--max-steps 10 --progress none "$@"
}

# A dictionary of other words.
other() {
	mkdir -p from/finalseg
	printf '北京 5 ns\n大学 3 n\n' >from/dict.txt
	printf "P={'B': -0.3, 'S': -1.4}\n" >from/finalseg/prob_start.py
	printf "P={'B': {'E': -0.5}}\n" >from/finalseg/prob_trans.py
	printf "P={'B': {'\\\\u4e00': -3.6}}\n" >from/finalseg/prob_emit.py
	unrolld dictionary --from from -o other.dict
}

@test "the lecture's run, one command on a GBK text" {
	iconv -f utf-8 -t gbk text >poems.gbk
	unrolld train poems.gbk --encoding gbk --tokenizer jieba \
		--preset min-char-rnn --max-steps 30 -o j.safetensors >out
	head -1 out
	grep -q '^data has [0-9]* [a-z]*, [0-9]* unique' out
	grep -q '^iter 0, loss: ' out
	unrolld inspect j.safetensors >out
	grep -q 'tokenizer     jieba, vocabulary [0-9]*, start' out
	unrolld sample j.safetensors -p "北京" -n 5 --seed 1 >out
	grep -q '^北京' out
}

@test "the shipped model of Tang poems speaks" {
	model=$BATS_TEST_DIRNAME/../../conf/models/tang.safetensors
	unrolld sample "$model" -p 春风 -n 40 --seed 1 >a
	unrolld sample "$model" -p 春风 -n 40 --seed 1 >b
	cmp a b
	grep -q '^春风' a
	grep -q '。' a
	! grep -q '<unk>' a
	[ "$(wc -c <"$model")" -lt 4000000 ]
}

@test "words are cut as python-jieba cuts them" {
	jieba
	printf '北京大学生前来应聘，小明硕士毕业于' >t
	unrolld tokenize j.safetensors t --texts |
		cut -f2- >out
	diff - <(grep -o '"[^"]*"' out) <<-END
		"北京"
		"大学生"
		"前来"
		"应聘"
		"，"
		"小明"
		"硕士"
		"毕业"
		"于"
	END
}

@test "without the model of new words, and with words of one's own" {
	jieba --no-jieba-hmm
	printf '小明' >t
	[ "$(unrolld tokenize j.safetensors t | wc -w)" = 2 ]
	printf '闻啼鸟 5 n\n大学 0\n' >words
	jieba --jieba-user-dict words
	printf '闻啼鸟' >t
	[ "$(unrolld tokenize j.safetensors t | wc -w)" = 1 ]
	unrolld train text -o j.safetensors --resume --max-steps 20 \
		--progress none
	[ "$(unrolld tokenize j.safetensors t | wc -w)" = 1 ]
	run jieba --jieba-user-dict nowhere
	[ "$status" = 1 ]
	says "nowhere: no such file"
	printf '好 3\n\xff\n' >words
	run jieba --jieba-user-dict words
	[ "$status" = 1 ]
	says "words:2: not UTF-8"
	run unrolld train text -o c.safetensors "${small[@]}" \
		--jieba-user-dict words
	[ "$status" = 1 ]
	says "tokenizer char takes no jieba-user-dict"
}

@test "a missing, corrupt or other dictionary is named" {
	jieba
	UNROLLD_JIEBA_DICTIONARY=$dictionary unrolld inspect j.safetensors
	export UNROLLD_JIEBA_DICTIONARY=$PWD/none.dict
	run unrolld sample j.safetensors
	[ "$status" = 1 ]
	says "none.dict: no such file"
	run jieba
	[ "$status" = 1 ]
	says "none.dict: no such file"
	cp "$dictionary" none.dict
	printf X | dd of=none.dict bs=1 seek=100000 conv=notrunc status=none
	run unrolld sample j.safetensors
	[ "$status" = 1 ]
	says "none.dict: its checksum is"
	truncate -s 1000 none.dict
	run unrolld sample j.safetensors
	[ "$status" = 1 ]
	says "none.dict: 1000 bytes, but its header says"
	other
	export UNROLLD_JIEBA_DICTIONARY=$PWD/other.dict
	run unrolld sample j.safetensors
	[ "$status" = 1 ]
	says "trained with the jieba dictionary of hash" "other.dict has"
	# Other tokenizers don't need one.
	unrolld train text -o c.safetensors "${small[@]}" --max-steps 2 \
		--progress none
}

@test "where there was no python3-jieba, it says what is missing" {
	mkdir bin
	cp "$exe" bin/unrolld
	exe=$PWD/bin/unrolld
	run jieba
	[ "$status" = 1 ]
	says "needs its compiled dictionary, jieba.dict" "install python3-jieba"
	mkdir -p share/unrolld
	cp "$dictionary" share/unrolld/
	jieba
}

@test "dictionary says what is wrong with its sources" {
	other
	run unrolld dictionary
	[ "$status" = 2 ]
	says "expected -o FILE"
	run unrolld dictionary --from nowhere -o x.dict
	[ "$status" = 1 ]
	says "nowhere/dict.txt: no such file"
	printf '北京\n' >bad
	run unrolld dictionary --from from --words bad -o x.dict
	[ "$status" = 1 ]
	says "bad:1: no word or no frequency"
	[ ! -e x.dict ]
}
