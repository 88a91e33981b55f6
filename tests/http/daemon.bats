# The daemon as a process: its start, its end, its files and its signals.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "the curl line that it prints works as pasted" {
	start
	sed -n '/^  curl/,/^$/p' "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/line"
	body=$(sh "$BATS_TEST_TMPDIR/line")
	expect "$(field .usage.completion_tokens)" 300
}

@test "a port in use is named, with the address" {
	start
	run timeout 20 "${loose[@]}" "$exe" serve --http.port "${url##*:}" \
		--models.dir "$BATS_FILE_TMPDIR/models" --sessions.store memory
	expect "$status" 1
	[[ "$output" == *"cannot listen on 127.0.0.1 port ${url##*:}: Address already in use"* ]]
}

@test "a session file in use is refused" {
	start
	run timeout 20 "${loose[@]}" "$exe" serve --http.port 0 \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--sessions.path "$BATS_TEST_TMPDIR/sessions.db"
	expect "$status" 1
	[[ "$output" == *"$BATS_TEST_TMPDIR/sessions.db"* ]]
	post /sample '{"length": 5}'
	expect "$status" 200
}

@test "a session file that is none is refused, and left alone" {
	echo "not a database, but quite long enough to look at" \
		>"$BATS_TEST_TMPDIR/sessions.db"
	cp "$BATS_TEST_TMPDIR/sessions.db" "$BATS_TEST_TMPDIR/copy"
	run timeout 20 "${loose[@]}" "$exe" serve --http.port 0 \
		--models.dir "$BATS_FILE_TMPDIR/models" \
		--sessions.path "$BATS_TEST_TMPDIR/sessions.db"
	expect "$status" 1
	[[ "$output" == *"sessions.db"* ]]
	cmp "$BATS_TEST_TMPDIR/sessions.db" "$BATS_TEST_TMPDIR/copy"
}

@test "an address that the network reaches wants a yes" {
	run timeout 20 "${loose[@]}" "$exe" serve --http.port 0 \
		--http.address 0.0.0.0 --sessions.store memory \
		--models.dir "$BATS_FILE_TMPDIR/models"
	expect "$status" 1
	[[ "$output" == *"auth.allow_anonymous"* ]]
	start --http.address 0.0.0.0 --auth.allow_anonymous
	request GET /v1/models -H 'Host: anything.example'
	expect "$status" 200
}

@test "IPv6" {
	[ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6 || skip "no IPv6 here"
	start --http.address ::1
	[[ "$url" == "http://[::1]:"* ]]
	post /sample '{"length": 5}'
	expect "$status" 200
}

@test "SIGTERM and SIGINT end it with 0, without connections left waiting" {
	local signal
	for signal in TERM INT; do
		start
		post /sample '{"length": 5}'
		stop "$signal"
		expect "$ended" 0
	done
}

@test "an idle connection does not hold up the end" {
	start --http.drain_timeout 20s
	exec {fd}<>"/dev/tcp/127.0.0.1/${url##*:}"
	printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n' >&"$fd"
	read -r -t 5 line <&"$fd"
	[[ "$line" == "HTTP/1.1 200 OK"* ]]
	SECONDS=0
	stop TERM
	expect "$ended" 0
	[ "$SECONDS" -lt 5 ]
	exec {fd}>&-
}

@test "a second signal ends it at once" {
	start --http.drain_timeout 30s
	curl -sSN --max-time 30 -H 'Content-Type: application/json' \
		-d '{"length": 1000000, "n": 16, "stream": true}' \
		"$url/sample" >/dev/null 2>&1 3>&- &
	wait_metric unrolld_slots_active 16
	kill -TERM "$pid"
	kill -TERM "$pid"
	sleep 0.8
	kill -0 "$pid"
	stop TERM
	expect "$ended" 143
}

@test "new requests are refused while it drains" {
	start --http.drain_timeout 20s
	exec {fd}<>"/dev/tcp/127.0.0.1/${url##*:}"
	curl -sSN --max-time 30 --limit-rate 400K -H 'Content-Type: application/json' \
		-d '{"length": 200000, "n": 4, "stream": true}' \
		"$url/sample" >/dev/null 2>&1 3>&- &
	local job=$!
	wait_metric unrolld_slots_active 4
	kill -TERM "$pid"
	sleep 0.3
	# It was connected before: it is told. New ones can't connect.
	printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n' >&"$fd"
	local answer
	answer=$(timeout 10 cat <&"$fd")
	[[ "$answer" == *"503 Service Unavailable"* ]]
	[[ "$answer" == *"draining"* ]]
	[[ "$answer" == *"Connection: close"* ]]
	! curl -sS --max-time 5 "$url/healthz" 2>/dev/null
	kill "$job"
	ended=0
	wait "$waiter" || ended=$?
	expect "$ended" 0
	pid=
}

@test "SIGHUP reads the models again" {
	cp -r "$BATS_FILE_TMPDIR/models" "$BATS_TEST_TMPDIR/models"
	start --models.dir "$BATS_TEST_TMPDIR/models"
	cp "$BATS_TEST_TMPDIR/models/tiny.safetensors" \
		"$BATS_TEST_TMPDIR/models/copy.safetensors"
	echo broken >"$BATS_TEST_TMPDIR/models/broken.safetensors"
	kill -HUP "$pid"
	wait_metric unrolld_models 2
	post /sample '{"model": "copy", "length": 5}'
	expect "$status" 200
	grep -q 'broken.safetensors' "$BATS_TEST_TMPDIR/err"
	rm "$BATS_TEST_TMPDIR/models/copy.safetensors"
	kill -HUP "$pid"
	wait_metric unrolld_models 1
	post /sample '{"model": "copy", "length": 5}'
	expect "$status" 404
}

@test "a file as models.dir is the one model" {
	start --models.dir "$BATS_FILE_TMPDIR/models/tiny.safetensors"
	request GET /v1/models
	expect "$(field '[.data[].id] | join(" ")')" tiny
}

# policy TASK: its scheduling policy, of /proc (2 is SCHED_RR; 3, SCHED_BATCH,
# is behind SCHED_OTHER).
policy() {
	sed 's/.*) //' "/proc/$pid/task/$1/stat" | cut -d' ' -f39
}

@test "the loop goes first where it may, and nobody else" {
	local task

	start
	[ "$(policy "$pid")" = 2 ] ||
		grep -q 'no real-time priority' "$BATS_TEST_TMPDIR/err"
	for task in "/proc/$pid/task"/*; do
		task=${task##*/}
		[ "$task" != "$pid" ] || continue
		case $(<"/proc/$pid/task/$task/comm") in
		captions | job) [[ $(policy "$task") == [03] ]] ;;
		*) expect "$(policy "$task")" 0 ;;
		esac
	done
	stop
	start --http.realtime=false
	expect "$(policy "$pid")" 0
}

