# A command's --help as a manual's section: options become tagged paragraphs.

function escape(s) {
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	gsub(/'/, "\\(aq", s)
	if (s ~ /^\./)
		s = "\\&" s
	return s
}

# Mandoc wants no paragraph before a heading's first line.
NR == 1 {
	printf ".%s \"%s\"\n", request, toupper(request == "SH" ? heading : "") \
		(request == "SS" ? heading : "")
}

# A command with its list of others: the list has sections of its own.
/^  [a-z]/ { next }

/^usage: / || /^       unrolld / {
	sub(/^usage: /, "")
	sub(/^ +/, "")
	printf "%s.B %s\n", usages++ ? ".br\n" : "", escape($0)
	next
}

/^  +-/ {
	line = substr($0, 3)
	sub(/^ +/, "", line)
	flag = line
	text = ""
	if (match(line, /  +/)) {
		flag = substr(line, 1, RSTART - 1)
		text = substr(line, RSTART + RLENGTH)
	} else if (length($0) > 29 && substr($0, 30, 1) == " ") {
		flag = substr($0, 1, 29)
		sub(/^ +/, "", flag)
		text = substr($0, 31)
	}
	printf ".TP\n.B %s\n", escape(flag)
	gap = 0
	if (text != "")
		print escape(text)
	options = 1
	next
}

/^          / && options {
	sub(/^ +/, "")
	print escape($0)
	next
}

/^$/ {
	gap = 1
	options = 0
	next
}

{
	if (gap)
		print ".PP"
	gap = 0
	print escape($0)
}
