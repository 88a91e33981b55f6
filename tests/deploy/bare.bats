# README's two commands on a Debian that has nothing: the base system, make, and
# a clean tree.

bats_require_minimum_version 1.5.0
load containers.bash

bare=unrolld-bare-test

setup_file() {
	containers_setup || return 0
	clean_tree "$BATS_FILE_TMPDIR/tree"
	podman rm -f -t 1 "$bare" >/dev/null 2>&1 || true
	podman run -d --name "$bare" "$base" \
		sleep infinity >/dev/null
	podman cp "$BATS_FILE_TMPDIR/tree" "$bare:/unrolld" >&2
	inside 'apt-get update && apt-get install -y --no-install-recommends make' >&2
}

teardown_file() {
	containers_release "$bare"
}

setup() {
	containers_needed
}

inside() {
	podman exec -i -w / -e DEBIAN_FRONTEND=noninteractive "$bare" \
		bash -euo pipefail -c "$1"
}

@test "make run installs, builds and serves" {
	inside 'cd /unrolld; exec make run' >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	# Until it is built, or has failed.
	while ! grep -q 'msg=listening' "$BATS_TEST_TMPDIR/log"; do
		kill -0 $! || { tail -n 20 "$BATS_TEST_TMPDIR/log" >&2; false; }
		sleep 1
	done
	inside 'exec 3<>/dev/tcp/127.0.0.1/8080
		printf "GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" >&3
		read -r answer <&3; [[ "$answer" == *" 200 "* ]]
		/unrolld/build/release/unrolld health'
	inside 'kill $(cat /proc/[0-9]*/stat |
		sed -n "s/^\([0-9]*\) (unrolld).*/\1/p")'
	wait $!
}

@test "make test passes" {
	run inside "cd /unrolld; exec nice make test TEST_TIMEOUT=900"
	echo "# ${lines[-1]}" >&3
	[ "$status" = 0 ] || {
		grep -A 40 '^FAIL' <<<"$output" >&2
		false
	}
}
