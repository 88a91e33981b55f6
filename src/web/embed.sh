#!/bin/sh
# Usage: embed.sh DIR FILE...
# Prints the C source of the page's files as http/web.h declares them, each as
# it is and compressed (in DIR); the compiler reads the bytes from where they
# are.
set -eu

dir=$1
shift

type_of() {
	case $1 in
	*.html) echo 'text/html; charset=utf-8' ;;
	*.js) echo 'text/javascript; charset=utf-8' ;;
	*.css) echo 'text/css; charset=utf-8' ;;
	*.svg) echo 'image/svg+xml' ;;
	*)
		echo "embed.sh: $1: no content type is known" >&2
		exit 1
		;;
	esac
}

# include SYMBOL FILE
include() {
	printf '__asm__(".pushsection .rodata\\n%s:\\n.incbin \\"%s\\"\\n.popsection");\n' \
		"$1" "$2"
	printf 'extern const char %s[] __attribute__((visibility("hidden")));\n' "$1"
}

bytes() {
	wc -c <"$1" | tr -d ' '
}

printf '/* Made by src/web/embed.sh. */\n#include "http/web.h"\n\n'
i=0
for file; do
	packed=$dir/${file##*/}.gz
	gzip -9nc "$file" >"$packed"
	include "web_plain_$i" "$file"
	include "web_packed_$i" "$packed"
	i=$((i + 1))
done
printf '\nconst struct web_file web_files[] = {\n'
i=0
for file; do
	type=$(type_of "$file")
	tag=$(sha256sum "$file" | cut -c 1-16)
	printf '\t{ "%s", "%s", "%s",\n\t\t{ web_plain_%d, %d }, { web_packed_%d, %d } },\n' \
		"${file##*/}" "$type" "$tag" "$i" "$(bytes "$file")" \
		"$i" "$(bytes "$dir/${file##*/}.gz")"
	i=$((i + 1))
done
printf '};\nconst size_t web_n_files = sizeof(web_files) / sizeof(web_files[0]);\n'
