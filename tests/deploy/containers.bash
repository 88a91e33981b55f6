# For the tests that build and run images: buildah and podman as root, with a
# store of their own in build/deploy, on a base image that debootstrap makes of
# the machine's own Debian mirror, so that no registry is asked.

exe=${UNROLLD_EXE:-$PWD/build/release/unrolld}
deploy=${DEPLOY_DIR:-$PWD/build/deploy}
image=localhost/unrolld:test
base=docker.io/library/debian:bookworm-slim

# What these tests can't do without.
containers_missing() {
	local tool

	[ "$(id -u)" = 0 ] || { echo "needs root"; return; }
	for tool in buildah podman runc debootstrap "$@"; do
		command -v "$tool" >/dev/null || { echo "needs $tool"; return; }
	done
}

# containers_setup [TOOL...]: for setup_file; makes the base image. Where no
# container runs it says why in $containers_why, and fails.
containers_setup() {
	local said

	export containers_why
	containers_why=$(containers_missing "$@")
	[ -z "$containers_why" ] || return
	containers_configure
	base_image || exit
	! said=$(podman run --rm "$base" true 2>&1) || return 0
	containers_why="no container runs here: ${said##*$'\n'}"
	return 1
}

# containers_needed: for setup.
containers_needed() {
	[ -z "$containers_why" ] || skip "$containers_why"
}

containers_configure() {
	mkdir -p "$deploy"
	cat >"$deploy/storage.conf" <<-END
		[storage]
		driver = "overlay"
		runroot = "$deploy/run"
		graphroot = "$deploy/storage"
	END
	cat >"$deploy/containers.conf" <<-END
		[containers]
		default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		[network]
		network_backend = "netavark"
	END
	export CONTAINERS_STORAGE_CONF=$deploy/storage.conf
	export CONTAINERS_CONF=$deploy/containers.conf
}

# containers_release [NAME]: what would keep the build tree from being removed.
containers_release() {
	[ -z "$containers_why" ] || return 0
	[ $# = 0 ] || podman rm -f -t 1 -v "$1" >/dev/null 2>&1 || true
	umount "$deploy/storage/overlay" 2>/dev/null || true
}

# base_image: debian:bookworm-slim, made once.
base_image() {
	local mirror root=$deploy/rootfs

	! podman image exists "$base" || return 0
	mirror=$(awk '/^URIs:/ { print $2; exit }' \
		/etc/apt/sources.list.d/debian.sources 2>/dev/null)
	rm -rf "$root"
	debootstrap --variant=minbase bookworm "$root" \
		${mirror:+"$mirror"} >"$deploy/debootstrap.log" ||
		{
			tail "$deploy/debootstrap.log" >&2
			return 1
		}
	if [ -e /etc/apt/sources.list.d/debian.sources ]; then
		rm -f "$root/etc/apt/sources.list"
		cp /etc/apt/sources.list.d/debian.sources \
			"$root/etc/apt/sources.list.d/"
	fi
	# As the official one: without what nobody reads in a container.
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
		"$root"/usr/share/{doc,man,info,locale}/* "$root"/var/log/*
	tar -C "$root" --numeric-owner -c . | podman import -q \
		-c 'CMD ["bash"]' - "$base"
	rm -rf "$root"
}

# clean_tree DIRECTORY: what is committed, and what is about to be.
clean_tree() {
	mkdir "$1"
	git ls-files -co --exclude-standard |
		while read -r file; do [ ! -e "$file" ] || echo "$file"; done |
		tar -cf - -T - | tar -C "$1" -xf -
}

# build_image CONTEXT [OPTION...]
build_image() {
	local context=$1

	shift
	buildah bud --isolation chroot --format docker --layers -q \
		-t "$image" -f docker/Dockerfile "$@" "$context"
}

# run_daemon NAME [OPTION...]: the image as it is meant to be run in earnest,
# on a free port; sets $url.
run_daemon() {
	local name=$1

	shift
	podman run -d --name "$name" --read-only --cap-drop all \
		--security-opt no-new-privileges --memory 256m \
		--pids-limit 64 -p 127.0.0.1::8080 \
		-v "$name:/var/lib/unrolld" "$@" >/dev/null
	find_url "$name"
	wait_ready
}

find_url() {
	url=http://$(podman port "$1" 8080/tcp)
}

# wait_ready: for at most 15 s.
wait_ready() {
	for _ in {1..150}; do
		! curl -fsS --max-time 2 -o /dev/null "$url/readyz" 2>/dev/null ||
			return 0
		sleep 0.1
	done
	echo "$url is not ready" >&2
	return 1
}

# ask PATH [CURL OPTION...]: sets $status and $body.
ask() {
	local path=$1

	shift
	status=$(curl -sS --max-time 30 -o "$BATS_TEST_TMPDIR/body" \
		-w '%{http_code}' -H 'Content-Type: application/json' \
		"${authorized[@]}" "$@" "$url$path")
	body=$(tr -d '\0' <"$BATS_TEST_TMPDIR/body")
}

field() {
	jq -r "$1" <<<"$body"
}

expect() {
	[ "$1" = "$2" ] || {
		echo "expected '$2', got '$1'; answer $status: $body" >&2
		return 1
	}
}
