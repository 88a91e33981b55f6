# POST /v1/captions with a captioner that has learnt three pictures: as JSON and
# as a form, what is refused and why, beside text models, many at once, and as
# the beginning of a text.

load daemon

setup_file() {
	local images=$BATS_TEST_DIRNAME/../golden/images

	make_model "$BATS_FILE_TMPDIR/text" tiny
	cat >"$BATS_FILE_TMPDIR/lines.jsonl" <<-EOF
		{"image": "colour.png", "caption": "a broad picture"}
		{"image": "tall.jpg", "caption": "a tall picture"}
		{"image": "grey.jpg", "caption": "nothing but grey"}
	EOF
	"${loose[@]}" "$exe" train-caption "$BATS_FILE_TMPDIR/lines.jsonl" \
		--images "$images" -o "$BATS_FILE_TMPDIR/pictures.safetensors" \
		--hidden 64 --embedding 16 --threads 1 --epochs 300 \
		--max-steps 200 --learning-rate 0.005 --warmup 5 \
		2>"$BATS_FILE_TMPDIR/caption.log"
	mkdir "$BATS_FILE_TMPDIR/models"
	cp "$BATS_FILE_TMPDIR/text/tiny.safetensors" \
		"$BATS_FILE_TMPDIR/pictures.safetensors" \
		"$BATS_FILE_TMPDIR/models"
}

setup() {
	images=$BATS_TEST_DIRNAME/../golden/images
	dir=$BATS_TEST_TMPDIR
}

# body IMAGE [JSON FIELDS]
body() {
	printf '{"image": "%s"%s}' "$(base64 -w0 "$images/$1")" "${2:+, $2}"
}

# form CURL -F ARGUMENT...
form() {
	local all=() part

	for part in "$@"; do
		all+=(-F "$part")
	done
	request POST /v1/captions "${all[@]}"
}

# png WIDTH HEIGHT: a header that says so, and a row.
png() {
	python3 - "$1" "$2" <<-'EOF'
		import struct, sys, zlib
		def chunk(kind, data):
		    body = kind + data
		    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
		size = struct.pack(">II", int(sys.argv[1]), int(sys.argv[2]))
		sys.stdout.buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0")
		    + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b""))
	EOF
}

@test "an image is described" {
	start
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 200
	expect "$(field '[.object, .model, (.choices | length), .choices[0].text, .choices[0].tokens, .choices[0].finish_reason] | map(tostring) | join(" ")')" \
		"captions pictures 1 a tall picture 3 stop"
	expect "$(field '.usage | tojson')" '{"images":1,"completion_tokens":3}'
	post /v1/captions "$(body grey.jpg '"n": 3, "beam": 5')"
	expect "$status" 200
	expect "$(field '.choices[0].text')" "nothing but grey"
	expect "$(field '.choices | length == 3 and .[0].logprob > .[1].logprob')" true
	expect "$(field .usage.completion_tokens)" \
		"$(field '[.choices[].tokens] | add')"
	post /v1/captions "$(body grey.jpg '"max_length": 2')"
	expect "$(field '.choices[0] | [.text, .tokens, .finish_reason] | map(tostring) | join(" ")')" \
		"nothing but 2 length"
}

@test "drawn captions repeat with their seed, and differ with others" {
	start
	post /v1/captions "$(body grey.jpg '"n": 4, "beam": 0, "temperature": 3, "seed": 7')"
	expect "$status" 200
	first=$(field '.choices')
	post /v1/captions "$(body grey.jpg '"n": 4, "beam": 0, "temperature": 3, "seed": "7"')"
	expect "$(field '.choices')" "$first"
	post /v1/captions "$(body grey.jpg '"n": 4, "beam": 0, "temperature": 3, "seed": 8')"
	[ "$(field '.choices')" != "$first" ]
	post /v1/captions "$(body grey.jpg '"beam": 0, "temperature": 0')"
	expect "$(field '.choices[0].text')" "nothing but grey"
}

@test "a form says the same as JSON" {
	start
	post /v1/captions "$(body grey.jpg '"n": 3, "beam": 5, "length_power": 0.5')"
	expected=$(field .choices)
	form n=3 "image=@$images/grey.jpg" beam=5 length_power=0.5
	expect "$status" 200
	expect "$(field .choices)" "$expected"
	post /v1/captions "$(body grey.jpg '"beam": 0, "seed": "18446744073709551615"')"
	expected=$(field .choices)
	form beam=0 seed=18446744073709551615 "image=@$images/grey.jpg"
	expect "$(field .choices)" "$expected"
	form "image=@$images/tall.jpg" model=pictures
	expect "$(field '.choices[0].text')" "a tall picture"
	form beam=2
	expect_error 400 image invalid_value "image is missing, expected a JPEG or PNG"
	form "image=@$images/tall.jpg" beam=three
	expect_error 400 beam invalid_value \
		'beam is a string ("three"), expected an integer from 0 to 64'
	form "image=@$images/tall.jpg" "image=@$images/grey.jpg"
	expect_error 400 image invalid_value "image is given twice"
	form "picture=@$images/tall.jpg"
	expect_error 400 picture invalid_value "unknown field 'picture', expected some of: image "
	request POST /v1/captions -H 'Content-Type: multipart/form-data; boundary=x' \
		--data-binary $'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nhalf'
	expect_error 400 null invalid_value "it ends before its last boundary"
	request POST /v1/captions -H 'Content-Type: image/jpeg' \
		--data-binary "@$images/tall.jpg"
	expect "$status" 415
}

