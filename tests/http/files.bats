#!/usr/bin/env bats
# Files: uploads as clients send them, what is refused and why, limits, lists,
# and what a kill in the middle leaves.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

setup() {
	dir=$BATS_TEST_TMPDIR
	printf 'Some text of many words.\n' >"$dir/a.txt"
}

# upload [CURL -F ARGUMENT...]: of purpose fine-tune; sets $id.
upload() {
	local form=(-F purpose=fine-tune) part

	for part in "$@"; do
		form+=(-F "$part")
	done
	request POST /v1/files "${form[@]}"
	id=$(jq -r .id <<<"$body")
}

# stored: how many files there are on disk, half ones included.
stored() {
	find "$dir/jobs/files" -type f | wc -l
}

@test "a file is described in OpenAI's shape, read back and deleted" {
	start
	upload "file=@$dir/a.txt"
	[ "$status" = 200 ]
	[ "$(jq -c 'del(.id, .created_at)' <<<"$body")" = '{"object":"file","bytes":25,"expires_at":null,"filename":"a.txt","purpose":"fine-tune","status":"processed","status_details":null,"encoding":"utf-8","format":"text","hash":"xxh3-128:'"$(xxhsum_128 "$dir/a.txt")"'"}' ]
	[ "$(jq '.created_at - now | fabs < 60' <<<"$body")" = true ]
	described=$body
	request GET "/v1/files/$id"
	[ "$status" = 200 ]
	[ "$body" = "$described" ]
	request GET "/v1/files/$id/content"
	[ "$status" = 200 ]
	cmp "$dir/a.txt" "$dir/body"
	grep -q '^Content-Length: 25$' <<<"$head"
	request DELETE "/v1/files/$id"
	[ "$body" = "{\"id\":\"$id\",\"object\":\"file\",\"deleted\":true}" ]
	for path in "" /content; do
		request GET "/v1/files/$id$path"
		[ "$status" = 404 ]
		[ "$(jq -r .error.param <<<"$body")" = file ]
	done
	[ "$(stored)" = 0 ]
}

# The sum that the daemon says; cmp has compared the bytes, this the form.
xxhsum_128() {
	jq -r '.hash | sub("xxh3-128:"; "")' <<<"$body" | grep -xE '[0-9a-f]{32}'
}

@test "a large file comes back as it went, and stays over a restart" {
	seq 1 2000000 >"$dir/large.txt"
	start
	# The file first, as OpenAI's client sends it.
	request POST /v1/files -F "file=@$dir/large.txt" -F purpose=fine-tune
	[ "$status" = 200 ]
	[ "$(jq .bytes <<<"$body")" = "$(stat -c %s "$dir/large.txt")" ]
	described=$body
	id=$(jq -r .id <<<"$body")
	stop
	[ "$ended" = 0 ]
	start
	request GET "/v1/files/$id"
	[ "$body" = "$described" ]
	curl -sS "$url/v1/files/$id/content" | cmp - "$dir/large.txt"
	# Chunked, without a length that is known before.
	curl -sS -H 'Transfer-Encoding: chunked' -F purpose=fine-tune \
		-F "file=@$dir/large.txt" "$url/v1/files" >"$dir/answer"
	[ "$(jq -r .hash "$dir/answer")" = "$(jq -r .hash <<<"$described")" ]
}

@test "lists page in both orders" {
	start
	for i in 1 2 3 4; do
		upload "file=@$dir/a.txt;filename=$i"
	done
	names() {
		request GET "/v1/files$1"
		[ "$status" = 200 ]
		jq -c '[[.data[].filename | tonumber], .has_more]' <<<"$body"
	}
	[ "$(names '')" = '[[4,3,2,1],false]' ]
	[ "$(names '?order=asc&limit=3')" = '[[1,2,3],true]' ]
	[ "$(names '?limit=3&purpose=fine-tune')" = '[[4,3,2],true]' ]
	request GET '/v1/files?limit=3'
	[ "$(names "?after=$(jq -r .last_id <<<"$body")&limit=1")" = '[[1],false]' ]
	[ "$(names '?purpose=batch')" = '[[],false]' ]
	request GET '/v1/files?after=file-none'
	[ "$status" = 404 ]
	request GET '/v1/files?order=down'
	[ "$status" = 400 ]
	[ "$(jq -r .error.message <<<"$body")" = "order is 'down', expected asc or desc" ]
	request GET '/v1/files?limit=0'
	[ "$status" = 400 ]
}

