# docker/compose.yaml, brought up as it stands by podman-compose: with an image
# of Debian's Prometheus under the name that it asks for, since no registry is
# asked, and without Grafana, which Debian lacks.

bats_require_minimum_version 1.5.0
load containers.bash

project=unrolld-compose-test

setup_file() {
	containers_setup podman-compose || return 0
	clean_tree "$BATS_FILE_TMPDIR/tree"
	mkdir "$BATS_FILE_TMPDIR/prometheus"
	# As the official image: its command line, its user, its volume.
	cat >"$BATS_FILE_TMPDIR/prometheus/Dockerfile" <<-END
		FROM debian:bookworm-slim
		RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get \
		    install -y --no-install-recommends prometheus \
		    && install -d -o nobody -g nogroup /prometheus
		USER nobody
		VOLUME /prometheus
		ENTRYPOINT ["/usr/bin/prometheus"]
		CMD ["--config.file=/etc/prometheus/prometheus.yml", \
		    "--storage.tsdb.path=/prometheus"]
	END
	buildah bud --isolation chroot --format docker --layers -q \
		-t "$(image_of prometheus)" "$BATS_FILE_TMPDIR/prometheus" >&2
	cd "$BATS_FILE_TMPDIR/tree"
	echo "me admin secret-0123456789abcdef" >docker/keys
	chown 64080 docker/keys
	chmod 400 docker/keys
	export UNROLLD_PORT=$(free_port) PROMETHEUS_PORT=$(free_port)
	compose build unrolld >&2
	compose down -v >/dev/null 2>&1 || true
	compose up -d unrolld prometheus >&2
}

teardown_file() {
	[ -z "$containers_why" ] || return 0
	cd "$BATS_FILE_TMPDIR/tree"
	compose down -v >/dev/null 2>&1
	podman network rm -f "${project}_default" >/dev/null
	containers_release
}

setup() {
	containers_needed
	authorized=(-H "X-Api-Key: secret-0123456789abcdef")
	unrolld=${project}_unrolld_1
	prometheus=${project}_prometheus_1
	url=http://127.0.0.1:$UNROLLD_PORT
	scraper=http://127.0.0.1:$PROMETHEUS_PORT
	wait_ready
}

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || {
		podman logs --tail 20 "$unrolld"
		podman logs --tail 20 "$prometheus"
	} >&2
}

# Its ports of the machine are free ones: 8080 and 9090 may be somebody's.
compose() {
	BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker \
		podman-compose -p "$project" -f docker/compose.yaml "$@"
}

free_port() {
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

image_of() {
	awk -v service="  $1:" '$0 == service { found = 1 }
		found && $1 == "image:" { print $2; exit }' \
		"$PWD/docker/compose.yaml"
}

# query EXPRESSION: Prometheus' answer.
query() {
	curl -sS --max-time 10 --data-urlencode "query=$1" \
		"$scraper/api/v1/query"
}

@test "keys are a secret, the root is read-only, limits are set" {
	ask /sample -d '{"length": 5}'
	expect "$status" 200
	authorized=()
	ask /sample -d '{"length": 5}'
	expect "$status" 401
	run -0 podman inspect "$unrolld"
	jq -e '.[0].HostConfig | .ReadonlyRootfs and .Memory == 536870912 and
		.RestartPolicy.Name == "unless-stopped" and
		(.CapDrop | length > 0)' <<<"$output"
	# What says nothing of the key is all that its environment shows.
	run ! grep -q secret-0123456789abcdef <<<"$output"
	podman logs "$unrolld" 2>&1 | tail -n 1 | jq -e .level
}

@test "Prometheus scrapes it" {
	local health

	for _ in {1..300}; do
		health=$(curl -sS --max-time 5 "$scraper/api/v1/targets" |
			jq -r '.data.activeTargets[0].health')
		[ "$health" != up ] || break
		sleep 0.1
	done
	expect "$health" up
	query 'up{job="unrolld"}' |
		jq -e '.data.result[0].value[1] == "1"'
}

@test "the dashboard asks for what there is" {
	local expression known metric

	known=$(curl -sS --max-time 10 "$url/metrics" "${authorized[@]}" |
		sed -n 's/^# TYPE \([a-z0-9_]*\) .*/\1/p')
	jq -r '.panels[].targets[]?.expr' conf/grafana-unrolld.json \
		>"$BATS_TEST_TMPDIR/expressions"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/expressions")" -ge 20 ]
	while read -r expression; do
		query "${expression//\$__rate_interval/1m}" |
			jq -e '.status == "success"' >/dev/null || {
			echo "refused: $expression" >&2
			false
		}
		for metric in $(grep -o 'unrolld_[a-z0-9_]*' <<<"$expression"); do
			grep -qx "${metric%_bucket}" <<<"$known" || {
				echo "no such metric: $metric" >&2
				false
			}
		done
	done <"$BATS_TEST_TMPDIR/expressions"
}

@test "sessions outlive the containers" {
	ask /v1/sessions -d '{"id": "play"}'
	ask /sample -d '{"session": "play", "length": 20}'
	expect "$(field .position)" 20
	cd "$BATS_FILE_TMPDIR/tree"
	compose down >&2
	compose up -d unrolld prometheus >&2
	wait_ready
	ask /v1/sessions/play
	expect "$(field .position)" 20
}
