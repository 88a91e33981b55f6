# A model of Chinese words behind HTTP: its tokens, whole characters in streams,
# and what becomes of it when its dictionary is not there.

load daemon

setup_file() {
	[ -f "${exe%/*}/jieba.dict" ] || return 0
	for _ in {1..20}; do
		echo "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"
		echo "小明硕士毕业于中国科学院计算所 3.14%"
	done >"$BATS_FILE_TMPDIR/text"
	mkdir "$BATS_FILE_TMPDIR/models"
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/text" \
		-o "$BATS_FILE_TMPDIR/models/tang.safetensors" \
		--tokenizer jieba --hidden 16 --layers 1 --batch 2 \
		--seq-length 8 --max-steps 10 --progress none
}

setup() {
	[ -f "${exe%/*}/jieba.dict" ] || skip "no python3-jieba was there at make"
}

@test "words there and back, and a stream of whole characters" {
	start
	post /v1/tokenize '{"model": "tang", "text": "小明毕业于中国科学院计算所", "texts": true}'
	expect "$status" 200
	expect "$(field '.texts | join(" ")')" "小明 毕业 于 中国科学院 计算所"
	local tokens=$(field '.tokens | @json')
	post /v1/detokenize "{\"model\": \"tang\", \"tokens\": $tokens}"
	expect "$(field .text)" "小明毕业于中国科学院计算所"
	post /sample '{"prompt": "春眠", "length": 50, "seed": 4}'
	expect "$status" 200
	local whole=$(field .text)
	expect "$(curl -sSN "$url/sample" -H 'Content-Type: application/json' \
		-d '{"prompt": "春眠", "length": 50, "seed": 4, "stream": true}' |
		stream_text)" "$whole"
	post /sample '{"prompt": "猿声", "length": 5}'
	expect "$status" 422
	[[ "$(field .error.message)" == *'"猿声" at character offset 0'* ]]
}

@test "a daemon without the dictionary says which one it needs" {
	export UNROLLD_JIEBA_DICTIONARY=$BATS_TEST_TMPDIR/none.dict
	run start
	[ "$status" != 0 ] || stop
	grep -q "none.dict: no such file" "$BATS_TEST_TMPDIR/err"
}
