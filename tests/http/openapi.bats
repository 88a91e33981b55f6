# The contract: /openapi.json, every example of it, and every answer.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	echo '{"image": "tall.jpg", "caption": "a tall picture"}' \
		>"$BATS_FILE_TMPDIR/lines.jsonl"
	"${loose[@]}" "$exe" train-caption "$BATS_FILE_TMPDIR/lines.jsonl" \
		--images "$BATS_TEST_DIRNAME/../golden/images" \
		-o "$BATS_FILE_TMPDIR/models/pictures.safetensors" --hidden 16 \
		--embedding 8 --threads 1 --max-steps 3 \
		2>"$BATS_FILE_TMPDIR/caption.log"
}

@test "every example is taken, and every answer is of its schema" {
	start
	run -0 python3 "$BATS_TEST_DIRNAME/openapi.py" "$url"
	echo "$output"
}

@test "what has a schema or a scope is a row of the table" {
	start
	request GET /openapi.json
	expect "$(field .openapi)" 3.1.0
	expect "$(field '[.paths[][] | has("x-scope")] | all')" true
	# Every reference leads somewhere.
	expect "$(field '[.. | objects | .["$ref"]? | strings | ltrimstr("#/") | split("/")] as $r | . as $d | [$r[] | . as $p | $d | getpath($p) != null] | all')" true
	expect "$(field '[.paths["/sample", "/v1/completions"].post.responses["200"].content | has("text/event-stream")] | all')" true
	# Unknown names: OpenAI's route passes them over, ours do not.
	expect "$(field '.paths["/v1/completions"].post.requestBody.content["application/json"].schema.additionalProperties')" true
	expect "$(field '.paths["/sample"].post.requestBody.content["application/json"].schema.additionalProperties')" false
	# A form's file is bytes, in JSON it is base64.
	expect "$(field '.paths["/v1/captions"].post.requestBody.content | [.["application/json", "multipart/form-data"].schema.properties.image | .contentEncoding // .format] | join(" ")')" \
		"base64 binary"
}

@test "who has the document is told so" {
	start
	request GET /openapi.json
	local tag=$(sed -n 's/^ETag: //p' <<<"$head")
	[ -n "$tag" ]
	cp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/first"
	request GET /openapi.json
	cmp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/first"
	request GET /openapi.json -H "If-None-Match: $tag"
	expect "$status" 304
	expect "$(sed -n 's/^ETag: //p' <<<"$head")" "$tag"
	request GET /openapi.json -H 'If-None-Match: W/"another"'
	expect "$status" 200
	request HEAD /openapi.json -I
	expect "$status" 200
}
