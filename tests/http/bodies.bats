# What is JSON and what is not, as the real daemon sees it.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "each body is taken or refused as its name says, and refused ones change nothing" {
	start --log.level warn
	python3 "$BATS_TEST_DIRNAME/bodies.py" "$url"
	stop
	expect "$ended" 0
}
