# API keys: who comes in, with which scope, and whose things are whose.

bats_require_minimum_version 1.5.0
load daemon

alice=alice-secret-0123456789
bob=bob-secret-0123456789
trainer=trainer-secret-0123456789
root=root-secret-0123456789

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

setup() {
	keys=$BATS_TEST_TMPDIR/keys
	(umask 077 && cat >"$keys") <<-END
		# name scopes key
		alice sample,train $alice
		bob   sample       sha256:$(printf %s "$bob" | sha256sum | cut -d' ' -f1)
		tina  train        $trainer
		root  admin        $root
	END
}

# as KEY METHOD PATH [CURL OPTION...]
as() {
	local key=$1

	shift
	request "$@" -H "Authorization: Bearer $key"
}

# as_post KEY PATH JSON
as_post() {
	as "$1" POST "$2" -H 'Content-Type: application/json' --data-binary "$3"
}

@test "without a key, with a wrong one, and with one" {
	start --auth.keys_file "$keys"
	post /sample '{"length": 3}'
	expect_error 401 null invalid_api_key "an API key is needed"
	[[ "$head" == *"WWW-Authenticate: Bearer"* ]]
	as nobody-0123456789012345 POST /sample -d '{}'
	expect_error 401 null invalid_api_key "not one of this daemon's"
	[[ "$head" == *'WWW-Authenticate: Bearer error="invalid_token"'* ]]
	as_post "$alice" /sample '{"length": 3}'
	expect "$status" 200
	as_post "$bob" /v1/completions '{"max_tokens": 3}'
	expect "$status" 200
	request GET /v1/models -H "X-Api-Key: $bob"
	expect "$status" 200
	request GET /v1/models -H "authorization: bearer   $bob"
	expect "$status" 200
	request GET /v1/models -H "Authorization: Basic $bob"
	expect "$status" 401
	# The hash opens nothing.
	as "sha256:$(printf %s "$bob" | sha256sum | cut -d' ' -f1)" GET /v1/models
	expect "$status" 401
	as "$root" GET /v1/models
	expect "$status" 200
	as "$trainer" GET /v1/models
	expect_error 403 null insufficient_scope "the key of tina may not do this: it needs the scope sample"
	! grep -qE "secret-0123" "$BATS_TEST_TMPDIR/err"
}

# Every operation of the table, as METHOD PATH SCOPE.
operations() {
	curl -sS "$url/openapi.json" | jq -r '.paths | to_entries[] | .key as $p |
		.value | to_entries[] | "\(.key | ascii_upcase) \($p) \(.value["x-scope"])"'
}

@test "every route: no key, a foreign key, a key of the wrong scope" {
	local method path scope asked filled n=0
	start --auth.keys_file "$keys"
	operations >"$BATS_TEST_TMPDIR/operations"
	while read -r method path scope; do
		n=$((n + 1))
		filled=${path/#\/web\/\{file\}/\/web\/main.js}
		filled=${filled//\{*\}/x}
		request "$method" "$filled"
		echo "$method $path $scope: $status"
		if [ "$scope" = public ]; then
			[ "$status" = 200 ]
			continue
		fi
		expect "$status" 401
		expect "$(field .error.code)" invalid_api_key
		as not-a-key-0123456789 "$method" "$filled"
		expect "$status" 401
		case $scope in
		sample) asked=$trainer ;;
		train) asked=$bob ;;
		admin) asked=$alice ;;
		*) false ;;
		esac
		as "$asked" "$method" "$filled" -H 'Content-Type: application/json' -d '{}'
		expect "$status" 403
		expect "$(field .error.code)" insufficient_scope
	done <"$BATS_TEST_TMPDIR/operations"
	[ "$n" -ge 20 ]
}

# Routes of what is everybody's; what is made of others has an owner.
shared='^(/web/|/v1/models/|/v1/aliases/)'

