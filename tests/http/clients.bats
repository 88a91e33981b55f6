# Clients as npm gives them, unmodified. `make test-clients` gets them, as
# package.json beside this lists them; skipped where they are not.

bats_require_minimum_version 1.5.0
load daemon
load jobs

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_text "$BATS_FILE_TMPDIR/text"
}

# clients PROGRAM [ARGUMENT...]
clients() {
	local dir=$BATS_TEST_DIRNAME

	[ -d "$dir/node_modules/openai" ] && command -v node >/dev/null ||
		skip "no npm packages: see make test-clients"
	run -0 timeout 100 node "$dir/$1" "$dir" "$url" "${@:2}"
	echo "$output"
}

@test "complete, stream, leave, fail and retry" {
	start
	clients clients.mjs
}

@test "the same with a key" {
	export KEY=a-secret-of-sixteen
	UNROLLD_API_KEYS="me sample $KEY" start
	clients clients.mjs
}

@test "fine-tune: upload, follow, pause, resume, cancel, sample what was made" {
	start
	clients clients_jobs.mjs "$BATS_FILE_TMPDIR/text"
}

@test "fine-tune with a key" {
	export KEY=a-secret-of-sixteen
	UNROLLD_API_KEYS="me sample,train $KEY" start
	clients clients_jobs.mjs "$BATS_FILE_TMPDIR/text"
}
