#!/bin/sh
# Usage: libraries.sh EXECUTABLE [LIBRARY...]
# Prints the Debian packages that hold the shared libraries it is linked with,
# and those that it opens by name when they are first needed.
set -eu

exe=$1
shift
{
	ldd "$exe" | awk '$2 == "=>" { print $3 }'
	for library; do
		ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }'
	done
} | while read -r path; do
	# dpkg knows a file by the name it had before /lib became /usr/lib.
	real=$(readlink -f "$path")
	dpkg -S "$real" "${real#/usr}" "$path" 2>/dev/null | sed -n '1s/:.*//p'
done | sort -u