@test "every route of something that was made is its owner's" {
	local method path scope filled who n=0 file job stream
	start --auth.keys_file "$keys"
	as_post "$alice" /v1/sessions '{"id": "hers", "prompt": "The"}'
	expect "$status" 201
	as_post "$alice" /v1/sessions/hers/snapshot '{"name": "x"}'
	expect "$status" 201
	as_post "$alice" /sample '{"session": "hers", "length": 5, "stream": true}'
	stream=$(sed -n 's/^X-Stream-Id: //p' <<<"$head")
	for _ in {1..40}; do echo 'ROMEO: the quick brown fox, O me!'; done \
		>"$BATS_TEST_TMPDIR/text"
	as "$alice" POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/text"
	file=$(field .id)
	as_post "$alice" /v1/fine_tuning/jobs "{\"model\": \"tiny\", \"training_file\": \"$file\", \"hyperparameters\": {\"max_steps\": 2}}"
	expect "$status" 200
	job=$(field .id)
	operations | grep -F '{' | awk -v shared="$shared" '$2 !~ shared' \
		>"$BATS_TEST_TMPDIR/operations"
	while read -r method path scope; do
		n=$((n + 1))
		filled=$(sed "s|/sessions/{id}|/sessions/hers|; s|/streams/{id}|/streams/$stream|; s|/files/{[^}]*}|/files/$file|; s|/jobs/{[^}]*}|/jobs/$job|; s|{[^}]*}|x|" <<<"$path")
		[ "$scope" = train ] && who=$trainer || who=$bob
		for who in "$who" "$root"; do
			as "$who" "$method" "$filled" -H 'Content-Type: application/json' \
				-d '{"name": "x", "snapshot": "x"}'
			echo "$method $filled: $status $body"
			expect "$status" 404
			case $path in
			*streams*) expect "$(field .error.code)" stream_not_found ;;
			*sessions*) expect "$(field .error.code)" session_not_found ;;
			esac
		done
	done <"$BATS_TEST_TMPDIR/operations"
	[ "$n" -ge 18 ]
	# All of it is still there, and hers.
	for path in "/v1/sessions/hers" "/v1/sessions/hers/snapshot" "/v1/streams/$stream" \
		"/v1/files/$file" "/v1/fine_tuning/jobs/$job"; do
		as "$alice" GET "$path"
		[ "$status" != 404 ]
	done
	for path in /sample /v1/completions; do
		as_post "$bob" $path '{"session": "hers"}'
		expect_error 404 session session_not_found "session 'hers' does not exist"
	done
	as_post "$bob" /v1/score '{"session": "hers", "text": "a"}'
	expect_error 404 session session_not_found "session 'hers' does not exist"
	# The same words as of what there is not.
	as_post "$bob" /sample '{"session": "none"}'
	expect_error 404 session session_not_found "session 'none' does not exist"
	as "$bob" GET /v1/sessions
	expect "$(field '.data | length')" 0
	as "$alice" GET /v1/sessions
	expect "$(field '[.data[].id] | join(" ")')" hers
	as "$alice" GET /v1/sessions/hers
	expect "$(field .position)" 8
	as "$alice" GET "/v1/streams/$stream"
	expect "$status" 200
	# Nor after a restart, from the store.
	stop
	start --auth.keys_file "$keys"
	as "$bob" GET "/v1/streams/$stream"
	expect_error 404 stream stream_not_found "$stream"
	as "$alice" GET "/v1/streams/$stream"
	expect "$status" 200
}

@test "a busy session of another's is not there either" {
	start --auth.keys_file "$keys"
	as_post "$alice" /v1/sessions '{"id": "hers"}'
	curl -sSN "$url/sample" -H 'Content-Type: application/json' --max-time 10 \
		-H "X-Api-Key: $alice" \
		-d '{"session": "hers", "length": 1000000, "stream": true}' >/dev/null &
	wait_metric unrolld_generations_active 1
	as_post "$bob" /sample '{"session": "hers", "wait_ms": 60000}'
	expect_error 404 session session_not_found "hers"
	as_post "$alice" /sample '{"session": "hers"}'
	expect_error 409 session session_busy "hers"
	kill $! && wait $! || true
}

@test "an Idempotency-Key is its owner's" {
	start --auth.keys_file "$keys"
	as_post "$alice" /v1/sessions '{"id": "a"}'
	as "$alice" POST /sample -H 'Content-Type: application/json' \
		-H 'Idempotency-Key: k' -d '{"prompt": "The", "length": 30}'
	local first=$body
	as "$bob" POST /sample -H 'Content-Type: application/json' \
		-H 'Idempotency-Key: k' -d '{"prompt": "The", "length": 30}'
	expect "$status" 200
	[ "$body" != "$first" ]
	as "$alice" POST /sample -H 'Content-Type: application/json' \
		-H 'Idempotency-Key: k' -d '{"prompt": "The", "length": 30}'
	expect "$body" "$first"
}

@test "sessions.max_per_owner counts each owner's" {
	start --auth.keys_file "$keys" --sessions.max_per_owner 2
	local i
	for i in 1 2; do
		as_post "$alice" /v1/sessions '{}'
		expect "$status" 201
		as_post "$bob" /v1/sessions '{}'
		expect "$status" 201
	done
	local id=$(field .id)
	as_post "$bob" /v1/sessions '{}'
	expect "$status" 507
	[[ "$(field .error.message)" == *"2 sessions are stored, 1 more are asked for, sessions.max_per_owner is 2"* ]]
	as "$bob" DELETE "/v1/sessions/$id"
	as_post "$bob" /v1/sessions '{}'
	expect "$status" 201
	as_post "$bob" "/v1/sessions/$(field .id)/fork" '{"n": 1}'
	expect "$status" 507
	as_post "$alice" /v1/sessions '{}'
	expect "$status" 507
}

