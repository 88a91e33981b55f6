# Clients as npm gives them, unmodified:
#     npm install --prefix build/clients openai@6 @ai-sdk/openai-compatible \
#         ai eventsource-parser
# or UNROLLD_CLIENTS names the directory. Skipped where they are not.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

clients() {
	local dir=${UNROLLD_CLIENTS:-$PWD/build/clients}

	[ -d "$dir/node_modules/openai" ] && command -v node >/dev/null ||
		skip "no npm packages in $dir"
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
