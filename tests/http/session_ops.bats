# What one state can become: forks, snapshots, rewinds, exports, peeks.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_model "$BATS_FILE_TMPDIR/models" other 2
}

# say JSON: prints a sample's text, and an x that keeps its newlines.
say() {
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d "$1" "$url/sample" | jq -j .text
	echo x
}

create() {
	post /v1/sessions "$1"
	expect "$status" 201
}

@test "a prompt primes a session, in one commit" {
	start
	create '{"id": "a", "model": "tiny", "seed": 5, "prompt": "ROMEO:"}'
	expect "$(field '[.position, .boundaries[]] | join(" ")')" "6 0"
	local bytes=$(field .bytes)
	request GET /v1/sessions/a
	expect "$(field '[.position, .bytes] | join(" ")')" "6 $bytes"
	create '{"id": "b", "model": "tiny", "seed": 5}'
	expect "$(say '{"session": "a", "length": 40}')" \
		"$(say '{"session": "b", "prompt": "ROMEO:", "length": 40}')"
	post /v1/sessions '{"id": "c", "model": "tiny", "prompt": "§"}'
	expect_error 422 prompt unknown_character "§"
	request GET /v1/sessions/c
	expect "$status" 404
	post /v1/sessions '{"id": "a", "model": "tiny", "prompt": "R"}'
	expect "$status" 409
	expect "$(metric unrolld_sessions)" 2
}

@test "children go on from their parent's state" {
	start
	create '{"id": "p", "model": "tiny", "seed": 5, "ttl": 500, "metadata": {"k": "v"}}'
	say '{"session": "p", "prompt": "JULIET:", "length": 20}'
	post /v1/sessions/p/fork '{"n": 3, "prefix": "kid"}'
	expect "$status" 201
	expect "$(field '[.data[] | .id, .position, .seed, .ttl, .metadata.k] | map(tostring) | join(" ")')" \
		"kid-0 27 5 500 v kid-1 27 5 500 v kid-2 27 5 500 v"
	local next=$(say '{"session": "p", "length": 30}')
	expect "$(say '{"session": "kid-1", "length": 30}')" "$next"
	post /v1/sessions/kid-0/fork '{"ids": ["x", "y"], "seed": 7, "metadata": {}}'
	expect "$(field '[.data[] | .id, .seed] | join(" ")')" "x 7 y 8"
	post /v1/sessions/kid-0/fork '{"seeds": ["18446744073709551615", 1]}'
	expect "$(field '[.data[].seed] | join(" ")')" "18446744073709551615 1"
	request POST /v1/sessions/kid-0/fork
	expect "$status" 201
	expect "$(field '.data | length')" 1
}

@test "what can't be forked" {
	start
	create '{"id": "p", "model": "tiny"}'
	create '{"id": "q", "model": "tiny"}'
	post /v1/sessions/none/fork '{}'
	expect_error 404 session session_not_found none
	post /v1/sessions/p/fork '{"n": 10001}'
	expect_error 400 n invalid_value "from 1 to 10000"
	post /v1/sessions/p/fork '{"ids": ["a", "a"]}'
	expect_error 400 ids invalid_value "given twice"
	post /v1/sessions/p/fork '{"ids": ["a", "q"]}'
	expect "$status" 409
	request GET /v1/sessions/a
	expect "$status" 404
	post /v1/sessions/p/fork '{"ids": ["a", 5]}'
	expect_error 400 ids invalid_value "ids[1] is the integer 5"
	post /v1/sessions/p/fork '{"ids": ["a/b"]}'
	expect_error 400 id invalid_value "a/b"
	post /v1/sessions/p/fork '{"ids": ["a"], "n": 2}'
	expect_error 400 ids invalid_value "n = 2"
	post /v1/sessions/p/fork '{"prefix": "a b"}'
	expect_error 400 prefix invalid_value "session id 'a b-0'"
	post /v1/sessions/p/fork '{"ids": ["a"], "prefix": "b"}'
	expect_error 400 prefix invalid_value "one of them"
	post /v1/sessions/p/fork '{"seed": 1, "seeds": [1]}'
	expect_error 400 seeds invalid_value "one of them"
	post /v1/sessions/p/fork '{"seeds": [-1]}'
	expect_error 400 seeds invalid_value "the integer -1"
	post /v1/sessions/p/fork '{"snapshot": "s"}'
	expect_error 404 snapshot not_found "no snapshot 's'"
	post /v1/sessions/p/fork '{"color": 1}'
	expect_error 400 color invalid_value "unknown field"
	request GET /v1/sessions/p/fork
	expect_error 405 null method_not_allowed POST
}

