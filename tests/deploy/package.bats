# The package and its units: checked, rated, installed under a real systemd that
# boots in a container, attacked there, upgraded and purged.

bats_require_minimum_version 1.5.0
load containers.bash

machine=unrolld-machine-test

setup_file() {
	local deb

	containers_setup || return 0
	deb=$(ls "$PWD"/build/deb/unrolld_*.deb | head -n 1)
	[ -n "$deb" ]
	mkdir -p "$BATS_FILE_TMPDIR/context"
	cp "$deb" "$BATS_FILE_TMPDIR/context/unrolld.deb"
	cat >"$BATS_FILE_TMPDIR/context/Dockerfile" <<-END
		FROM debian:bookworm-slim
		RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get \
		    install -y --no-install-recommends systemd systemd-sysv \
		    dbus libnss-systemd curl jq procps openssl ssl-cert
		RUN DEBIAN_FRONTEND=noninteractive apt-get satisfy -y \
		    --no-install-recommends "$(dpkg-deb -f "$deb" Depends)"
		COPY unrolld.deb /srv/
		# As on a machine that boots: systemd mounts credentials so that
		# services see them.
		CMD ["sh", "-c", "mount --make-rshared / && exec /sbin/init"]
	END
	buildah bud --isolation chroot --format docker --layers -q \
		-t localhost/unrolld-machine:test "$BATS_FILE_TMPDIR/context" >&2
	podman rm -f -t 1 "$machine" >/dev/null 2>&1 || true
	podman run -d --name "$machine" --privileged --systemd=always \
		localhost/unrolld-machine:test >/dev/null
	for _ in {1..100}; do
		! podman exec "$machine" systemctl is-system-running 2>/dev/null |
			grep -Eq 'running|degraded' || return 0
		sleep 0.2
	done
	containers_why="systemd does not boot in a container here"
}

teardown_file() {
	containers_release "$machine"
}

setup() {
	containers_needed
}

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] ||
		podman exec "$machine" journalctl -u unrolld -n 30 --no-pager >&2 || true
}

within() {
	podman exec -i "$machine" bash -euo pipefail -c "$1"
}

# until COMMAND: within the machine, for at most 20 s.
wait_until() {
	for _ in {1..100}; do
		! within "$1" >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	echo "never: $1" >&2
	return 1
}

@test "lintian finds nothing" {
	command -v lintian >/dev/null || skip "needs lintian"
	run lintian build/deb/unrolld_*.deb
	echo "$output" | grep -v 'running with root' >&2 || true
	! grep -E '^[EWI]:' <<<"$output"
}

@test "it installs, and the service runs behind its socket" {
	within 'dpkg -i /srv/unrolld.deb' >&2
	wait_until 'curl -fsS --max-time 2 http://127.0.0.1:8080/readyz'
	within 'systemctl is-active unrolld.service unrolld.socket'
	within 'systemctl is-enabled unrolld.service unrolld.socket'
	within 'curl -fsS --max-time 5 -d "{\"length\": 5}" \
		-H "Content-Type: application/json" http://127.0.0.1:8080/sample' |
		jq -e '.text | length == 5'
	within 'unrolld health'
	within '[ "$(stat -c %a /var/lib/private/unrolld)" = 700 ]'
	within '[ "$(ps -o user= -C unrolld)" != root ]'
}

@test "the units are sound, and expose little" {
	within 'systemd-analyze verify --man=no --recursive-errors=no \
		unrolld.service unrolld.socket'
	run -0 within 'systemd-analyze security --no-pager --threshold=12 unrolld.service'
	echo "# ${output##*$'\n'}" >&3
}

# drop_in NAME LINE...: more for the service, until it is taken away again.
drop_in() {
	local name=$1

	shift
	within "mkdir -p /run/systemd/system/unrolld.service.d; cat \
		>/run/systemd/system/unrolld.service.d/$name.conf
		systemctl daemon-reload" < <(printf '%s\n' '[Service]' "$@")
}

without_drop_ins() {
	within 'rm -rf /run/systemd/system/unrolld.service.d
		systemctl daemon-reload; systemctl restart unrolld'
}

# logged TEXT: how often it stands in the service's journal.
logged() {
	within 'journalctl --sync; journalctl -u unrolld --no-pager' | grep -c "$1" || true
}

@test "the journal has priorities, and reload is reload" {
	within 'systemctl reload unrolld && systemctl is-active unrolld'
	wait_until 'journalctl -u unrolld -o json --no-pager |
		jq -e -s "any(.[]; .PRIORITY == \"6\" and (.MESSAGE | startswith(\"level=info msg=reloaded\")))"'
}

@test "a reload changes the log's level" {
	local ask before

	ask='curl -fsS -o /dev/null http://127.0.0.1:8080/v1/models'
	within "printf '[log]\nlevel = warn\n' >/etc/unrolld/unrolld.conf
		systemctl reload unrolld"
	before=$(logged path=/v1/models)
	within "$ask; $ask"
	expect "$(logged path=/v1/models)" "$before"
	within "rm /etc/unrolld/unrolld.conf; systemctl reload unrolld; $ask"
	expect "$(logged path=/v1/models)" $((before + 1))
}