@test "what is no image is a 4xx that says why" {
	start
	post /v1/captions '{"image": "bm8gaW1hZ2U="}'
	expect_error 400 image invalid_value "8 bytes that are neither JPEG nor PNG"
	for wrong in '%%%' 'bm8gaW1hZ2U' 'bm8g aW1h' '===='; do
		post /v1/captions "{\"image\": \"$wrong\"}"
		expect_error 400 image invalid_value "is not base64"
	done
	post /v1/captions '{}'
	expect_error 400 image invalid_value "image is missing"
	post /v1/captions '{"image": 7}'
	expect_error 400 image invalid_value "image is the integer 7, expected a string"
	post /v1/captions "$(body tall.jpg '"beam": 65')"
	expect_error 400 beam invalid_value "beam is the integer 65, expected an integer from 0 to 64"
	post /v1/captions "$(body tall.jpg '"picture": 1')"
	expect_error 400 picture invalid_value "unknown field"
	head -c 1500 "$images/colour.jpg" >"$dir/cut.jpg"
	form "image=@$dir/cut.jpg"
	expect_error 400 image invalid_value "JPEG: Premature end"
	head -c 300 "$images/colour.png" >"$dir/cut.png"
	form "image=@$dir/cut.png"
	expect_error 400 image invalid_value "PNG: the file ends too early"
	png 50000 50000 >"$dir/bomb.png"
	form "image=@$dir/bomb.png"
	expect_error 413 image too_large "50000 x 50000 pixels, expected at most 104857600"
	png 0 5 >"$dir/none.png"
	form "image=@$dir/none.png"
	expect_error 400 image invalid_value "PNG: Invalid IHDR data"
	form "image=@$images/tall.jpg"
	expect "$(field '.choices[0].text')" "a tall picture"
}

@test "more than http.max_body is a 413, in either form" {
	start
	head -c 20M /dev/zero >"$dir/large"
	form "image=@$dir/large"
	expect "$status $(field .error.code)" "413 too_large"
	{
		printf '{"image": "'
		head -c 15M /dev/zero | base64 -w0
		printf '"}'
	} >"$dir/large.json"
	post /v1/captions "@$dir/large.json"
	expect "$status $(field .error.code)" "413 too_large"
	form "image=@$images/tall.jpg"
	expect "$status" 200
}

@test "a captioner stands beside text models, and takes no one's place" {
	start --jobs.dir "$dir/jobs"
	request GET /v1/models
	expect "$(field '[.data[] | .id + " " + .kind] | join(", ")')" \
		"pictures captioner, tiny text"
	request GET /v1/models/pictures
	expect "$(field '[.kind, .captioner.features, .captioner.image.crop, .tokenizer] | map(tostring) | join(" ")')" \
		"captioner 256 64 word"
	post /sample '{"length": 3}'
	expect "$status $(field .model)" "200 tiny"
	for path in /sample /v1/completions /v1/score /v1/tokenize /v1/sessions; do
		post "$path" '{"model": "pictures", "prompt": "x"}'
		[ "$path" != /v1/score ] ||
			post "$path" '{"model": "pictures", "text": "x"}'
		[ "$path" != /v1/tokenize ] ||
			post "$path" '{"model": "pictures", "text": "x"}'
		expect_error 400 model invalid_value "model 'pictures' is a captioner"
	done
	post /v1/captions "$(body tall.jpg '"model": "tiny"')"
	expect_error 400 model invalid_value "model 'tiny' is a text model, expected a captioner"
	post /v1/captions "$(body tall.jpg '"model": "none"')"
	expect_error 404 model model_not_found "model 'none' is not loaded"
	request PUT /v1/aliases/eyes -H 'Content-Type: application/json' \
		--data '{"model": "pictures"}'
	expect "$status" 200
	post /v1/captions "$(body tall.jpg '"model": "eyes"')"
	expect "$status $(field .model)" "200 pictures"
	request PUT /v1/aliases/default -H 'Content-Type: application/json' \
		--data '{"model": "pictures"}'
	expect_error 400 model invalid_value "expected a text model"
}