@test "snapshots are kept, listed, forked, and come back to" {
	start
	create '{"id": "a", "model": "tiny", "seed": 5}'
	say '{"session": "a", "length": 20}'
	post /v1/sessions/a/snapshot '{"name": "early"}'
	expect "$status" 201
	expect "$(field '[.session, .name, .position] | join(" ")')" "a early 20"
	local first=$(say '{"session": "a", "length": 30}')
	post /v1/sessions/a/snapshot '{"name": "early"}'
	expect_error 409 name conflict "early"
	request POST /v1/sessions/a/snapshot
	expect "$(field .name)" snapshot-1
	request GET /v1/sessions/a/snapshot
	expect "$(field '[.data[] | .name, .position] | join(" ")')" "early 20 snapshot-1 50"
	post /v1/sessions/a/fork '{"ids": ["b"], "snapshot": "early"}'
	expect "$(field '.data[0].position')" 20
	stop KILL
	start
	post /v1/sessions/a/rewind '{"snapshot": "early"}'
	expect "$status" 200
	expect "$(field '[.id, .position] | join(" ")')" "a 20"
	expect "$(say '{"session": "a", "length": 30}')" "$first"
	expect "$(say '{"session": "b", "length": 30}')" "$first"
	post /v1/sessions/a/snapshot '{"name": "early", "replace": true}'
	expect "$(field .position)" 50
	request DELETE /v1/sessions/a/snapshot/early
	expect "$status" 200
	request DELETE /v1/sessions/a/snapshot/early
	expect_error 404 snapshot not_found early
	request GET /v1/sessions/a
	expect "$(field '[.snapshots[].name] | join(" ")')" snapshot-1
	post /v1/sessions/a/snapshot '{"name": "a/b"}'
	expect_error 400 name invalid_value "a/b"
	request PUT /v1/sessions/a/snapshot
	expect_error 405 null method_not_allowed "GET"
}

@test "the last requests can be undone" {
	start --sessions.boundaries 2
	create '{"id": "a", "model": "tiny", "seed": 5}'
	local one=$(say '{"session": "a", "length": 10}')
	local two=$(say '{"session": "a", "length": 10}')
	local three=$(say '{"session": "a", "prompt": "fox", "length": 10}')
	request GET /v1/sessions/a
	expect "$(field '[.position, .boundaries[]] | join(" ")')" "33 0 10 20"
	say '{"session": "a", "length": 1}'
	request GET /v1/sessions/a
	expect "$(field '[.boundaries[]] | join(" ")')" "0 20 33"
	post /v1/sessions/a/rewind '{"position": 20}'
	expect "$status" 200
	expect "$(field '[.position, .boundaries[]] | join(" ")')" "20 0"
	expect "$(say '{"session": "a", "prompt": "fox", "length": 10}')" "$three"
	post /v1/sessions/a/rewind '{"position": 10}'
	expect_error 404 position not_found "keeps 0 20"
	post /v1/sessions/a/rewind '{"position": 0}'
	expect "$(field .position)" 0
	expect "$(say '{"session": "a", "length": 10}')" "$one"
	expect "$(say '{"session": "a", "length": 10}')" "$two"
	post /v1/sessions/a/rewind '{"position": 0, "seed": 99}'
	expect "$(field .seed)" 99
	[ "$(say '{"session": "a", "length": 10}')" != "$one" ]
	post /v1/sessions/a/rewind '{}'
	expect_error 400 snapshot invalid_value "snapshot or position"
	post /v1/sessions/a/rewind '{"position": 0, "snapshot": "s"}'
	expect_error 400 position invalid_value "one of them"
	request POST /v1/sessions/a/rewind
	expect "$status" 415
	post /v1/sessions/none/rewind '{"position": 0}'
	expect_error 404 session session_not_found none
}

