# Clients as npm gives them, unmodified. `make test-clients` gets them, as
# package.json beside this lists them; skipped where they are not.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

clients() {
	local dir=$BATS_TEST_DIRNAME

	[ -d "$dir/node_modules/openai" ] && command -v node >/dev/null ||
		skip "no npm packages: see make test-clients"
	run -0 timeout 50 node "$BATS_TEST_DIRNAME/clients.mjs" "$dir" "$url"
	echo "$output"
}

@test "complete, stream, leave, fail and retry" {
	start
	clients
}

@test "the same with a key" {
	export KEY=a-secret-of-sixteen
	UNROLLD_API_KEYS="me sample $KEY" start
	clients
}
