#!/bin/sh
# Usage: packages.sh USE...
# Installs what conf/packages.txt lists for these uses and isn't there yet,
# through sudo when not root; says so first. Offline and quiet when all is
# there.
set -eu

list=$(dirname "$0")/packages.txt

wanted() {
	awk -v uses=" $* " '!/^#/ && NF && index(uses, " " $2 " ") { print $1 }' \
		"$list"
}

missing() {
	wanted "$@" | while read -r package; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null) || status=
		[ "$status" = installed ] || echo "$package"
	done
}

if ! command -v dpkg-query >/dev/null; then
	echo "unrolld: no dpkg-query here, so not a Debian system: if the build" \
		"fails, install what $list lists for: $*" >&2
	exit 0
fi

packages=$(missing "$@" | tr '\n' ' ')
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "unrolld: these packages are missing and there is no apt-get to" \
		"install them: $packages" >&2
	exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
	root='sudo'
	if ! command -v sudo >/dev/null; then
		echo "unrolld: these packages are missing and need root (there is" \
			"no sudo) to install: $packages" >&2
		echo "as root: apt-get install --no-install-recommends $packages" >&2
		exit 1
	fi
fi

apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"
echo "unrolld: installing packages that are missing ($list says why):"
echo "    ${root:+$root }apt-get install --no-install-recommends $packages"
# shellcheck disable=SC2086
if ! { $apt -qq update && $apt -qq install -y --no-install-recommends $packages; }
then
	echo "unrolld: could not install: $packages" >&2
	exit 1
fi
left=$(missing "$@" | tr '\n' ' ')
if [ -n "$left" ]; then
	echo "unrolld: still missing after the installation: $left" >&2
	exit 1
fi