@test "a busy session can be forked and peeked at, not rewound" {
	start
	create '{"id": "a", "model": "tiny"}'
	curl -sS --max-time 30 -H 'Content-Type: application/json' \
		-d '{"session": "a", "length": 1000000}' "$url/sample" \
		>/dev/null 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 1
	post /v1/sessions/a/fork '{}'
	expect "$status" 201
	expect "$(field '.data[0].position')" 0
	request GET /v1/sessions/a/peek
	expect "$status" 200
	post /v1/sessions/a/rewind '{"position": 0}'
	expect_error 409 session session_busy a
	post /v1/sessions/a/snapshot '{}'
	expect_error 409 session session_busy a
	kill "$job"
}

@test "a blob travels, as bytes and as base64" {
	start
	create '{"id": "a", "model": "tiny", "seed": 5, "metadata": {"k": 1}}'
	say '{"session": "a", "prompt": "JULIET:", "length": 20}'
	request GET /v1/sessions/a/export
	expect "$status" 200
	grep -qi '^content-type: application/octet-stream' <<<"$head"
	grep -q 'filename="a.session"' <<<"$head"
	cp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/blob"
	request GET /v1/sessions/a/export -H 'Accept: application/json'
	expect "$(field .position)" 27
	field .blob | base64 -d | cmp - "$BATS_TEST_TMPDIR/blob"
	local text=$(field .blob)
	request GET '/v1/sessions/a/export?format=json'
	expect "$(field .blob)" "$text"
	request GET '/v1/sessions/a/export?format=xml'
	expect_error 400 format invalid_value xml
	request GET '/v1/sessions/a/export?color=red'
	expect_error 400 color invalid_value "unknown query parameter"
	request GET /v1/sessions/none/export
	expect_error 404 session session_not_found none
	local next=$(say '{"session": "a", "length": 30}')
	request POST /v1/sessions/import --data-binary "@$BATS_TEST_TMPDIR/blob" \
		-H 'Content-Type: application/octet-stream'
	expect "$status" 409
	expect "$(field .error.param)" id
	request POST '/v1/sessions/import?id=b&ttl=60' \
		--data-binary "@$BATS_TEST_TMPDIR/blob" \
		-H 'Content-Type: application/octet-stream'
	expect "$status" 201
	expect "$(field '[.id, .position, .ttl, .metadata.k] | join(" ")')" "b 27 60 1"
	expect "$(say '{"session": "b", "length": 30}')" "$next"
	post /v1/sessions/import "{\"blob\": \"$text\", \"id\": \"c\", \"metadata\": {\"k\": 2}}"
	expect "$status" 201
	expect "$(field '[.id, .metadata.k] | join(" ")')" "c 2"
	expect "$(say '{"session": "c", "length": 30}')" "$next"
	request DELETE /v1/sessions/a
	post /v1/sessions/import "{\"blob\": \"$text\"}"
	expect "$(field .id)" a
}

@test "what can't be imported" {
	start
	create '{"id": "a", "model": "tiny"}'
	request GET /v1/sessions/a/export
	local blob=$BATS_TEST_TMPDIR/blob bad=$BATS_TEST_TMPDIR/bad
	cp "$BATS_TEST_TMPDIR/body" "$blob"
	bad() {
		request POST '/v1/sessions/import?id=b' --data-binary "@$bad" \
			-H 'Content-Type: application/octet-stream'
	}
	head -c 300 "$blob" >"$bad"
	bad
	expect_error 422 blob unprocessable checksum
	: >"$bad"
	bad
	expect_error 422 blob unprocessable "0 bytes"
	{ head -c 4 "$blob"; printf '\003'; tail -c +6 "$blob"; } >"$bad"
	bad
	expect_error 400 blob unsupported "version 3"
	{ head -c 40 "$blob"; printf '\377'; tail -c +42 "$blob"; } >"$bad"
	bad
	expect_error 422 blob unprocessable checksum
	head -c 5000 /dev/zero >"$bad"
	bad
	expect_error 422 blob unprocessable "begins with"
	post /v1/sessions/import '{"blob": "####"}'
	expect_error 400 blob invalid_value "not base64"
	post /v1/sessions/import '{"id": "b"}'
	expect_error 400 blob invalid_value missing
	post /v1/sessions/import '{"blob": "", "color": 1}'
	expect_error 400 color invalid_value "unknown field"
	request POST /v1/sessions/import -H 'Content-Type: text/plain' -d x
	expect "$status" 415
	request GET /v1/sessions/import
	expect "$status" 404
	# Of a model that is not here: both fingerprints are named.
	local here=$(curl -sS "$url/v1/models/other" | jq -r .fingerprint)
	local there=$(curl -sS "$url/v1/models/tiny" | jq -r .fingerprint)
	stop TERM
	mkdir "$BATS_TEST_TMPDIR/models"
	cp "$BATS_FILE_TMPDIR/models/other.safetensors" \
		"$BATS_TEST_TMPDIR/models/tiny.safetensors"
	start --models.dir "$BATS_TEST_TMPDIR/models"
	cp "$blob" "$bad"
	bad
	expect_error 409 model model_mismatch "$here"
	expect_error 409 model model_mismatch "$there"
	# Nor can the pinned session go on.
	post /sample '{"session": "a", "length": 1}'
	expect_error 409 model model_mismatch "$there"
}