@test "a captioner is unloaded, loaded, and read again" {
	mkdir "$dir/models"
	cp "$BATS_FILE_TMPDIR/text/tiny.safetensors" "$dir/models"
	start --models.dir "$dir/models"
	post /v1/captions "$(body tall.jpg)"
	expect_error 404 model model_not_found "no captioner is loaded"
	cp "$BATS_FILE_TMPDIR/pictures.safetensors" "$dir/models"
	kill -HUP "$pid"
	wait_metric unrolld_models 2
	post /v1/captions "$(body tall.jpg)"
	expect "$(field '.choices[0].text')" "a tall picture"
	request POST /v1/models/pictures/unload
	expect "$status" 200
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 404
	request POST /v1/models/pictures/load
	expect "$status $(field .kind)" "200 captioner"
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 200
	rm "$dir/models/pictures.safetensors"
	kill -HUP "$pid"
	wait_metric unrolld_models 1
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 404
}

@test "captions.model names a captioner, or a file that must be one" {
	cp "$BATS_FILE_TMPDIR/pictures.safetensors" "$dir/other.safetensors"
	start --captions.model "$dir/other.safetensors"
	post /v1/captions "$(body tall.jpg)"
	expect "$status $(field .model)" "200 other"
	post /v1/captions "$(body tall.jpg '"model": "pictures"')"
	expect "$status $(field .model)" "200 pictures"
	stop
	start --captions.model pictures
	post /v1/captions "$(body tall.jpg)"
	expect "$status $(field .model)" "200 pictures"
	stop
	for wrong in "tiny is a text model, expected a captioner" \
		"$BATS_FILE_TMPDIR/text/tiny.safetensors is a text model, expected a captioner" \
		"none is not loaded" "$dir/none.safetensors No such file"; do
		run "${loose[@]}" timeout 20 "$exe" serve --http.port 0 \
			--models.dir "$BATS_FILE_TMPDIR/models" \
			--sessions.store memory --captions.model "${wrong%% *}"
		[ "$status" = 1 ]
		[[ "$output" == *"captions.model: model "*"${wrong#* }"* ]]
	done
}

# doctor PYTHON: pictures.safetensors, changed by statements on its header h,
# its description m and its tensors' bytes data, as doctored.safetensors.
doctor() {
	python3 - "$BATS_FILE_TMPDIR/pictures.safetensors" "$1" \
		>"$dir/doctored.safetensors" <<-'EOF'
		import json, struct, sys
		raw = open(sys.argv[1], "rb").read()
		n = struct.unpack("<Q", raw[:8])[0]
		h, data = json.loads(raw[8:8 + n]), raw[8 + n:]
		m = json.loads(h["__metadata__"]["unrolld"])
		exec(sys.argv[2])
		h["__metadata__"]["unrolld"] = json.dumps(m)
		text = json.dumps(h).encode()
		text += b" " * (-len(text) % 8)
		sys.stdout.buffer.write(struct.pack("<Q", len(text)) + text + data)
	EOF
}

