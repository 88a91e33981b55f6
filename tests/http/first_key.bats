# Keys that nobody had to make: the first start's own, and systemd's credential.

bats_require_minimum_version 1.5.0
load daemon.bash

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" demo
}

setup() {
	keys=$BATS_TEST_TMPDIR/keys
	first=(--http.address 0.0.0.0 --auth.keys_file "$keys"
		--auth.create_keys_file)
	unset UNROLLD_API_KEYS UNROLLD_API_KEY CREDENTIALS_DIRECTORY
}

printed_key() {
	sed -n 's/.*export UNROLLD_API_KEY=//p' "$BATS_TEST_TMPDIR/out"
}

with_key() {
	request POST /sample -H 'Content-Type: application/json' \
		-H "Authorization: Bearer $1" --data-binary '{"length": 3}'
}

@test "the first start makes a key and shows it, the next ones don't" {
	start "${first[@]}"
	key=$(printed_key)
	[[ "$key" =~ ^ur-[0-9a-f]{48}$ ]]
	expect "$(stat -c %a "$keys")" 600
	! grep -q "$key" "$keys" "$BATS_TEST_TMPDIR/err"
	grep -q 'Bearer $UNROLLD_API_KEY' "$BATS_TEST_TMPDIR/out"
	post /sample '{"length": 3}'
	expect "$status" 401
	with_key "$key"
	expect "$status" 200
	stop
	start "${first[@]}"
	[ -z "$(printed_key)" ]
	with_key "$key"
	expect "$status" 200
}

@test "keys of the environment, or a wish for none, make none" {
	export UNROLLD_API_KEYS="me admin me-secret-0123456789"
	start "${first[@]}"
	[ -z "$(printed_key)" ]
	[ ! -e "$keys" ]
	with_key me-secret-0123456789
	expect "$status" 200
	stop
	unset UNROLLD_API_KEYS
	start "${first[@]}" --auth.allow_anonymous
	[ ! -e "$keys" ]
	post /sample '{"length": 3}'
	expect "$status" 200
}

@test "where no key can be written nothing starts" {
	run -1 timeout 20 "${loose[@]}" "$exe" serve --http.port 0 \
		--http.address 0.0.0.0 --sessions.store memory \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--auth.keys_file /nowhere/keys --auth.create_keys_file
	[[ "$output" == *"auth.create_keys_file: "*"/nowhere/keys"* ]]
}

@test "a credential of systemd's is the file of keys" {
	mkdir "$BATS_TEST_TMPDIR/credentials"
	echo "me admin me-secret-0123456789" \
		>"$BATS_TEST_TMPDIR/credentials/unrolld.keys"
	chmod 400 "$BATS_TEST_TMPDIR/credentials/unrolld.keys"
	CREDENTIALS_DIRECTORY=$BATS_TEST_TMPDIR/credentials start
	post /sample '{"length": 3}'
	expect "$status" 401
	with_key me-secret-0123456789
	expect "$status" 200
}

@test "a credential that can't be read does not pass for none" {
	mkdir "$BATS_TEST_TMPDIR/credentials"
	ln -s unrolld.keys "$BATS_TEST_TMPDIR/credentials/unrolld.keys"
	run -1 env CREDENTIALS_DIRECTORY="$BATS_TEST_TMPDIR/credentials" \
		timeout 20 "${loose[@]}" "$exe" serve --http.port 0 \
		--sessions.store memory --models.dir "$BATS_FILE_TMPDIR/models"
	[[ "$output" == *"unrolld.keys: Too many levels of symbolic links"* ]]
}