@test "a reload serves a renewed certificate, and drops no stream" {
	# The directory and the group that Debian keeps keys for.
	certificate() {
		within "cd /etc/ssl/private; openssl req -x509 -newkey ec -nodes \
			-pkeyopt ec_paramgen_curve:P-256 -subj /CN=$1 -days 2 \
			-keyout unrolld.key -out unrolld.crt 2>/dev/null
			chgrp ssl-cert unrolld.*; chmod 640 unrolld.*"
	}
	subject() {
		within 'openssl s_client -connect 127.0.0.1:8080 </dev/null \
			2>/dev/null | openssl x509 -noout -subject'
	}
	certificate first
	drop_in tls 'SupplementaryGroups=ssl-cert' \
		'Environment=UNROLLD_HTTP_TLS_CERT=/etc/ssl/private/unrolld.crt' \
		'Environment=UNROLLD_HTTP_TLS_KEY=/etc/ssl/private/unrolld.key'
	within 'systemctl restart unrolld'
	[[ "$(subject)" == *first ]]
	within 'curl -fsSk -N --limit-rate 200K -H "Content-Type: application/json" \
		-d "{\"length\": 20000, \"stream\": true}" -o /srv/stream \
		https://127.0.0.1:8080/sample' 3>&- &
	wait_until '[ -s /srv/stream ]'
	certificate second
	within 'systemctl reload unrolld'
	[[ "$(subject)" == *second ]]
	# It went on all the while.
	run within 'grep -c "^data: .DONE" /srv/stream'
	expect "$output" 0
	wait $!
	within 'tail -n 4 /srv/stream' | grep -q '"finish_reason":"length"'
	without_drop_ins
}

# under_load COMMAND: while four clients ask, each 150 times; none may be refused.
under_load() {
	local requests failed longest

	within 'cat >/srv/load <<-"END"
		for i in $(seq 150); do
			curl -sS --max-time 20 -o /dev/null -w "%{http_code} %{time_total}\n" \
				-H "Content-Type: application/json" -d "{\"length\": 5}" \
				http://127.0.0.1:8080/sample 2>&1
		done
	END
	for i in 1 2 3 4; do bash /srv/load >/srv/load.$i & done
	'"$1"'
	wait'
	read -r requests failed longest < <(within 'cat /srv/load.?' |
		awk '$1 != 200 { bad++; print >"/dev/stderr" }
			$2 > most { most = $2 } END { print NR, bad + 0, most }')
	echo "# $requests requests, $failed failed, the longest took $longest s" >&3
	expect "$requests $failed" "600 0"
}

@test "a restart under load fails no request, and sessions go on" {
	within 'curl -fsS -d "{\"id\": \"play\"}" -H "Content-Type: application/json" \
		http://127.0.0.1:8080/v1/sessions >/dev/null'
	under_load 'for i in 1 2; do
		curl -fsS -d "{\"session\": \"play\", \"length\": 20}" \
			-H "Content-Type: application/json" \
			http://127.0.0.1:8080/sample >/dev/null
		systemctl restart unrolld
	done'
	within 'curl -fsS http://127.0.0.1:8080/v1/sessions/play' |
		jq -e '.position == 40'
}

@test "the watchdog replaces a daemon that hangs" {
	drop_in watchdog WatchdogSec=1
	within 'systemctl restart unrolld'
	pid=$(within 'systemctl show -P MainPID unrolld')
	within "kill -STOP $pid"
	wait_until "[ \"\$(systemctl show -P MainPID unrolld)\" != $pid ] &&
		systemctl is-active unrolld && unrolld health"
	[ "$(logged 'Watchdog timeout')" -ge 1 ]
	without_drop_ins
}

@test "keys come as a credential, and without it nothing starts" {
	drop_in keys LoadCredential=unrolld.keys:/etc/unrolld/keys
	within 'systemctl stop unrolld.socket unrolld.service
		! systemctl start unrolld.service
		systemctl reset-failed unrolld.service
		umask 077; echo "me admin secret-0123456789abcdef" >/etc/unrolld/keys
		systemctl start unrolld.socket unrolld.service'
	code() {
		within "curl -sS -o /dev/null -w '%{http_code}' $* \
			http://127.0.0.1:8080/v1/models"
	}
	expect "$(code)" 401
	expect "$(code -H 'X-Api-Key:wrong-0123456789abcdef')" 401
	expect "$(code -H 'X-Api-Key:secret-0123456789abcdef')" 200
	# Other keys: a restart, in which clients wait.
	within 'echo "me admin another-0123456789abcdef" >/etc/unrolld/keys
		systemctl restart unrolld'
	expect "$(code -H 'X-Api-Key:secret-0123456789abcdef')" 401
	expect "$(code -H 'X-Api-Key:another-0123456789abcdef')" 200
	within 'rm /etc/unrolld/keys'
	without_drop_ins
}

@test "an upgrade under load fails no request and keeps sessions, a purge keeps nothing" {
	under_load 'dpkg -i /srv/unrolld.deb' >&2
	within 'unrolld health >/dev/null; curl -fsS http://127.0.0.1:8080/v1/sessions/play' |
		jq -e '.position == 40'
	within 'dpkg -r unrolld' >&2
	within '[ -e /var/lib/private/unrolld ]'
	within 'dpkg -P unrolld' >&2
	within '[ ! -e /var/lib/private/unrolld ] && [ ! -e /etc/unrolld ] &&
		! systemctl is-active unrolld.socket'
}