@test "a model's own weight type" {
	cp -r "$BATS_FILE_TMPDIR/models" "$BATS_TEST_TMPDIR/models"
	cp "$BATS_TEST_TMPDIR/models/tiny.safetensors" \
		"$BATS_TEST_TMPDIR/models/copy.safetensors"
	start --models.dir "$BATS_TEST_TMPDIR/models" --engine.weights bf16 \
		--models.weights copy=int8
	post /sample '{"model": "copy", "length": 5}'
	expect "$(field .system_fingerprint | cut -d- -f2)" int8
	post /sample '{"model": "tiny", "length": 5}'
	expect "$(field .system_fingerprint | cut -d- -f2)" bf16
	stop
	start --models.dir "$BATS_TEST_DIRNAME/../../conf/models/shakespeare.safetensors"
	post /sample '{"length": 5}'
	expect "$(field .system_fingerprint | cut -d- -f2)" bf16
	stop
	run "$UNROLLD_EXE" serve --models.weights copy=int4
	[ "$status" = 2 ]
	[[ $output == *"models.weights is 'copy=int4', expected NAME=TYPE"* ]]
}

@test "a broken model is left out and named" {
	cp -r "$BATS_FILE_TMPDIR/models" "$BATS_TEST_TMPDIR/models"
	head -c 1000 "$BATS_FILE_TMPDIR/models/tiny.safetensors" \
		>"$BATS_TEST_TMPDIR/models/cut.safetensors"
	start --models.dir "$BATS_TEST_TMPDIR/models"
	request GET /v1/models
	expect "$(field '[.data[].id] | join(" ")')" tiny
	grep -q 'cut.safetensors' "$BATS_TEST_TMPDIR/err"
}

@test "it starts quickly and stays small" {
	[ "${VARIANT:-release}" = release ] || skip "sanitizers are neither"
	start
	local rss
	post /sample '{"length": 500}'
	rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
	[ "$rss" -lt 30000 ]
	stop
	local from=$EPOCHREALTIME to
	start
	to=$EPOCHREALTIME
	# Half a second, on a machine that may be busy.
	awk -v a="$from" -v b="$to" 'BEGIN { exit !(b - a < 0.5) }'
}

@test "each request is one line of the log" {
	start
	post /sample '{"length": 5}'
	request GET "/a%0Ab%22"
	stop
	grep -q 'msg=request method=POST path=/sample status=200' "$BATS_TEST_TMPDIR/err"
	expect "$(grep -c 'msg=request' "$BATS_TEST_TMPDIR/err")" 2
}