@test "a captioner that makes no sense is refused by what is wrong with it" {
	while IFS='|' read -r change message; do
		doctor "$change"
		for command in "serve --http.port 0 --models.dir $BATS_FILE_TMPDIR/models --sessions.store memory --captions.model" \
			inspect; do
			run "${loose[@]}" timeout 20 "$exe" $command "$dir/doctored.safetensors"
			[ "$status" = 1 ]
			[[ "$output" == *"$message"* ]] || {
				echo "no '$message' in: $output" >&2
				return 1
			}
		done
	done <<-'EOF'
		m["tokenizer"]["vocabulary"].append(" more")|, none of them END, expected
		h["cnn.classifier.0.weight"]["shape"].reverse()|tensor cnn.classifier.0.weight: shape [512,256], expected [256,512]
		h["cnn.more"] = h.pop("cnn.features.0.bias")|tensor cnn.features.0.bias: missing, expected shape [16]
		h["condition.more"] = h.pop("condition.weight")|tensor condition.weight: shape nothing, expected [256,256]
		h["output.weight"]["shape"].reverse()|tensor output.weight: shape [64,
		h["cnn.more"] = h.pop("output.bias")|tensor output.bias: missing, expected shape [
		m["captioner"]["cnn"]["layers"][0] = 17|tensor cnn.features.0.weight: shape [16,3,3,3], expected [17,3,3,3]
	EOF
}

@test "many at once give what each gives alone" {
	start
	for i in {1..24}; do
		name=$(printf '%s\n' tall.jpg grey.jpg colour.png | sed -n "$((i % 3 + 1))p")
		curl -sS --max-time 30 -F "image=@$images/$name" -F n=2 \
			"$url/v1/captions" >"$dir/$i.$name" &
		waits+=($!)
	done
	wait "${waits[@]}"
	for name in tall.jpg grey.jpg colour.png; do
		form "image=@$images/$name" n=2
		expected=$(field .choices)
		for file in "$dir"/*."$name"; do
			expect "$(jq -r .choices "$file")" "$expected"
		done
	done
}

@test "threads that make way for text give the same captions" {
	start
	form "image=@$images/tall.jpg" n=2
	expected=$(field .choices)
	start_stream
	for i in {1..8}; do
		curl -sS --max-time 30 -F "image=@$images/tall.jpg" -F n=2 \
			"$url/v1/captions" >"$dir/$i.json" &
		waits+=($!)
	done
	wait "${waits[@]}"
	end_stream
	for file in "$dir"/*.json; do
		expect "$(jq -r .choices "$file")" "$expected"
	done
}

# full OPTION: with it one image may wait.
full() {
	start "$1" 1 --captions.threads 1
	for i in {1..12}; do
		curl -sS --max-time 30 -o /dev/null -w '%{http_code}\n' \
			-F "image=@$images/colour.png" -F beam=64 -F n=64 \
			-F max_length=1000 "$url/v1/captions" >"$dir/$i.code" &
		waits+=($!)
	done
	wait "${waits[@]}"
	[ -z "$(grep -vhE '^(200|429)$' "$dir"/*.code)" ]
	grep -qh 200 "$dir"/*.code
	grep -qh 429 "$dir"/*.code
	form "image=@$images/tall.jpg"
	expect "$status" 200
}

@test "what does not fit into the queue is a 429" {
	full --captions.queue
}

@test "what one client has too many of is a 429" {
	full --captions.queue_per_client
}

@test "a caption goes on as text in a session" {
	start
	post /v1/captions "$(body tall.jpg '"session": "seen", "session_prompt": "ROMEO: {caption}?"')"
	expect "$status" 200
	expect "$(field '.choices[0].text')" "a tall picture"
	expect "$(field '.session | [.id, .model, .position] | map(tostring) | join(" ")')" \
		"seen tiny 22"
	post /v1/sessions '{"id": "same", "prompt": "ROMEO: a tall picture?"}'
	expect "$status" 201
	post /sample '{"session": "same", "length": 20, "seed": 4}'
	text=$(field .text)
	post /sample '{"session": "seen", "length": 20, "seed": 4}'
	expect "$status" 200
	expect "$(field .text)" "$text"
	expect "$(field .position)" 42
	form "image=@$images/tall.jpg" session_model=tiny
	expect "$status" 200
	[[ "$(field .session.id)" == sess_* ]]
	expect "$(field .session.position)" 14
	request GET "/v1/sessions/$(field .session.id)"
	expect "$status" 200
}

@test "what can't become a session says why, and leaves none" {
	start
	post /v1/sessions '{"id": "taken"}'
	post /v1/captions "$(body tall.jpg '"session": "taken"')"
	expect_error 409 session conflict "session 'taken' exists already"
	request DELETE /v1/sessions/taken
	post /v1/captions "$(body tall.jpg '"session": "a b"')"
	expect "$status $(field .error.param)" "400 session"
	post /v1/captions "$(body tall.jpg '"session": "x", "session_model": "pictures"')"
	expect_error 400 session_model invalid_value "expected a text model"
	post /v1/captions "$(body tall.jpg '"session": "x", "session_model": "none"')"
	expect_error 404 session_model model_not_found "model 'none' is not loaded"
	post /v1/captions "$(body tall.jpg '"session": "x", "session_prompt": "y"')"
	expect_error 400 session_prompt invalid_value "expected {caption} in it"
	post /v1/captions "$(body tall.jpg '"session": "x", "session_prompt": "~{caption}"')"
	expect_error 422 session_prompt unknown_character "~"
	request GET /v1/sessions
	expect "$(field '.data | length')" 0
	post /v1/captions "$(body tall.jpg '"session": "x"')"
	expect "$status" 200
	post /v1/captions "$(body tall.jpg '"session": "x"')"
	expect "$status $(field .error.param)" "409 session"
}

@test "with an Idempotency-Key a session is made once" {
	start
	for i in 1 2; do
		request POST /v1/captions -H 'Idempotency-Key: k1' \
			-H 'Content-Type: application/json' \
			--data-binary "$(body tall.jpg '"session_model": "tiny"')"
		expect "$status" 200
		ids+=("$(field .session.id)")
	done
	expect "${ids[1]}" "${ids[0]}"
	grep -qi '^Idempotent-Replayed: true' <<<"$head"
	request GET /v1/sessions
	expect "$(field '.data | length')" 1
}
