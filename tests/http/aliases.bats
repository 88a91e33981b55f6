#!/usr/bin/env bats
# Other names for models, and models that come and go while others work.

load daemon

# Long and slow enough to be met while it runs.
long=100000 hidden=192
[ "${VARIANT:-release}" = release ] || long=20000 hidden=48

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" one 1 "$hidden"
	make_model "$BATS_FILE_TMPDIR/models" two 2 "$hidden"
}

# field FILTER: of the last answer, on one line.
field() {
	jq -rc "$1" <<<"$body"
}

put() {
	request PUT "/v1/aliases/$1" -H 'Content-Type: application/json' \
		--data-binary "{\"model\": \"$2\"}"
}

# says MODEL: its text from a fixed seed.
says() {
	post /sample "{\"model\": \"$1\", \"length\": 30, \"seed\": 7}"
	expect "$status" 200
	field .text
}

@test "an alias leads to a model, moves, and outlives a kill" {
	start
	first=$(says one)
	second=$(says two)
	[ "$first" != "$second" ]
	put prod one
	expect "$status" 200
	expect "$(field 'del(.moved_at)')" '{"id":"prod","object":"model.alias","model":"one"}'
	expect "$(says prod)" "$first"
	put prod two
	expect "$(says prod)" "$second"
	request GET /v1/aliases/prod
	expect "$(field .model)" two
	request GET /v1/models/prod
	expect "$(field .id)" two
	stop KILL
	start
	expect "$(says prod)" "$second"
	# One that leads to where another does now.
	put next prod
	expect "$(field .model)" two
	put prod one
	request GET /v1/aliases
	expect "$(field '[.data[] | [.id, .model]]')" '[["next","two"],["prod","one"]]'
	request DELETE /v1/aliases/next
	expect "$body" '{"id":"next","object":"model.alias","deleted":true}'
	stop
	start
	request GET /v1/aliases
	expect "$(field '[.data[].id]')" '["prod"]'
}

@test "the alias default is the model of requests that name none" {
	start
	first=$(says one)
	second=$(says two)
	plain() {
		post /sample '{"length": 30, "seed": 7}'
		field .text
	}
	expect "$(plain)" "$first"
	put default two
	expect "$(plain)" "$second"
	request DELETE /v1/aliases/default
	expect "$(plain)" "$first"
}

@test "what can't be an alias is refused" {
	start
	put prod none
	expect_error 404 model model_not_found "model 'none' is not loaded"
	put two one
	expect_error 409 alias conflict "a model is called 'two'"
	put 'a%20b' one
	expect_error 400 alias invalid_value "alias is 'a b'"
	request PUT /v1/aliases/prod -H 'Content-Type: application/json' -d '{}'
	expect_error 400 model invalid_value "model is missing"
	request GET /v1/aliases/prod
	expect_error 404 alias not_found "there is no alias 'prod'"
	request DELETE /v1/aliases/prod
	expect_error 404 alias not_found "there is no alias 'prod'"
	: >"$BATS_TEST_TMPDIR/file"
	stop
	start --jobs.dir "$BATS_TEST_TMPDIR/file/jobs"
	put prod one
	expect "$status" 503
	request GET /v1/aliases
	expect "$(field .data)" '[]'
}

@test "sessions of an alias keep their version, or follow it as they asked" {
	start
	put prod one
	for policy in pin carry reset; do
		post /v1/sessions "{\"id\": \"$policy\", \"model\": \"prod\", \"seed\": 3, \"on_model_change\": \"$policy\"}"
		expect "$(field .model)" prod
		post /sample "{\"session\": \"$policy\", \"length\": 5}"
		expect "$(field .model)" one
	done
	post /v1/sessions '{"id": "whole", "model": "one", "seed": 3}'
	post /sample '{"session": "whole", "length": 25}'
	whole=$(field .text)
	put prod two
	post /sample '{"session": "pin", "length": 20}'
	expect "$(field .model)" one
	expect "$(field .text)" "${whole:5}"
	post /sample '{"session": "carry", "length": 5}'
	expect "$(field '[.model, .model_changed, .position]')" '["two","carried",10]'
	post /sample '{"session": "reset", "length": 5}'
	expect "$(field '[.model, .model_changed, .position]')" '["two","reset",5]'
	# And again: the name that they know is the alias.
	put prod one
	post /sample '{"session": "carry", "length": 5}'
	expect "$(field '[.model, .model_changed, .position]')" '["one","carried",15]'
	request GET /v1/sessions/carry
	expect "$(field .model)" prod
}

