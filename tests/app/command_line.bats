# The command line and the configuration: who says what, and what is wrong.
# run: parallel

exe=${UNROLLD_EXE:-$PWD/build/release/unrolld}

setup() {
	loose=()
	[ "${VARIANT:-release}" != tsan ] || loose=(setarch -R)
	export HOME=$BATS_TEST_TMPDIR
	unset XDG_STATE_HOME STATE_DIRECTORY
}

unrolld() {
	timeout 20 "${loose[@]}" "$exe" "$@"
}

@test "help lists the commands, and explains each" {
	run unrolld --help
	[ "$status" = 0 ]
	for command in serve train sample eval version help; do
		[[ "$output" == *"  $command"* ]]
		run unrolld help "$command"
		[ "$status" = 0 ]
		[[ "$output" == *"usage: unrolld"* ]]
		run unrolld --help
	done
}

@test "unknown commands are a usage error with a suggestion" {
	run unrolld serv
	[ "$status" = 2 ]
	[[ "$output" == *"unknown command 'serv'; did you mean 'serve'?"* ]]
	run unrolld frobnicate
	[ "$status" = 2 ]
	[[ "$output" != *"did you mean"* ]]
	run unrolld
	[ "$status" = 2 ]
}

@test "version names the kernels" {
	run unrolld version
	[ "$status" = 0 ]
	[[ "$output" == "unrolld "[0-9]*.*.* ]]
	[[ "$output" == *"kernels"* ]]
}

@test "serve --help lists options with their defaults" {
	run unrolld serve --help
	[ "$status" = 0 ]
	[[ "$output" == *"--http.port N"* ]]
	grep -q "default$" <<<"$output" || grep -q "8080" <<<"$output"
}

@test "file, then environment, then flags" {
	printf '[http]\nport = 1111\naddress = ::1\nmax_url = 1K\n' >"$BATS_TEST_TMPDIR/c"
	export UNROLLD_HTTP_PORT=2222 UNROLLD_HTTP_MAX_URL=2K
	run unrolld serve --config "$BATS_TEST_TMPDIR/c" --print-config --http.max_url 3K
	[ "$status" = 0 ]
	grep -q '^address = ::1$' <<<"$output"
	grep -q '^port = 2222$' <<<"$output"
	grep -q '^max_url = 3K$' <<<"$output"
	# Reading it back gives the same.
	unset UNROLLD_HTTP_PORT UNROLLD_HTTP_MAX_URL
	echo "$output" >"$BATS_TEST_TMPDIR/d"
	run unrolld serve --config "$BATS_TEST_TMPDIR/d" --print-config
	[ "$output" = "$(cat "$BATS_TEST_TMPDIR/d")" ]
}

@test "wrong options are named with their place" {
	printf '[http]\nprot = 1\n' >"$BATS_TEST_TMPDIR/c"
	run unrolld serve --config "$BATS_TEST_TMPDIR/c"
	[ "$status" = 2 ]
	[[ "$output" == *"/c:2"*"http.prot"*"http.port"* ]]
	run unrolld serve --http.port 70000
	[ "$status" = 2 ]
	[[ "$output" == *"--http.port"*"70000"*"65535"* ]]
	UNROLLD_HTTP_PORT=x run unrolld serve
	[ "$status" = 2 ]
	[[ "$output" == *"UNROLLD_HTTP_PORT"*"x"* ]]
	run unrolld serve --http.cors_origins app.example --sessions.store memory
	[ "$status" = 1 ]
	[[ "$output" == *"http.cors_origins 'app.example'"* ]]
	run unrolld serve --config "$BATS_TEST_TMPDIR/none"
	[ "$status" = 1 ]
	[[ "$output" == *"$BATS_TEST_TMPDIR/none"* ]]
	run unrolld serve stray
	[ "$status" = 2 ]
	[[ "$output" == *"stray"* ]]
}

@test "what Kubernetes sets for a service named unrolld does no harm" {
	UNROLLD_SERVICE_HOST=10.0.0.1 UNROLLD_PORT=tcp://10.0.0.1:80 \
		UNROLLD_PORT_80_TCP_ADDR=10.0.0.1 \
		run unrolld serve --print-config
	[ "$status" = 0 ]
}

@test "the sample file in conf/ is what the program prints" {
	run env -i "PATH=$PATH" "${loose[@]}" "$exe" serve --print-config
	[ "$status" = 0 ]
	[ "$output" = "$(cat conf/unrolld.conf.sample)" ]
}

