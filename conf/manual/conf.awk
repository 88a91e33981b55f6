# The sample configuration file as unrolld.conf(5).

function escape(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/'/, "\\(aq", s)
	if (s ~ /^\./)
		s = "\\&" s
	return s
}

BEGIN {
	printf ".TH UNROLLD.CONF 5 \"\" \"unrolld %s\" \"File Formats\"\n", version
	print ".SH NAME\nunrolld.conf \\- options of unrolld serve"
	print ".SH SYNOPSIS\n.I /etc/unrolld/unrolld.conf"
	print ".SH DESCRIPTION"
	print "Sections in brackets, and in them lines of KEY = VALUE. A line that"
	print "begins with ; or # is a comment, and so is what follows a space and ;."
	print "An unknown key is an error. The environment (UNROLLD_HTTP_PORT is port"
	print "of [http]) overrides the file, and flags (\\-\\-http.port) both."
	print "Sizes are bytes, or end in K, M, G or T; times end in ms, s, m, h or d."
}

/^\[/ {
	printf ".SH \"%s\"\n", $0
	inside = 1
	next
}

inside && /^; / {
	text = text (text == "" ? "" : "\n") escape(substr($0, 3))
	next
}

inside && /^;?[a-z_]+ =/ {
	sub(/^;/, "")
	printf ".TP\n.B %s\n%s\n", escape($0), text
	text = ""
}

END {
	print ".SH SEE ALSO\n.BR unrolld (1)"
}
