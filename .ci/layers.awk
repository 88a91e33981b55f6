# Usage: awk -f .ci/layers.awk src/LAYERS FILE...
# Checks every #include "layer/..." of src/ and include/ against src/LAYERS.

function fail(text) {
	print text
	failed = 1
}

# A layer reached again on the way down is a cycle.
function visit(layer, path,    i, n, below) {
	if (index(path " ", " " layer " ")) {
		fail("src/LAYERS: cycle:" path " " layer)
		return
	}
	n = split(allowed[layer], below, " ")
	for (i = 1; i <= n; i++)
		visit(below[i], path " " layer)
}

function check_layers(    layer, i, n, below, before) {
	before = failed
	for (layer in allowed) {
		n = split(allowed[layer], below, " ")
		for (i = 1; i <= n; i++)
			if (!(below[i] in allowed))
				fail("src/LAYERS: " layer ": unknown layer " below[i])
	}
	if (failed == before)
		for (layer in allowed)
			visit(layer, "")
}

NR == FNR {
	if (/^#/ || !NF)
		next
	layer = $1
	if (!sub(/:$/, "", layer))
		fail(FILENAME ":" FNR ": expected 'layer: layers'")
	if (layer in allowed)
		fail(FILENAME ":" FNR ": " layer " is there twice")
	$1 = ""
	allowed[layer] = $0
	next
}

FNR == 1 {
	files++
	if (files == 1)
		check_layers()
	split(FILENAME, part, "/")
	own = part[2]
	if (!(own in allowed))
		fail(FILENAME ": layer " own " is not in src/LAYERS")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	if (split(quoted[2], part, "/") < 2) {
		fail(FILENAME ":" FNR ": \"" quoted[2] \
			"\": expected it with its layer, \"" own "/" quoted[2] "\"")
		next
	}
	to = part[1]
	includes++
	if (!(to in allowed))
		fail(FILENAME ":" FNR ": unknown layer " to)
	else if (to != own && !index(allowed[own] " ", " " to " "))
		fail(FILENAME ":" FNR ": " own " may not include " to)
}

END {
	if (!files) {
		fail("no files to check")
	}
	if (!failed)
		print "layers: " includes " includes in " files " files follow src/LAYERS"
	exit failed
}