@test "running work ends on the model that it began with" {
	start
	put prod one
	reference=$(post /sample "{\"model\": \"one\", \"length\": $long, \"seed\": 7}"; field .text)
	curl -sSN --max-time 50 --limit-rate 100K "$url/sample" \
		-H 'Content-Type: application/json' \
		-d "{\"model\": \"prod\", \"length\": $long, \"seed\": 7, \"stream\": true}" \
		>"$BATS_TEST_TMPDIR/stream" 3>&- &
	reader=$!
	wait_metric unrolld_generations_active 1
	put prod two
	request POST /v1/models/one/unload
	expect "$body" '{"id":"one","object":"model","loaded":false}'
	post /sample '{"model": "one", "length": 3}'
	expect_error 404 model model_not_found "model 'one' is not loaded"
	wait "$reader"
	expect "$(stream_text <"$BATS_TEST_TMPDIR/stream")" "$reference"
}

@test "a model is unloaded and loaded again, with the weights of its file" {
	cp -r "$BATS_FILE_TMPDIR/models" "$BATS_TEST_TMPDIR/models"
	start --models.dir "$BATS_TEST_TMPDIR/models"
	first=$(says one)
	second=$(says two)
	request POST /v1/models/one/unload
	expect "$status" 200
	request GET /v1/models
	expect "$(field '[.data[].id]')" '["two"]'
	request POST /v1/models/one/unload
	expect_error 404 model model_not_found "model 'one' is not loaded"
	request POST /v1/models/one/load
	expect "$(field .id)" one
	expect "$(says one)" "$first"
	# As it is already: nothing is read.
	request POST /v1/models/one/load
	expect "$status" 200
	expect "$(grep -c 'model loaded.*model=one' "$BATS_TEST_TMPDIR/err")" 2
	cp "$BATS_TEST_TMPDIR/models/two.safetensors" "$BATS_TEST_TMPDIR/models/new"
	mv "$BATS_TEST_TMPDIR/models/new" "$BATS_TEST_TMPDIR/models/one.safetensors"
	request POST /v1/models/one/load
	expect "$(says one)" "$second"
	# One that was put there later.
	cp "$BATS_TEST_TMPDIR/models/two.safetensors" \
		"$BATS_TEST_TMPDIR/models/three.safetensors"
	request POST /v1/models/three/load
	expect "$(says three)" "$second"
	request POST /v1/models/four/load
	expect_error 404 model model_not_found "there is no model 'four'"
	put prod three
	request POST /v1/models/three/unload
	expect_error 409 alias conflict "the alias 'prod' leads to model 'three'"
}

@test "only what a job has made is deleted" {
	mkdir -p "$BATS_TEST_TMPDIR/jobs/models"
	cp "$BATS_FILE_TMPDIR/models/two.safetensors" \
		"$BATS_TEST_TMPDIR/jobs/models/made.safetensors"
	start --models.dir "$BATS_TEST_TMPDIR/jobs/models"
	request DELETE /v1/models/made
	expect "$body" '{"id":"made","object":"model","deleted":true}'
	[ ! -e "$BATS_TEST_TMPDIR/jobs/models/made.safetensors" ]
	request GET /v1/models/made
	expect "$status" 404
	stop
	start
	request DELETE /v1/models/one
	expect "$status" 409
	[[ "$(field .error.message)" == *"was not made by a fine-tuning job"* ]]
	[ -e "$BATS_FILE_TMPDIR/models/one.safetensors" ]
	request DELETE /v1/models/none
	expect "$status" 404
}

@test "what is unloaded gives its memory back" {
	[ "${VARIANT:-release}" = release ] || skip "a sanitizer keeps it"
	mkdir -p "$BATS_TEST_TMPDIR/models"
	cp "$BATS_FILE_TMPDIR/models/one.safetensors" "$BATS_TEST_TMPDIR/models"
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/models/text" \
		-o "$BATS_TEST_TMPDIR/models/zlarge.safetensors" --hidden 1024 \
		--layers 2 --batch 1 --seq-length 2 --max-steps 1 >/dev/null 2>&1
	start --models.dir "$BATS_TEST_TMPDIR/models"
	request GET /v1/models/zlarge
	bytes=$(field .bytes)
	[ "$bytes" -gt 40000000 ]
	says zlarge
	before=$(metric unrolld_resident_memory_bytes)
	request POST /v1/models/zlarge/unload
	freed() {
		after=$(metric unrolld_resident_memory_bytes)
		[ "${after%.*}" -lt $((${before%.*} - bytes / 2)) ]
	}
	for _ in {1..100}; do
		! freed || return 0
		sleep 0.1
	done
	echo "$before before, $after after, of a model of $bytes" >&2
	return 1
}
