# Copies of the session store: taken beside a daemon at work, put back without.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

# sessions ACTION FILE: of this test's store.
sessions() {
	"${loose[@]}" "$exe" sessions "$@" \
		--sessions.path "$BATS_TEST_TMPDIR/sessions.db" \
		>"$BATS_TEST_TMPDIR/said" 2>&1
}

position() {
	request GET "/v1/sessions/$1"
	expect "$status" 200
	expect "$(field .position)" "$2"
}

@test "a backup is of one moment, and is put back whole" {
	local copy=$BATS_TEST_TMPDIR/copy.db client n

	start
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 5}'
	post /v1/sessions '{"id": "b", "model": "tiny", "seed": 6}'
	post /sample '{"session": "a", "length": 30}'
	# The daemon goes on while it is copied.
	(
		while [ ! -e "$BATS_TEST_TMPDIR/copied" ]; do
			curl -sS --max-time 20 -H 'Content-Type: application/json' \
				-d '{"session": "b", "length": 5}' "$url/sample"
		done >/dev/null
	) 3>&- &
	client=$!
	sessions backup "$copy"
	touch "$BATS_TEST_TMPDIR/copied"
	wait "$client"
	# Two sessions, and what belongs to them by then.
	grep -qE '([2-9]|[1-9][0-9]+) entries' "$BATS_TEST_TMPDIR/said"
	expect "$(stat -c %a "$copy")" 600
	[ ! -e "$copy-wal" ]
	post /sample '{"session": "a", "length": 30}'
	position a 60
	request DELETE /v1/sessions/b
	stop
	sessions restore "$copy"
	grep -q 'former store is now' "$BATS_TEST_TMPDIR/said"
	start
	position a 30
	request GET /v1/sessions/b
	n=$(field .position)
	expect $((n % 5)) 0
	# It goes on as it did from there.
	post /sample '{"session": "a", "length": 30}'
	local again=$(field .text)
	post /v1/sessions '{"id": "r", "model": "tiny", "seed": 5}'
	post /sample '{"session": "r", "length": 30}'
	post /sample '{"session": "r", "length": 30}'
	expect "$again" "$(field .text)"
}

@test "what is not restored, and why" {
	start
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 5}'
	sessions backup "$BATS_TEST_TMPDIR/copy.db"
	! sessions restore "$BATS_TEST_TMPDIR/copy.db"
	grep -q "another unrolld has it open (process $pid)" "$BATS_TEST_TMPDIR/said"
	stop
	! sessions restore "$BATS_TEST_TMPDIR/none.db"
	grep -q 'no such store' "$BATS_TEST_TMPDIR/said"
	echo 'no database' >"$BATS_TEST_TMPDIR/text"
	! sessions restore "$BATS_TEST_TMPDIR/text"
	grep -q 'not a database' "$BATS_TEST_TMPDIR/said"
	truncate -s -8192 "$BATS_TEST_TMPDIR/copy.db"
	! sessions restore "$BATS_TEST_TMPDIR/copy.db"
	grep -Eq 'damaged|malformed' "$BATS_TEST_TMPDIR/said"
	! sessions backup
	grep -q 'no file named' "$BATS_TEST_TMPDIR/said"
	! sessions backup "$BATS_TEST_TMPDIR/sessions.db"
	grep -q 'are one file' "$BATS_TEST_TMPDIR/said"
	# The store is what it was.
	start
	position a 0
	expect "$(find "$BATS_TEST_TMPDIR" -name '*.tmp' | wc -l)" 0
}

@test "a store that another has, and files that only their owner reads" {
	start
	post /v1/sessions '{"id": "a", "model": "tiny", "seed": 5}'
	for file in sessions.db sessions.db-wal sessions.db-shm sessions.db.lock; do
		expect "$(stat -c %a "$BATS_TEST_TMPDIR/$file")" 600
	done
	run "${loose[@]}" "$exe" serve --http.port 0 \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--sessions.path "$BATS_TEST_TMPDIR/sessions.db"
	expect "$status" 1
	[[ "$output" == *"another unrolld has it open (process $pid)"* ]]
	# What it waits for, and how its groups do, are measured.
	request GET /metrics
	expect "$status" 200
	[[ "$body" == *unrolld_store_commits_total{outcome=\"ok\"}\ 1* ]]
	[[ "$body" == *unrolld_store_lag_seconds\ 0* ]]
	[[ "$body" == *unrolld_store_pending_bytes\ 0* ]]
}
