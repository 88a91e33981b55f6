#!/bin/sh
# Usage: sysroot.sh ARCHITECTURE DIRECTORY USE...
# Unpacks the libraries that conf/packages.txt lists for these uses, and those
# that they need, as Debian has them for another architecture, to compile
# against and to run with. Nothing is installed, nobody has to be root; they come
# from where the machine's own packages come from.
set -eu

arch=$1
root=$2
shift 2
list=$(dirname "$0")/packages.txt

packages=$(awk -v uses=" $* " '/^lib/ && index(uses, " " $2 " ") { print $1 }' \
	"$list")
if [ "$(cat "$root/packages" 2>/dev/null)" = "$packages" ]; then
	exit 0
fi

echo "unrolld: unpacking $arch's libraries into $root"
rm -rf "$root" "$root.apt"
mkdir -p "$root" "$root.apt/state/lists/partial" \
	"$root.apt/cache/archives/partial"

# apt with a state of its own, to which nothing is installed yet.
apt() {
	apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
		-o APT::Install-Recommends=false -o APT::Sandbox::User= \
		-o Dir::State="$root.apt/state" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$root.apt/cache" -o Debug::NoLocking=true "$@"
}

# shellcheck disable=SC2086
if ! { apt update && apt install -y --download-only $packages; }; then
	echo "unrolld: could not get $arch's:" $packages >&2
	exit 1
fi
for package in "$root.apt"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$root"
done
# As the package's script would have chosen it.
for library in "$root"/usr/lib/*/openblas-pthread/libopenblas.so.0; do
	ln -sf openblas-pthread/libopenblas.so.0 "${library%/*/*}/libopenblas.so.0"
done
rm -rf "$root.apt"
echo "$packages" >"$root/packages"
