# POST /v1/captions with a captioner that has learnt three pictures.

load daemon

setup_file() {
	local images=$BATS_TEST_DIRNAME/../golden/images

	make_model "$BATS_FILE_TMPDIR/models" tiny
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
}

setup() {
	images=$BATS_TEST_DIRNAME/../golden/images
}

# body IMAGE [JSON FIELDS]
body() {
	printf '{"image": "%s"%s}' "$(base64 -w0 "$images/$1")" "${2:+, $2}"
}

@test "an image is described" {
	start --captions.model "$BATS_FILE_TMPDIR/pictures.safetensors"
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 200
	expect "$(field '[.object, .model, (.choices | length), .choices[0].text, .choices[0].tokens, .choices[0].finish_reason] | map(tostring) | join(" ")')" \
		"captions pictures 1 a tall picture 3 stop"
	post /v1/captions "$(body grey.jpg '"n": 3, "beam": 5')"
	expect "$status" 200
	expect "$(field '.choices[0].text')" "nothing but grey"
	expect "$(field '.choices | length == 3 and .[0].logprob > .[1].logprob')" true
	post /v1/captions "$(body grey.jpg '"n": 2, "beam": 0, "seed": 7')"
	expect "$status" 200
	first=$(field '.choices')
	post /v1/captions "$(body grey.jpg '"n": 2, "beam": 0, "seed": 7')"
	expect "$(field '.choices')" "$first"
}

@test "what is no image is a 400 that says why" {
	start --captions.model "$BATS_FILE_TMPDIR/pictures.safetensors"
	post /v1/captions '{"image": "bm8gaW1hZ2U="}'
	expect "$status" 400
	expect "$(field '.error.param + ": " + .error.message')" \
		"image: image: 8 bytes that are neither JPEG nor PNG"
	post /v1/captions '{"image": "%%%"}'
	expect "$status" 400
	expect "$(field .error.param)" image
	post /v1/captions '{}'
	expect "$status" 400
	expect "$(field .error.message)" \
		"image is missing, expected a JPEG or PNG as base64"
	post /v1/captions "{\"image\": \"$(head -c 1500 "$images/colour.jpg" | base64 -w0)\"}"
	expect "$status" 400
	expect "$(field .error.param)" image
	post /v1/captions "$(body tall.jpg '"beam": 65')"
	expect "$status" 400
	expect "$(field .error.param)" beam
}

@test "without a captioner there is none; a text model is none either" {
	start
	post /v1/captions "$(body tall.jpg)"
	expect "$status" 404
	stop
	run "${loose[@]}" timeout 20 "$exe" serve --http.port 0 \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--sessions.store memory \
		--captions.model "$BATS_FILE_TMPDIR/models/tiny.safetensors"
	[ "$status" = 1 ]
	[[ "$output" == *"holds a text model, expected a captioner"* ]]
}
