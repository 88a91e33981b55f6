# One binary for every x86-64, from the first to those with AVX-512: qemu's
# processors run it, each with the kernels that it has.

bats_require_minimum_version 1.5.0

setup() {
	exe=${UNROLLD_EXE:-$PWD/build/release/unrolld}
	command -v qemu-x86_64-static >/dev/null || skip "needs qemu-user-static"
	[ "$(uname -m)" = x86_64 ] || skip "needs an x86-64"
}

on() {
	local processor=$1

	shift
	qemu-x86_64-static -cpu "$processor" "$exe" "$@" 2>"$BATS_TEST_TMPDIR/err"
}

sample() {
	"$@" sample conf/models/tang.safetensors -p 春风 -n 12 --seed 2
}

@test "each processor has its kernels, and one seed one text on them" {
	local processor kernels here

	here=$("$exe" version | sed -n 's/^kernels //p')
	echo "# this machine: $here" >&3
	while read -r processor kernels; do
		[ "$(on "$processor" version | sed -n 's/^kernels //p')" = "$kernels" ]
		sample on "$processor" >"$BATS_TEST_TMPDIR/there"
		grep -q '^春风..' "$BATS_TEST_TMPDIR/there"
		# What this machine lacks it can't be held against.
		case $here in generic) [ "$kernels" = generic ] || continue ;; esac
		sample env UNROLLD_KERNELS="$kernels" "$exe" >"$BATS_TEST_TMPDIR/here"
		cmp "$BATS_TEST_TMPDIR/there" "$BATS_TEST_TMPDIR/here"
	done <<-END
		qemu64 generic
		Nehalem generic
		Haswell avx2
	END
}