# refused STATUS PARAM MESSAGE
refused() {
	echo "$body"
	[ "$status" = "$1" ]
	[ "$(jq -r .error.param <<<"$body")" = "$2" ]
	[ "$(jq -r .error.message <<<"$body")" = "$3" ]
}

@test "what can't be learnt from is refused with its fault" {
	start
	printf 'abc\xe4\xf6' >"$dir/latin1"
	upload "file=@$dir/latin1"
	refused 422 encoding 'invalid UTF-8 at byte 3: 0xe4 0xf6'
	upload "file=@$dir/latin1;type=text/plain;charset=latin1"
	[ "$status" = 200 ]
	[ "$(jq -r .encoding <<<"$body")" = latin1 ]
	upload "file=@$dir/latin1;type=text/plain;charset=latin1" encoding=utf-8
	refused 422 encoding 'invalid UTF-8 at byte 3: 0xe4 0xf6'
	upload "file=@$dir/a.txt" encoding=nonsense
	[ "$status" = 400 ]
	[ "$(jq -r .error.param <<<"$body")" = encoding ]
	upload "file=@/dev/null"
	refused 400 file 'the file is empty, expected a text'
	head -c 100 /dev/zero >"$dir/zeros"
	upload "file=@$dir/zeros"
	refused 422 file 'character 1 is a NUL: this is no text, or not in this encoding'
	head -c 5000 "$exe" >"$dir/program"
	upload "file=@$dir/program"
	[ "$status" = 422 ]
	[[ "$(jq -r .error.message <<<"$body")" == "invalid UTF-8 at byte "* ||
		"$(jq -r .error.message <<<"$body")" == "character "*" is a NUL"* ]]
	printf '{"text": "a"}\n\n{"prompt": "b"}\n' >"$dir/b.jsonl"
	upload "file=@$dir/b.jsonl"
	refused 422 file 'line 3: `text` is missing or no string, expected a JSON object with a string `text`'
	upload "file=@$dir/b.jsonl" format=text
	[ "$status" = 200 ]
	[ "$(jq -r .format <<<"$body")" = text ]
	[ "$(stored)" = 2 ]
}

@test "fields that are missing, wrong or unknown are named" {
	start
	request POST /v1/files -F "file=@$dir/a.txt"
	refused 400 purpose "purpose is missing, expected 'fine-tune'"
	request POST /v1/files -F "file=@$dir/a.txt" -F purpose=batch
	refused 400 purpose "purpose is 'batch', expected fine-tune"
	request POST /v1/files -F purpose=fine-tune
	refused 400 file "file is missing"
	upload "file=@$dir/a.txt" format=xml
	refused 400 format "format is 'xml', expected text or jsonl"
	upload "file=@$dir/a.txt" "expires_after[seconds]=3600"
	refused 400 'expires_after[seconds]' "unknown field 'expires_after[seconds]', expected file, purpose, encoding or format"
	upload "file=@$dir/a.txt" "file=@$dir/a.txt"
	refused 400 file "file is given twice"
	request POST /v1/files -H 'Content-Type: text/plain' -d x
	[ "$status" = 415 ]
	request POST /v1/files -H 'Content-Type: multipart/form-data; boundary=x' \
		--data-binary 'nothing'
	refused 400 null 'the multipart body is malformed: it ends before its last boundary'
	[ "$(stored)" = 0 ]
}

@test "sizes and quotas are limits, also of what comes in chunks" {
	start --files.max_size 100K --files.quota 150K --files.max 3
	head -c 90K /dev/zero | tr '\0' a >"$dir/90k"
	head -c 400K /dev/zero | tr '\0' a >"$dir/400k"
	upload "file=@$dir/400k"
	[ "$status" = 413 ]
	status=$(curl -sS -o "$dir/body" -w '%{http_code}' -F purpose=fine-tune \
		-H 'Transfer-Encoding: chunked' -F "file=@$dir/400k" "$url/v1/files")
	[ "$status" = 413 ]
	head -c 101K /dev/zero | tr '\0' a >"$dir/101k"
	upload "file=@$dir/101k"
	refused 413 file "the file is longer than the 102400 bytes that files.max_size allows"
	upload "file=@$dir/90k"
	[ "$status" = 200 ]
	first=$id
	upload "file=@$dir/90k"
	refused 507 file "all files would take more than the 153600 bytes that files.quota allows; delete some"
	request DELETE "/v1/files/$first"
	upload "file=@$dir/90k"
	[ "$status" = 200 ]
	upload "file=@$dir/a.txt"
	upload "file=@$dir/a.txt"
	[ "$status" = 200 ]
	upload "file=@$dir/a.txt"
	refused 507 null "there are 3 files already, as many as files.max allows; delete some"
	[ "$(stored)" = 3 ]
}

