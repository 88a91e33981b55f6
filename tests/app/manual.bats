# What is installed beside the program: its manual and its completion, both
# made of what it says of itself.
# run: parallel

exe=${UNROLLD_EXE:-$PWD/build/release/unrolld}

setup() {
	[ "${VARIANT:-release}" != tsan ] || skip "the same program as in release"
}

@test "unrolld(1) has every command and every option of each" {
	conf/manual/manual.sh 1 "$exe" >"$BATS_TEST_TMPDIR/unrolld.1"
	for command in $("$exe" help | awk '/^  [a-z]/ { print $1 }'); do
		grep -q "^\.B unrolld $command$" "$BATS_TEST_TMPDIR/unrolld.1"
		for flag in $("$exe" help "$command" |
			grep -oE '^ +(-., )?--(\[no-\])?[a-z][a-z0-9._-]*' |
			sed 's/.*--/--/'); do
			grep -qF -- "${flag//-/\\-}" "$BATS_TEST_TMPDIR/unrolld.1" || {
				echo "no $flag of $command" >&2
				false
			}
		done
	done
}

@test "unrolld.conf(5) has every option of the file" {
	conf/manual/manual.sh 5 "$exe" >"$BATS_TEST_TMPDIR/unrolld.conf.5"
	n=$(env -i "$exe" serve --print-config | grep -cE '^;?[a-z_]+ =')
	[ "$n" -gt 30 ]
	[ "$(grep -c '^\.TP' "$BATS_TEST_TMPDIR/unrolld.conf.5")" = "$n" ]
	grep -q '^\.SH "\[http\]"' "$BATS_TEST_TMPDIR/unrolld.conf.5"
}

# complete WORD...: what bash would offer for the last of them.
complete_words() {
	COMP_WORDS=("$exe" "$@")
	COMP_CWORD=$#
	_unrolld
	printf '%s\n' "${COMPREPLY[@]}"
}

@test "bash completes commands, actions, flags and choices" {
	source conf/manual/completion.bash
	[ "$(complete_words ser)" = serve ]
	[ "$(complete_words help insp)" = inspect ]
	[ "$(complete_words sessions sna)" = snapshot ]
	[ "$(complete_words sessions list --js)" = --json ]
	[ "$(complete_words serve --http.max_c | head -1)" = --http.max_connections ]
	[ "$(complete_words train --validation-split s)" = stream ]
	[ "$(complete_words serve --log.format j | tr '\n' ' ')" = "journald json " ]
}
