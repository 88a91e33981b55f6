# What cells do while a model reads: pages join, cells and series are what they
# say, and what is expected next is what a session expects.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

# values SERIES: of the last answer, as real numbers, a line per token.
values() {
	paste -d '\n' <(field ".series.$1.scale | map(tostring) | join(\" \")") \
		<(field ".series.$1.data" | base64 -d | od -An -v -td1 -w"$(field '.cells | length')") |
		awk 'NR == 1 { n = split($0, scale, " "); next }
			NF { for (i = 1; i <= n; i++)
				printf "%.5f%s", $i * scale[i], i < n ? " " : "\n" }'
}

# near A B TOLERANCE: two texts of as many numbers.
near() {
	paste <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") |
		awk -v most="$3" 'NF != 2 { bad = 1 }
			{ d = $1 - $2; if (d < 0) d = -d; if (d > most) bad = 1 }
			END { exit bad || !NR }'
}

@test "each cell of each token is there, and pages join" {
	start
	local whole columns
	post /v1/activations '{"text": "Why, then, is my pump", "layer": 0}'
	expect "$status" 200
	expect "$(field '[.object, .model, .cell, .layer, .layers, .hidden, .total, .from, .next] | map(tostring) | join(" ")')" \
		"activations tiny lstm 0 2 48 21 0 null"
	expect "$(field '.tokens | join("")')" "Why, then, is my pump"
	expect "$(field '.cells | [length, .[0], .[47]] | map(tostring) | join(" ")')" "48 0 47"
	expect "$(field '.series | keys | join("")')" h
	whole=$(values h)
	expect "$(wc -l <<<"$whole")" 21
	expect "$(wc -w <<<"$whole")" $((21 * 48))
	columns=$(awk '{ print $6, $48 }' <<<"$whole")
	post /v1/activations '{"text": "Why, then, is my pump", "layer": 0, "cells": [5, 47], "limit": 9}'
	expect "$(field .next)" 9
	near "$(values h)" "$(head -9 <<<"$columns")" 0.009
	post /v1/activations '{"text": "Why, then, is my pump", "layer": 0, "cells": [5, 47], "from": 9}'
	expect "$(field .next)" null
	expect "$(field '.tokens | join("")')" ", is my pump"
	near "$(values h)" "$(tail -12 <<<"$columns")" 0.009
	# Another layer is another matter.
	post /v1/activations '{"text": "Why, then, is my pump"}'
	expect "$(field .layer)" 1
	! near "$(values h)" "$whole" 0.009
}

@test "h, c and gates are those of one LSTM" {
	start
	local layer
	for layer in 0 1; do
		post /v1/activations '{"text": "JULIET: O me!", "series": "hcifgo", "layer": '$layer'}'
		expect "$(field '.series | keys | join("")')" cfghio
		paste -d ' ' <(values h | tr ' ' '\n') <(values c | tr ' ' '\n') \
			<(values i | tr ' ' '\n') <(values f | tr ' ' '\n') \
			<(values g | tr ' ' '\n') <(values o | tr ' ' '\n') |
			awk -v units=48 'function tanh(x) { x = exp(2 * x); return (x - 1) / (x + 1) }
				function off(a, b) { return a - b > .03 || b - a > .03 }
				NF != 6 || $3 < 0 || $4 < 0 || $6 < 0 { bad = 1 }
				off($1, $6 * tanh($2)) { bad = 1 }
				NR > units && off($2, $4 * before[NR % units] + $3 * $5) { bad = 1 }
				{ before[NR % units] = $2 }
				END { exit bad || NR != 13 * units }'
	done
}

@test "what comes next is what a session that read the text expects" {
	start
	local top
	post /v1/activations '{"text": "ROMEO: ", "cells": [0], "top": 4}'
	expect "$(field '.top | length')" 7
	top=$(field '.top[6] | map("\(.text) \(.logprob)") | join(",")')
	post /v1/sessions '{"id": "same", "prompt": "ROMEO: "}'
	request GET '/v1/sessions/same/peek?top=4'
	expect "$(field '.tokens | map("\(.text) \(.logprob)") | join(",")')" "$top"
}

@test "what is not to be had is refused by name" {
	start
	local big
	post /v1/activations '{}'
	expect_error 400 text invalid_value 'text is missing'
	post /v1/activations '{"text": "a", "layer": 2}'
	expect_error 400 layer invalid_value 'layer is 2, expected 0 to 1'
	post /v1/activations '{"text": "a", "cells": [3, 48]}'
	expect_error 400 cells invalid_value 'cells[1] is 48, expected 0 to 47'
	post /v1/activations '{"text": "a", "cells": [-1]}'
	expect_error 400 cells invalid_value 'cells[0] is'
	post /v1/activations '{"text": "a", "cells": []}'
	expect_error 400 cells invalid_value 'cells is'
	post /v1/activations '{"text": "a", "series": "hz"}'
	expect_error 400 series invalid_value "expected some of 'hcifgo'"
	post /v1/activations '{"text": "a", "series": "hh"}'
	expect_error 400 series invalid_value 'each once'
	post /v1/activations '{"text": "a~b"}'
	expect_error 422 text unknown_character '~'
	post /v1/activations '{"text": "a~b", "unknown": "skip"}'
	expect "$(field .total)" 2
	post /v1/activations '{"text": "a", "from": 5}'
	expect "$(field '[.total, (.tokens | length), .next] | map(tostring) | join(" ")')" "1 0 null"
	post /v1/activations '{"text": "a", "model": "none"}'
	expect_error 404 model model_not_found none
	big=$(head -c 20001 /dev/zero | tr '\0' a)
	post /v1/activations '{"text": "'"$big"'"}'
	expect "$status" 413
	expect "$(field .error.param)" text
	post /v1/activations '{"text": "'"${big:1}"'", "series": "hcifgo", "limit": 20000}'
	expect_error 400 limit invalid_value 'at most 4194304'
}

@test "words that a vocabulary lacks are read as its <unk>" {
	"${loose[@]}" "$exe" train "$BATS_FILE_TMPDIR/models/text" \
		-o "$BATS_TEST_TMPDIR/words.safetensors" --tokenizer word \
		--max-vocab 12 --hidden 16 --layers 1 --batch 4 --seq-length 8 \
		--max-steps 5 --threads 1 >"$BATS_TEST_TMPDIR/train.log" 2>&1
	start --models.dir "$BATS_TEST_TMPDIR/words.safetensors"
	post /v1/activations '{"text": "the quick zebra"}'
	expect "$status" 200
	expect "$(field '.tokens[-1]')" '<unk>'
	post /v1/activations '{"text": "the quick zebra", "unknown": "error"}'
	expect "$status" 422
}
