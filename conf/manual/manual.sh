#!/bin/sh
# Usage: manual.sh 1|5 EXECUTABLE
# Writes unrolld(1) or unrolld.conf(5), from what the executable prints of its
# command and option tables, to standard output. It may be several words: an
# emulator and what that runs.
set -eu

page=$1
shift
dir=$(dirname "$0")
version=$("$@" version | sed -n 's/^unrolld //p')

words() {
	awk '/^  [a-z]/ { print $1 }'
}

# What a command says of itself, as a section or (of an action) a subsection.
section() {
	awk -v heading="$1" -v request="$2" -f "$dir/help.awk"
}

if [ "$page" = 5 ]; then
	env -i "$@" serve --print-config |
		awk -v version="$version" -f "$dir/conf.awk"
	exit
fi

cat <<END
.TH UNROLLD 1 "" "unrolld $version" "User Commands"
.SH NAME
unrolld \- train recurrent language models and serve them over HTTP
.SH SYNOPSIS
.B unrolld
.I COMMAND
.RI [ OPTION ...]
.SH DESCRIPTION
Serves recurrent language models (vanilla RNN, LSTM, GRU) over HTTP, with one
small state for each session, and trains them.
.SH COMMANDS
END
"$@" help | awk '/^  [a-z]/ {
	name = $1
	sub(/^  [a-z]+ +/, "")
	gsub(/-/, "\\-")
	printf ".TP\n.B unrolld %s\n%s\n", name, $0
}'
for command in $("$@" help | words); do
	[ "$command" != help ] || continue
	"$@" help "$command" | section "unrolld $command" SH
	[ "$command" = sessions ] || continue
	for action in $("$@" help sessions | words); do
		"$@" sessions "$action" --help |
			section "unrolld sessions $action" SS
	done
done
cat <<END
.SH EXIT STATUS
0 when what was asked is done, 1 when it could not be done, 2 when it was asked
wrongly.
.SH ENVIRONMENT
.TP
.B UNROLLD_SECTION_KEY
the option \fIsection.key\fP of \fBunrolld serve\fP: UNROLLD_HTTP_PORT is
http.port.
.TP
.B UNROLLD_API_KEYS
API keys for \fBunrolld serve\fP, as in auth.keys_file, between semicolons.
.TP
.B UNROLLD_URL, UNROLLD_API_KEY
the daemon that \fBunrolld sessions\fP and \fBunrolld health\fP ask, and the key
that they show.
.TP
.B UNROLLD_KERNELS
the instruction set to use instead of the best that there is: generic, avx2,
avx512, avx512vnni, avx512bf16.
.SH FILES
.TP
.I /etc/unrolld/unrolld.conf
options of \fBunrolld serve\fP.
.TP
.I /var/lib/unrolld
sessions, there.
.SH SEE ALSO
.BR unrolld.conf (5)
END
