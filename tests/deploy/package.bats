# The package and its units: checked, rated, installed under a real systemd that
# boots in a container, attacked there, upgraded and purged.

bats_require_minimum_version 1.5.0
load containers.bash

machine=unrolld-machine-test

setup_file() {
	local deb
	containers_setup
	base_image
	deb=$(ls "$PWD"/build/deb/unrolld_*.deb | head -n 1)
	[ -n "$deb" ]
	mkdir -p "$BATS_FILE_TMPDIR/context"
	cp "$deb" "$BATS_FILE_TMPDIR/context/unrolld.deb"
	cat >"$BATS_FILE_TMPDIR/context/Dockerfile" <<-END
		FROM debian:bookworm-slim
		RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get \
		    install -y --no-install-recommends systemd systemd-sysv \
		    dbus libnss-systemd curl jq procps
		RUN DEBIAN_FRONTEND=noninteractive apt-get satisfy -y \
		    --no-install-recommends "$(dpkg-deb -f "$deb" Depends)"
		COPY unrolld.deb /root/
		CMD ["/sbin/init"]
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
	echo "systemd does not boot" >&2
	return 1
}

teardown_file() {
	podman rm -f -t 1 "$machine" >/dev/null 2>&1 || true
}

setup() {
	containers_setup
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
	within 'dpkg -i /root/unrolld.deb' >&2
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

@test "the journal has priorities, and reload is reload" {
	within 'systemctl reload unrolld && systemctl is-active unrolld'
	wait_until 'journalctl -u unrolld -o json --no-pager |
		jq -e -s "any(.[]; .PRIORITY == \"6\" and (.MESSAGE | startswith(\"level=info msg=reloaded\")))"'
}

@test "a restart under load fails no request, and sessions go on" {
	within 'curl -fsS -d "{\"id\": \"play\"}" -H "Content-Type: application/json" \
		http://127.0.0.1:8080/v1/sessions >/dev/null
	cat >/root/load <<-"END"
		for i in $(seq 150); do
			curl -sS --max-time 20 -o /dev/null -w "%{http_code} %{time_total}\n" \
				-H "Content-Type: application/json" -d "{\"length\": 5}" \
				http://127.0.0.1:8080/sample 2>&1
		done
	END
	for i in 1 2 3 4; do bash /root/load >/root/load.$i & done
	for i in 1 2; do
		curl -fsS -d "{\"session\": \"play\", \"length\": 20}" \
			-H "Content-Type: application/json" \
			http://127.0.0.1:8080/sample >/dev/null
		systemctl restart unrolld
	done
	wait'
	run -0 within 'cat /root/load.? | awk "\$1 != 200 { bad++; print > \"/dev/stderr\" }
		\$2 > most { most = \$2 } END { print NR, bad + 0, most }"'
	echo "# requests, failed, longest: $output" >&3
	[[ "$output" == "600 0 "* ]]
	within 'curl -fsS http://127.0.0.1:8080/v1/sessions/play' |
		jq -e '.position == 40'
}

@test "the watchdog replaces a daemon that hangs" {
	within 'mkdir -p /run/systemd/system/unrolld.service.d
	printf "[Service]\nWatchdogSec=1\n" >/run/systemd/system/unrolld.service.d/w.conf
	systemctl daemon-reload; systemctl restart unrolld'
	pid=$(within 'systemctl show -P MainPID unrolld')
	within "kill -STOP $pid"
	wait_until "[ \"\$(systemctl show -P MainPID unrolld)\" != $pid ] &&
		systemctl is-active unrolld && unrolld health"
	within 'journalctl -u unrolld --no-pager | grep -q "Watchdog timeout"
	rm /run/systemd/system/unrolld.service.d/w.conf; systemctl daemon-reload'
}

@test "keys come as a credential, and without it nothing starts" {
	within 'umask 077; mkdir -p /run/systemd/system/unrolld.service.d
	printf "[Service]\nLoadCredential=unrolld.keys:/etc/unrolld/keys\n" \
		>/run/systemd/system/unrolld.service.d/k.conf
	systemctl daemon-reload; systemctl stop unrolld.socket unrolld.service
	! systemctl start unrolld.service
	systemctl reset-failed unrolld.service
	echo "me admin secret-0123456789abcdef" >/etc/unrolld/keys'
	run within 'systemctl start unrolld.service'
	if [ "$status" = 0 ]; then
		within '[ "$(curl -sS -o /dev/null -w "%{http_code}" \
			http://127.0.0.1:8080/v1/models)" = 401 ]
		curl -fsS -H "X-Api-Key: secret-0123456789abcdef" \
			http://127.0.0.1:8080/v1/models' >/dev/null
	else
		# Where systemd may not mount credentials, it says so and ends.
		within 'journalctl -u unrolld --no-pager -n 30 |
			grep -q "auth.keys_file.*unrolld.keys: Permission denied"'
	fi
	within 'rm -r /run/systemd/system/unrolld.service.d /etc/unrolld/keys
	systemctl daemon-reload; systemctl stop unrolld.service
	systemctl reset-failed unrolld.service || true
	systemctl start unrolld.socket unrolld.service'
}

@test "an upgrade keeps sessions, a purge keeps nothing" {
	within 'dpkg -i /root/unrolld.deb && unrolld health' >&2
	within 'curl -fsS http://127.0.0.1:8080/v1/sessions/play' |
		jq -e '.position == 40'
	within 'dpkg -r unrolld' >&2
	within '[ -e /var/lib/private/unrolld ]'
	within 'dpkg -P unrolld' >&2
	within '[ ! -e /var/lib/private/unrolld ] && [ ! -e /etc/unrolld ] &&
		! systemctl is-active unrolld.socket'
}
