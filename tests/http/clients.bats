# Clients as npm gives them, unmodified:
#     npm install --prefix build/clients openai@6 @ai-sdk/openai-compatible \
#         ai eventsource-parser
# or UNROLLD_CLIENTS names the directory. Skipped where they are not.

bats_require_minimum_version 1.5.0
load daemon
load jobs

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
	make_text "$BATS_FILE_TMPDIR/text"
}

# clients PROGRAM [ARGUMENT...]
clients() {
	local dir=${UNROLLD_CLIENTS:-$PWD/build/clients}

	[ -d "$dir/node_modules/openai" ] && command -v node >/dev/null ||
		skip "no npm packages in $dir"
	timeout 100 node "$BATS_TEST_DIRNAME/$1" "$dir" "$url" "${@:2}"
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
