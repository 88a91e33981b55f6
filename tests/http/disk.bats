# The session store's disk runs full, or is read-only: what needs it fails and
# says so, what doesn't goes on, and what was acknowledged stays.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

setup() {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	mount -t tmpfs -o size=3m unrolld-test "$disk" 2>/dev/null ||
		skip "may not mount a small disk"
}

teardown() {
	[ -z "${pid:-}" ] || stop KILL
	umount "$disk" 2>/dev/null || true
	! grep -E 'ERROR: (Address|Leak|Thread)Sanitizer|runtime error' \
		"$BATS_TEST_TMPDIR/err" || cat "$BATS_TEST_TMPDIR/err"
}

fill() {
	cat /dev/zero >"$disk/fill" 2>/dev/null || true
}

# What the session has said, in one piece.
reference() {
	start --sessions.store memory
	post /v1/sessions '{"id": "a", "seed": 5}'
	post /sample "{\"session\": \"a\", \"length\": $1}"
	field .text
	stop
}

# The last answer's, its line ends kept.
take_text() {
	text+=$(field .text; echo x)
	text=${text%$'\n'x}
}

# Samples until it fails; the text so far is in $text.
say_until_it_fails() {
	local i

	for i in {1..400}; do
		post /sample '{"session": "a", "length": 7}'
		[ "$status" = 200 ] || return 0
		take_text
		# New sessions need new room.
		post /v1/sessions '{}'
	done
	echo "400 requests found room on a full disk" >&2
	return 1
}

# Upkeep may still find room, so not the first needs to fail.
create_until_it_fails() {
	for _ in {1..400}; do
		post /v1/sessions '{}'
		[ "$status" = 201 ] || break
	done
	expect "$status" 507
}

# A stream that fails ends in an error, and was not stored.
stream_until_it_fails() {
	local i

	for i in {1..400}; do
		post /sample '{"session": "a", "length": 7, "stream": true}'
		[[ "$body" != *no_space* ]] || return 0
		text+=$(stream_text <<<"$body"; echo x)
		text=${text%x}
		post /v1/sessions '{}'
	done
	echo "400 streams found room on a full disk" >&2
	return 1
}

@test "a full disk: 507, and all is there when there is room again" {
	local text= position

	start --sessions.path "$disk/s.db"
	post /v1/sessions '{"id": "a", "seed": 5}'
	expect "$status" 201
	post /sample '{"session": "a", "length": 20}'
	take_text
	fill
	say_until_it_fails
	expect_error 507 sessions.path no_space full
	create_until_it_fails
	position=${#text}
	# What needs no store goes on, and reading does.
	post /sample '{"length": 10, "seed": 1}'
	expect "$status" 200
	request GET /v1/sessions/a
	expect "$status" 200
	expect "$(field .position)" "$position"
	stream_until_it_fails
	position=${#text}
	rm "$disk/fill"
	post /sample '{"session": "a", "length": 20}'
	expect "$status" 200
	take_text
	expect "$(field .position)" "$((position + 20))"
	stop
	expect "$ended" 0
	expect "$text" "$(reference $((position + 20)))"
}

@test "killed and started on a full disk: nothing acknowledged is lost" {
	local text= position

	start --sessions.path "$disk/s.db"
	post /v1/sessions '{"id": "a", "seed": 5}'
	fill
	say_until_it_fails
	position=${#text}
	stop KILL
	cat /dev/zero >>"$disk/fill" 2>/dev/null || true
	start --sessions.path "$disk/s.db"
	post /sample '{"length": 10, "seed": 1}'
	expect "$status" 200
	create_until_it_fails
	rm "$disk/fill"
	wait_until_written
	request GET /v1/sessions/a
	expect "$(field .position)" "$position"
	post /sample '{"session": "a", "length": 20}'
	take_text
	stop
	expect "$text" "$(reference $((position + 20)))"
}

# Until a session can be created, for at most 10 s.
wait_until_written() {
	for _ in {1..200}; do
		post /v1/sessions '{}'
		[ "$status" != 201 ] || return 0
		sleep 0.05
	done
	expect "$status" 201
}

@test "a read-only disk: 503, until it can be written" {
	start --sessions.path "$disk/s.db"
	post /v1/sessions '{"id": "a", "seed": 5}'
	post /sample '{"session": "a", "length": 20}'
	local text=
	take_text
	stop
	mount -o remount,ro "$disk" || skip "may not make a disk read-only"
	start --sessions.path "$disk/s.db"
	post /sample '{"length": 10, "seed": 1}'
	expect "$status" 200
	request GET /readyz
	expect "$status" 200
	request GET /v1/sessions/a
	expect_error 503 sessions.path unavailable "Read-only"
	post /sample '{"session": "a", "length": 20}'
	expect_error 503 sessions.path unavailable "Read-only"
	post /v1/sessions '{}'
	expect "$status" 503
	mount -o remount,rw "$disk"
	wait_until_written
	request GET /v1/sessions/a
	expect "$(field .position)" 20
	post /sample '{"session": "a", "length": 20}'
	expect "$status" 200
	take_text
	stop
	expect "$text" "$(reference 40)"
}

@test "an upload that fills the disk is refused and leaves nothing" {
	yes 'Some words of a text.' | head -c 8M >"$BATS_TEST_TMPDIR/large"
	yes 'Some words of a text.' | head -c 10K >"$BATS_TEST_TMPDIR/small"
	start --jobs.dir "$disk/jobs"
	request POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/large"
	expect_error 507 file no_space "the disk is full"
	expect "$(find "$disk/jobs/files" -type f | wc -l)" 0
	request POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/small"
	expect "$status" 200
	id=$(field .id)
	fill
	request POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/small"
	expect "$status" 507
	request GET "/v1/files/$id/content"
	cmp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/small"
	post /sample '{"length": 3}'
	expect "$status" 200
	rm "$disk/fill"
	request POST /v1/files -F purpose=fine-tune -F "file=@$BATS_TEST_TMPDIR/small"
	expect "$status" 200
	stop KILL
	start --jobs.dir "$disk/jobs"
	request GET /v1/files
	expect "$(field '.data | length')" 2
}
