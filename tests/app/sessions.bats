# `unrolld sessions`, against a daemon.

load ../http/daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

setup() {
	start
	export UNROLLD_URL=$url
	cd "$BATS_TEST_TMPDIR"
}

sessions() {
	"${loose[@]}" "$exe" sessions "$@" 3>&-
}

create() {
	post /v1/sessions "$1"
	expect "$status" 201
}

@test "list, as a table and as JSON, all pages" {
	create '{"id": "p", "model": "tiny", "seed": 1}'
	post /v1/sessions/p/fork '{"n": 1500, "prefix": "kid"}'
	expect "$(sessions list | wc -l)" 1502
	expect "$(sessions list --json | jq -r .id | sort -u | wc -l)" 1501
	expect "$(sessions list --limit 1200 --json | wc -l)" 1200
	expect "$(sessions list --prefix kid-149 --json | jq -r .id | head -2 | paste -sd ' ')" "kid-149 kid-1490"
	expect "$(sessions list --after p | wc -l)" 1
	expect "$(sessions list | head -1 | awk '{ print $1, $2, $3 }')" "ID MODEL POSITION"
	expect "$(sessions list --model none --json)" ""
}

@test "show, fork, snapshot, rewind, rm" {
	create '{"id": "a", "model": "tiny", "seed": 1, "prompt": "fox"}'
	expect "$(sessions show a --json | jq .position)" 3
	sessions show a | grep -qx 'position         3'
	expect "$(sessions snapshot a first --json | jq -r .name)" first
	post /sample '{"session": "a", "length": 5}'
	expect "$(sessions rewind a --snapshot first --json | jq .position)" 3
	post /sample '{"session": "a", "length": 5}'
	expect "$(sessions rewind a --position 3 --seed 9 --json | jq -r .seed)" 9
	expect "$(sessions fork a -n 2 --prefix k --seed 7 --json | jq -r '[.id, .seed] | join(" ")' | paste -sd,)" "k-0 7,k-1 8"
	sessions fork a --snapshot first --position 3 || [ $? = 1 ]
	sessions snapshot a first --delete
	expect "$(sessions show a --json | jq '.snapshots | length')" 0
	sessions rm k-0 k-1
	expect "$(sessions list --json | jq -r .id)" a
}

@test "export and import" {
	create '{"id": "a", "model": "tiny", "seed": 1, "prompt": "fox"}'
	sessions export a
	[ "$(stat -c %a a.session)" = 600 ]
	sessions export a -o - | cmp - a.session
	expect "$(sessions import a.session --id b --json | jq -r '[.id, .position] | map(tostring) | join(" ")')" "b 3"
	sessions rm a
	expect "$(sessions import a.session --json | jq -r .id)" a
	run sessions import a.session
	[ "$status" = 1 ]
	[[ "$output" == *"409"*  ]]
	head -c 99 a.session >cut
	run sessions import cut --id c
	[ "$status" = 1 ]
	[[ "$output" == *checksum* ]]
}

@test "what goes wrong says so, with an exit code" {
	run sessions show none
	[ "$status" = 1 ]
	[[ "$output" == *"session 'none' does not exist (404 session_not_found)"* ]]
	run sessions rm none nobody
	[ "$status" = 1 ]
	[[ "$output" == *none*nobody* ]]
	run sessions show
	[ "$status" = 2 ]
	run sessions rewind a
	[ "$status" = 2 ]
	run sessions rewind a --position 1x
	[ "$status" = 2 ]
	[[ "$output" == *"--position is '1x', expected a number of tokens"* ]]
	run sessions fork a --position -1
	[ "$status" = 2 ]
	run sessions fork a --prefix $'\xff'
	[ "$status" = 1 ]
	[[ "$output" == *"not UTF-8"* ]]
	run sessions paint
	[ "$status" = 2 ]
	[[ "$output" == *"unknown action 'paint'"* ]]
	run sessions --help
	[ "$status" = 0 ]
	run sessions fork --help
	[ "$status" = 0 ]
	[[ "$output" == *--prefix* ]]
	run sessions list --url http://127.0.0.1:1
	[ "$status" = 1 ]
	[[ "$output" == *"127.0.0.1:1"* ]]
	run sessions list --url file:///etc/passwd
	[ "$status" = 1 ]
}