@test "a peek is what sampling would say, and advances nothing" {
	start
	create '{"id": "a", "model": "tiny", "seed": 5, "prompt": "ROMEO:"}'
	request GET '/v1/sessions/a/peek?top=5'
	expect "$status" 200
	local peeked=$(field '[.tokens[] | .text, .logprob] | map(tostring) | join(" ")')
	expect "$(field '[.position, (.tokens | length)] | join(" ")')" "6 5"
	request GET '/v1/sessions/a/peek?top=1000'
	expect "$(field '[.tokens[].probability] | add * 1000 | round')" 1000
	post /sample '{"session": "a", "length": 1, "logprobs": 5, "expected_position": 6}'
	expect "$status" 200
	expect "$(field '.logprobs.top_logprobs[0] | to_entries | [.[] | .key, .value] | map(tostring) | join(" ")')" "$peeked"
	request GET '/v1/sessions/a/peek?top=0'
	expect_error 400 top invalid_value "from 1 to 1024"
	request GET '/v1/sessions/a/peek?bottom=1'
	expect_error 400 bottom invalid_value "unknown query parameter"
	request GET /v1/sessions/none/peek
	expect_error 404 session session_not_found none
	request POST /v1/sessions/a/peek
	expect_error 405 null method_not_allowed GET
}

@test "lists are filtered" {
	start
	for i in 1 2 3; do
		create "{\"id\": \"game-$i\", \"model\": \"tiny\", \"metadata\": {\"player\": \"é$i\", \"level\": $i}}"
	done
	create '{"id": "chat-1", "model": "other"}'
	ids() {
		request GET "/v1/sessions?$1"
		field '[.data[].id] | join(" ")'
	}
	expect "$(ids prefix=game-)" "game-1 game-2 game-3"
	expect "$(ids 'prefix=game-&after=game-1')" "game-2 game-3"
	expect "$(ids 'after=game-1&prefix=chat')" ""
	expect "$(ids model=other)" "chat-1"
	expect "$(ids metadata.player=%C3%A92)" "game-2"
	expect "$(ids 'metadata.level=3&metadata.player=%C3%A93')" "game-3"
	expect "$(ids 'metadata.level=3&metadata.player=x')" ""
	ids 'prefix=game-&limit=2'
	expect "$(field '[.has_more, .next] | map(tostring) | join(" ")')" "true game-2"
	request GET '/v1/sessions?order=up'
	expect_error 400 order invalid_value "unknown query parameter"
	request GET '/v1/sessions?prefix=%zz'
	expect_error 400 prefix invalid_value "%zz"
}

@test "a full store refuses, or evicts who was idle longest" {
	start --sessions.max 2
	create '{"id": "a", "model": "tiny"}'
	create '{"id": "b", "model": "tiny"}'
	post /v1/sessions '{"id": "c"}'
	expect "$status" 507
	[[ "$(field .error.message)" == *"sessions.max is 2"* ]]
	post /v1/sessions/a/fork '{}'
	expect "$status" 507
	stop TERM
	start --sessions.max 2 --sessions.when_full evict
	say '{"session": "a", "length": 1}'
	create '{"id": "c", "model": "tiny"}'
	request GET /v1/sessions
	expect "$(field '[.data[].id] | join(" ")')" "a c"
	expect "$(metric 'unrolld_sessions_gone_total{why="evicted"}')" 1
	stop TERM
	start --sessions.max_per_owner 2
	post /v1/sessions '{"id": "d"}'
	[[ "$(field .error.message)" == *"sessions.max_per_owner is 2"* ]]
	stop TERM
	start --sessions.max_bytes 4K
	post /v1/sessions '{"id": "d"}'
	expect "$status" 507
	[[ "$(field .error.message)" == *"sessions.max_bytes is 4096"* ]]
}

