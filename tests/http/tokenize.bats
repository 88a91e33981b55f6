# Text to tokens and back over HTTP, in JSON and raw in other charsets.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	{
		cat "$BATS_FILE_TMPDIR/models/text"
		echo once
	} >"$BATS_FILE_TMPDIR/words"
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/words" \
		-o "$BATS_FILE_TMPDIR/models/words.safetensors" \
		--tokenizer word --min-count 2 --hidden 8 --layers 1 --batch 2 \
		--seq-length 8 --max-steps 3 --progress none
	for _ in 1 2 3 4 5 6; do echo 'größe 中文 été'; done >"$BATS_FILE_TMPDIR/umlauts"
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/umlauts" \
		-o "$BATS_FILE_TMPDIR/models/umlauts.safetensors" \
		--tokenizer char --hidden 8 --layers 1 --batch 2 \
		--seq-length 8 --max-steps 3 --progress none
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/umlauts" \
		-o "$BATS_FILE_TMPDIR/models/bytes.safetensors" \
		--tokenizer byte --hidden 8 --layers 1 --batch 2 \
		--seq-length 8 --max-steps 3 --progress none
}

@test "there and back again" {
	start
	post /v1/tokenize '{"model": "words", "text": "ROMEO: the quick brown fox, why then"}'
	expect "$status" 200
	expect "$(field '[.object, .model, .count, .characters, .unknown_tokens, .encoding] | map(tostring) | join(" ")')" \
		"tokens words 9 36 1 utf-8"
	local tokens=$(field '.tokens | @json')
	post /v1/detokenize "{\"model\": \"words\", \"tokens\": $tokens}"
	expect "$status" 200
	expect "$(field .text)" "ROMEO: the quick brown fox,<unk> then"
	post /v1/tokenize '{"model": "words", "text": "ROMEO: the", "texts": true}'
	expect "$(field '.texts | @json')" '["ROMEO",":"," the"]'
	post /v1/tokenize '{"model": "tiny", "text": ""}'
	expect "$(field '[.count, (.tokens | length)] | @json')" "[0,0]"
	post /v1/detokenize '{"model": "tiny", "tokens": []}'
	expect "$(field .text)" ""
}

@test "characters that bytes cut are whole again" {
	start
	post /v1/tokenize '{"model": "bytes", "text": "ß中", "texts": true}'
	expect "$(field '.tokens | @json')" "[195,159,228,184,173]"
	expect "$(field '.texts | unique | @json')" '["�"]'
	post /v1/detokenize '{"model": "bytes", "tokens": [195,159,228,184,173,228,184]}'
	expect "$(field .text)" "ß中�"
}

raw() {
	printf "$1" >"$BATS_TEST_TMPDIR/raw"
	request POST "/v1/tokenize?model=umlauts&texts=true$2" \
		-H "Content-Type: $3" --data-binary "@$BATS_TEST_TMPDIR/raw"
}

@test "a raw text in its charset" {
	start
	raw 'gr\xf6\xdfe' "" "text/plain; charset=latin1"
	expect "$status" 200
	expect "$(field '[(.texts | join("")), .encoding] | join(" ")')" "größe latin1"
	raw '\xd6\xd0\xce\xc4' "&encoding=gbk" "application/octet-stream"
	expect "$(field '.texts | join("")')" "中文"
	raw '\xd6\xd0\xce\xc4' "&encoding=auto" "text/plain"
	expect "$(field '[(.texts | join("")), .encoding] | join(" ")')" "中文 gb18030"
	raw 'gr\xc3\xb6\xc3\x9fe' "&encoding=auto" "text/plain"
	expect "$(field '[(.texts | join("")), .encoding] | join(" ")')" "größe utf-8"
	raw 'gr\xc3\xb6\xc3\x9fe' "" "text/plain"
	expect "$(field '.texts | join("")')" "größe"
	raw 'gr\xf6\xdfe' "" "text/plain"
	expect_error 422 encoding invalid_encoding "invalid UTF-8 at byte 2: 0xf6"
	raw 'gr\xf6\xdfe' "&encoding_errors=skip" "text/plain"
	expect "$(field '[(.texts | join("")), .encoding_errors] | map(tostring) | join(" ")')" "gre 2"
	raw 'gr' "&encoding=klingon" "text/plain"
	expect_error 400 encoding invalid_value "unknown charset"
	raw 'gr' "&encoding_errors=maybe" "text/plain"
	expect_error 400 encoding_errors invalid_value "strict|replace|skip"
	request POST "/v1/tokenize?texts=maybe" -H "Content-Type: text/plain" -d x
	expect_error 400 texts invalid_value "texts is"
	raw 'gr' "&color=red" "text/plain"
	expect_error 400 color invalid_value "unknown query parameter"
	raw 'gr' "" "text/html"
	expect "$status" 415
}

@test "what is wrong is named" {
	start
	post /v1/tokenize '{"model": "tiny"}'
	expect_error 400 text invalid_value "text is missing"
	post /v1/tokenize '{"model": "tiny", "text": 7}'
	expect_error 400 text invalid_value "text is"
	post /v1/tokenize '{"model": "nope", "text": "a"}'
	expect_error 404 model model_not_found "nope"
	post /v1/tokenize '{"model": "tiny", "text": "ü"}'
	expect_error 422 text unknown_character "ü"
	post /v1/tokenize '{"model": "tiny", "text": "Rü", "unknown": "skip"}'
	expect "$(field '[.count, .skipped_characters] | @json')" "[1,1]"
	post /v1/detokenize '{"model": "tiny"}'
	expect_error 400 tokens invalid_value "tokens is missing"
	post /v1/detokenize '{"model": "tiny", "tokens": "1 2"}'
	expect_error 400 tokens invalid_value "expected an array"
	post /v1/detokenize '{"model": "tiny", "tokens": [1, -1]}'
	expect_error 400 tokens invalid_value "tokens[1] is the integer -1"
	post /v1/detokenize '{"model": "tiny", "tokens": [1, 99999]}'
	expect_error 400 tokens invalid_value "tokens[1] is 99999, expected 0 to"
}

@test "a session of words goes on, and never says <unk>" {
	start
	post /sample '{"model": "words", "prompt": "JULIET: oh zebra", "length": 300, "seed": 4}'
	expect "$status" 200
	[[ "$(field .text)" != *"<unk>"* ]]
	post /sample '{"model": "words", "prompt": "zebra", "length": 3, "unknown": "error"}'
	expect_error 422 prompt unknown_character "zebra"
	# A stop text may begin in one token and end in another.
	post /sample '{"model": "words", "prompt": "ROMEO: the quick brown", "length": 200, "seed": 1, "temperature": 2}'
	local text=$(field .text)
	local stop=${text:20:9}
	post /sample "$(jq -nc --arg stop "$stop" '{model: "words", prompt: "ROMEO: the quick brown", length: 200, seed: 1, temperature: 2, stop: [$stop]}')"
	expect "$(field .finish_reason)" stop
	expect "$(field .text)" "${text%%"$stop"*}"
}