@test "making room for one owner takes nothing of another's" {
	start --auth.keys_file "$keys" --sessions.max_per_owner 2 --sessions.when_full evict
	as_post "$alice" /v1/sessions '{"id": "hers"}'
	local i
	for i in 1 2 3 4; do
		as_post "$bob" /v1/sessions "{\"id\": \"b$i\"}"
		expect "$status" 201
	done
	as "$bob" GET /v1/sessions
	expect "$(field '.data | length')" 2
	as "$alice" GET /v1/sessions/hers
	expect "$status" 200
}

@test "keys rotate by name, on SIGHUP, and what was begun goes on" {
	start --auth.keys_file "$keys"
	as_post "$alice" /v1/sessions '{"id": "hers"}'
	curl -sSN "$url/sample" -H 'Content-Type: application/json' --max-time 50 \
		-H "X-Api-Key: $alice" -d '{"length": 60000, "stream": true}' \
		>"$BATS_TEST_TMPDIR/stream" &
	local reader=$!
	wait_metric unrolld_generations_active 1
	sed -i 's/alice-secret/fresh-secret/' "$keys"
	kill -HUP "$pid"
	for _ in {1..100}; do
		as fresh-secret-0123456789 GET /v1/sessions/hers
		[ "$status" != 200 ] || break
		sleep 0.05
	done
	expect "$status" 200
	as "$alice" GET /v1/sessions/hers
	expect "$status" 401
	wait $reader
	grep -q '"finish_reason":"length"' "$BATS_TEST_TMPDIR/stream"
	# A file that can't be used changes nothing.
	chmod 644 "$keys"
	kill -HUP "$pid"
	for _ in {1..100}; do
		! grep -q "API keys are not read again" "$BATS_TEST_TMPDIR/err" || break
		sleep 0.05
	done
	grep -q "others may read" "$BATS_TEST_TMPDIR/err"
	as fresh-secret-0123456789 GET /v1/sessions/hers
	expect "$status" 200
	request GET /v1/sessions/hers
	expect "$status" 401
}

@test "keys of the environment; other addresses want keys" {
	UNROLLD_API_KEYS="eve sample $alice; max admin $root" start --http.address 0.0.0.0
	request GET /v1/models
	expect "$status" 401
	as "$alice" GET /v1/models
	expect "$status" 200
	UNROLLD_API_KEY=$alice run -0 "${loose[@]}" "$exe" sessions list --url "$url"
	run -1 "${loose[@]}" "$exe" sessions list --url "$url"
	[[ "$output" == *invalid_api_key* ]]
	run ! env UNROLLD_API_KEYS="eve sample" "${loose[@]}" "$exe" serve --http.port 0
	[[ "$output" == *"the environment's keys, line 1"* ]]
	chmod 644 "$keys"
	run ! "${loose[@]}" "$exe" serve --http.port 0 --auth.keys_file "$keys"
	[[ "$output" == *"has the mode 0644"* ]]
	UNROLLD_API_KEYS="eve sample $alice" run -0 "${loose[@]}" "$exe" serve --print-config
	[[ "$output" != *"$alice"* ]]
}

@test "without keys a bearer token is ignored" {
	start
	as whatever GET /v1/models
	expect "$status" 200
}

@test "files and jobs are of the key that made them" {
	local file job
	start --auth.keys_file "$keys"
	for _ in {1..40}; do echo 'ROMEO: the quick brown fox, O me!'; done \
		>"$BATS_TEST_TMPDIR/text"
	as "$trainer" POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/text"
	expect "$status" 200
	file=$(field .id)
	as_post "$trainer" /v1/fine_tuning/jobs "{\"model\": \"tiny\", \"training_file\": \"$file\", \"hyperparameters\": {\"max_steps\": 2}}"
	expect "$status" 200
	job=$(field .id)
	as "$trainer" GET "/v1/files/$file/content"
	expect "$status" 200
	expect "$body" "$(cat "$BATS_TEST_TMPDIR/text")"
	# Alice may train, too, but not on these.
	as "$alice" GET /v1/files
	expect "$(field '.data | length')" 0
	as "$alice" GET "/v1/files/$file"
	expect "$status" 404
	as "$alice" GET "/v1/files/$file/content"
	expect "$status" 404
	as "$alice" DELETE "/v1/files/$file"
	expect "$status" 404
	as_post "$alice" /v1/fine_tuning/jobs "{\"model\": \"tiny\", \"training_file\": \"$file\"}"
	[[ "$status" == 40[04] ]]
	as "$alice" GET /v1/fine_tuning/jobs
	expect "$(field '.data | length')" 0
	as "$alice" GET "/v1/fine_tuning/jobs/$job/events"
	expect "$status" 404
	as "$alice" POST "/v1/fine_tuning/jobs/$job/cancel"
	expect "$status" 404
	as "$bob" GET "/v1/fine_tuning/jobs/$job"
	expect_error 403 null insufficient_scope "train"
	as "$trainer" GET "/v1/fine_tuning/jobs/$job"
	expect "$status" 200
}
