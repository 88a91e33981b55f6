# What the tests of train, sample and eval share: the program, and a text.

exe=${UNROLLD_EXE:-${BATS_TEST_DIRNAME%/*/*}/build/release/unrolld}
loose=
[ "${VARIANT:-release}" != tsan ] || loose="setarch -R"
# A model that trains in no time.
small=(--hidden 16 --layers 1 --batch 4 --seq-length 16 --sample-every 0)

unrolld() {
	timeout 120 $loose "$exe" "$@"
}

# make_text N: N lines that differ, all of them ASCII.
make_text() {
	local i

	for ((i = 0; i < $1; i++)); do
		echo "Line $i: the quick brown fox, $((i * i % 97)) times!"
	done
}

train_setup() {
	cd "$BATS_TEST_TMPDIR"
	make_text 100 >text
	characters=$(wc -c <text)
	distinct=$(($(tr -d '\n' <text | fold -w1 | sort -u | wc -l) + 1))
}

# Files that must differ.
differ() {
	! cmp -s "$1" "$2" || return 1
}

# Fails unless $output holds each argument.
says() {
	local wanted

	for wanted in "$@"; do
		[[ "$output" == *"$wanted"* ]] || {
			echo "no '$wanted' in: $output"
			return 1
		}
	done
}