@test "hot sessions don't read the store, spilled ones come back from it" {
	start --sessions.resident 2
	local i text
	for i in 1 2 3 4; do
		create "{\"id\": \"s$i\", \"model\": \"tiny\", \"seed\": 1}"
	done
	expect "$(metric unrolld_sessions_resident)" 2
	expect "$(metric unrolld_sessions_spilled_total)" 2
	text=$(say '{"session": "s1", "length": 20}')
	for i in 2 3 4; do
		expect "$(say "{\"session\": \"s$i\", \"length\": 20}")" "$text"
	done
	text=$(say '{"session": "s1", "length": 20}')
	local reads=$(metric 'unrolld_session_reads_total{from="memory"}')
	say '{"session": "s1", "length": 20}'
	expect "$(metric 'unrolld_session_reads_total{from="memory"}')" "$((reads + 1))"
	expect "$(say '{"session": "s2", "length": 20}')" "$text"
	stop TERM
	start --sessions.store memory
	create '{"id": "m", "model": "tiny"}'
	say '{"session": "m", "length": 5}'
	expect "$(metric unrolld_sessions_resident)" 0
}

@test "a session follows its model as it was told to" {
	mkdir "$BATS_TEST_TMPDIR/models"
	local file=$BATS_TEST_TMPDIR/models/tiny.safetensors
	cp "$BATS_FILE_TMPDIR/models/tiny.safetensors" "$file"
	start --models.dir "$BATS_TEST_TMPDIR/models"
	for p in pin carry reset; do
		create "{\"id\": \"$p\", \"seed\": 3, \"on_model_change\": \"$p\"}"
		expect "$(field .on_model_change)" "$p"
		say "{\"session\": \"$p\", \"length\": 20}"
	done
	post /v1/sessions/pin/fork '{"ids": ["twin"]}'
	local next=$(say '{"session": "twin", "length": 20}')
	local old=$(curl -sS "$url/v1/models/tiny" | jq -r .fingerprint)
	cp "$BATS_FILE_TMPDIR/models/other.safetensors" "$file.new"
	mv "$file.new" "$file"
	kill -HUP "$pid"
	for _ in {1..200}; do
		[ "$(curl -sS "$url/v1/models/tiny" | jq -r .fingerprint)" = "$old" ] || break
		sleep 0.05
	done
	expect "$(say '{"session": "pin", "length": 20}')" "$next"
	post /sample '{"session": "carry", "length": 5}'
	expect "$(field '[.model_changed, .position] | join(" ")')" "carried 25"
	post /sample '{"session": "carry", "length": 5}'
	expect "$(field '.model_changed')" null
	post /sample '{"session": "reset", "length": 5}'
	expect "$(field '[.model_changed, .position] | join(" ")')" "reset 5"
	post /v1/sessions '{"on_model_change": "stay"}'
	expect_error 400 on_model_change invalid_value "pin|carry|reset"
}

@test "deleting takes all that belongs to it" {
	start
	create '{"id": "a", "model": "tiny"}'
	say '{"session": "a", "length": 5}'
	say '{"session": "a", "length": 5}'
	request POST /v1/sessions/a/snapshot
	request DELETE /v1/sessions/a
	expect "$status" 200
	create '{"id": "a", "model": "tiny"}'
	expect "$(field '[(.snapshots | length), (.boundaries | length)] | join(" ")')" "0 0"
	post /v1/sessions/a/rewind '{"snapshot": "snapshot-1"}'
	expect_error 404 snapshot not_found snapshot-1
}

@test "the description lists all of it" {
	start
	request GET /openapi.json
	for path in fork snapshot rewind export peek; do
		field '.paths | keys[]' | grep -qx "/v1/sessions/{id}/$path"
	done
	expect "$(field '.paths["/v1/sessions/import"].post.requestBody.content | keys | join(" ")')" \
		"application/json application/octet-stream"
	expect "$(field '[.paths["/v1/sessions"].get.parameters[].name] | join(" ")')" \
		"limit after prefix model metadata.*"
}