@test "sessions go to the state directory, and it is made" {
	local dir
	unset UNROLLD_SESSIONS_PATH
	for dir in STATE_DIRECTORY=$BATS_TEST_TMPDIR/sys:$BATS_TEST_TMPDIR/b=$BATS_TEST_TMPDIR/sys \
		XDG_STATE_HOME=$BATS_TEST_TMPDIR/xdg=$BATS_TEST_TMPDIR/xdg/unrolld \
		HOME=$BATS_TEST_TMPDIR/home=$BATS_TEST_TMPDIR/home/.local/state/unrolld; do
		env "${dir%=*}" "${loose[@]}" timeout 20 "$exe" serve --http.port 0 \
			--models.dir "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
		for _ in {1..200}; do
			! grep -q http:// "$BATS_TEST_TMPDIR/out" || break
			sleep 0.05
		done
		kill "$!"
		wait "$!"
		[ -f "${dir##*=}/sessions.db" ]
		: >"$BATS_TEST_TMPDIR/out"
	done
	HOME= run unrolld serve --http.port 0
	[ "$status" = 2 ]
	[[ "$output" == *"sessions.path is not set"* ]]
}

@test "a state directory that can't be made is named" {
	echo file >"$BATS_TEST_TMPDIR/file"
	run unrolld serve --http.port 0 --sessions.path "$BATS_TEST_TMPDIR/file/x/s.db"
	[ "$status" = 1 ]
	[[ "$output" == *"sessions.path"*"$BATS_TEST_TMPDIR/file"* ]]
}

@test "what can't be written is no success" {
	[ -c /dev/full ] || skip "no /dev/full"
	local command
	for command in version help 'help train' 'serve --print-config' 'bench --help'; do
		run bash -c "${loose[*]} '$exe' $command >/dev/full"
		[ "$status" = 1 ]
		[[ "$output" == *"standard output: "* ]]
	done
}

@test "actions have help of their own, too" {
	run unrolld help jobs create
	[ "$status" = 0 ]
	[[ "$output" == "usage: unrolld jobs create TEXT "* ]]
	run unrolld help sessions rewind
	[ "$status" = 0 ]
	[[ "$output" == *"--position N"* ]]
	[[ "$output" != *18446744073709551615* ]]
	run unrolld help sessions frobnicate
	[ "$status" = 2 ]
}

@test "kernels that there are not are refused" {
	UNROLLD_KERNELS=foo run unrolld version
	[ "$status" = 2 ]
	[[ "$output" == *"UNROLLD_KERNELS is 'foo', expected generic, avx2"* ]]
	UNROLLD_KERNELS=generic run unrolld version
	[ "$status" = 0 ]
	[[ "$output" == *"kernels generic"* ]]
}

@test "a daemon does not start on what it would ignore" {
	serve() {
		run unrolld serve --http.port 0 --sessions.store memory "$@"
		[ "$status" != 0 ]
	}
	echo text >"$BATS_TEST_TMPDIR/text"
	serve --models.dir "$BATS_TEST_TMPDIR/text"
	[ "$status" = 1 ]
	[[ "$output" == *"$BATS_TEST_TMPDIR/text"* ]]
	[[ "$output" != *listening* ]]
	serve --auth.create_keys_file
	[[ "$output" == *"auth.create_keys_file is set, but auth.keys_file names no file"* ]]
	UNROLLD_API_KEYS= serve --auth.create_keys_file
	[[ "$output" == *"names no file"* ]]
	# A key that nobody saw would be nobody's.
	[ ! -c /dev/full ] || {
		run bash -c "timeout 20 ${loose[*]} '$exe' serve --http.port 0 --sessions.store memory \
			--auth.create_keys_file --auth.keys_file '$BATS_TEST_TMPDIR/keys' >/dev/full"
		[ "$status" = 1 ]
		[[ "$output" == *"auth.create_keys_file: standard output: No space left on device"* ]]
		[ ! -e "$BATS_TEST_TMPDIR/keys" ]
	}
	mkdir "$BATS_TEST_TMPDIR/models"
	serve --models.dir "$BATS_TEST_TMPDIR/models" --http.address 0.0.0.0
	[[ "$output" == *"http.address is one that can be reached from the network"* ]]
}