# send: an upload from standard input, as it comes.
send() {
	{
		printf -- '--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nfine-tune\r\n'
		printf -- '--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n'
		cat
		printf -- '\r\n--x--\r\n'
	} | curl -sSN --max-time 60 -X POST -T - -H Expect: \
		-H 'Content-Type: multipart/form-data; boundary=x' "$url/v1/files"
}

# slow_upload: begins one and leaves it in the middle; sets $client. Closing
# descriptor 9 goes on.
slow_upload() {
	mkfifo "$dir/pipe"
	send <"$dir/pipe" >"$dir/slow" 2>&1 3>&- &
	client=$!
	exec 9>"$dir/pipe"
	head -c 300K /dev/zero | tr '\0' a >&9
	settles half_there
}

half_there() {
	[ -n "$(find "$dir/jobs/files" -name '.*' -size +100k)" ]
}

# settles COMMAND...: it succeeds within some seconds.
settles() {
	for _ in {1..100}; do
		! "$@" || return 0
		sleep 0.1
	done
	return 1
}

has_stored() {
	[ "$(stored)" = "$1" ]
}

@test "what comes slowly is put together" {
	start
	slow_upload
	expect "$(metric unrolld_uploads_active)" 1
	echo end >&9
	exec 9>&-
	wait "$client"
	[ "$(jq .bytes "$dir/slow")" = $((300 * 1024 + 4)) ]
	[ "$(stored)" = 1 ]
	wait_metric unrolld_uploads_active 0
	expect "$(metric unrolld_files)" 1
	expect "$(metric unrolld_files_bytes)" $((300 * 1024 + 4))
}

@test "a kill in the middle of an upload leaves no half file" {
	start
	upload "file=@$dir/a.txt"
	kept=$body
	slow_upload
	[ "$(stored)" = 2 ]
	stop KILL
	[ "$(stored)" = 2 ]
	# One that was deleted, and its file not yet.
	printf x >"$dir/jobs/files/file-aaaaaaaaaaaaaaaaaaaaaaaaaa"
	start
	[ "$(stored)" = 1 ]
	request GET /v1/files
	[ "$(jq -c '.data' <<<"$body")" = "[$kept]" ]
	grep -q 'removed what was left of an upload' "$dir/err"
}

@test "a client that leaves in the middle leaves nothing" {
	start
	slow_upload
	kill $(pgrep -P "$client" curl)
	settles has_stored 0
	request GET /v1/files
	[ "$(jq -c .data <<<"$body")" = '[]' ]
}

@test "an upload that is under way does not keep the daemon from ending" {
	start --http.drain_timeout 200ms
	slow_upload
	stop
	[ "$ended" = 0 ]
	[ "$(stored)" = 0 ]
}

@test "a client that sends too slowly is dropped, one that goes on is not" {
	start --http.body_timeout 1500ms
	slow_upload
	settles has_stored 0
	# 64 KB each half second, three seconds in all.
	{
		for _ in 1 2 3 4 5 6; do
			head -c 128K /dev/zero | tr '\0' a
			sleep 0.5
		done
	} | send >"$dir/answer"
	[ "$(jq .bytes "$dir/answer")" = $((6 * 128 * 1024)) ]
}

@test "without a place for files the rest is served, and the reason said" {
	: >"$dir/file"
	start --jobs.dir "$dir/file/jobs"
	for path in /v1/files /v1/files/file-x /v1/files/file-x/content; do
		request GET "$path"
		[ "$status" = 503 ]
		[[ "$(jq -r .error.message <<<"$body")" == *"$dir/file: exists and is not a directory"* ]]
	done
	upload "file=@$dir/a.txt"
	[ "$status" = 503 ]
	post /sample '{"length": 3}'
	[ "$status" = 200 ]
}

@test "a second daemon on the same directory says so" {
	start
	first=$pid first_waiter=$waiter
	start --sessions.path "$dir/other.db" --jobs.dir "$dir/jobs"
	request GET /v1/files
	[ "$status" = 503 ]
	stop
	pid=$first waiter=$first_waiter
}
