# inspect, import and export by their command lines, on a model trained here.
# run: parallel

setup_file() {
	export EXE=${UNROLLD_EXE:-$PWD/build/release/unrolld}
	cd "$BATS_FILE_TMPDIR"
	for i in $(seq 40); do echo "the quick brown fox $i"; done >text
	"$EXE" train text -o model --hidden 8 --layers 2 --max-steps 2 \
		--batch 2 --seq-length 10 --threads 1 --tied \
		--embedding 8 2>&1
}

setup() {
	cd "$BATS_FILE_TMPDIR"
}

@test "inspect prints architecture, tokenizer, training and tensors" {
	run "$EXE" inspect model --tensors
	[ "$status" = 0 ]
	[[ $output == *"architecture  lstm, 2 layers of 8, embedding 8, tied output"* ]]
	[[ $output =~ tokenizer\ +char,\ vocabulary\ [0-9]+,\ start\ 0\ \"\\n\" ]]
	[[ $output =~ fingerprint\ +[0-9a-f]{16} ]]
	[[ $output == *corpus.hash* ]]
	[[ $output =~ rnn.weight_hh_l1\ +\[32,8\] ]]
	[[ $output != *output.weight* ]]
}

@test "inspect --json gives the same in one object" {
	run "$EXE" inspect model --json --tensors
	[ "$status" = 0 ]
	[ "$(jq -r .architecture.cell <<<"$output")" = lstm ]
	[ "$(jq '[.tensors[].shape | reduce .[] as $n (1; . * $n)] | add' <<<"$output")" = \
		"$(jq .parameters <<<"$output")" ]
	[ "$(jq '[.tensors[].bytes] | add' <<<"$output")" = "$(jq .bytes <<<"$output")" ]
}

@test "export and import give the same model" {
	"$EXE" export model -o weights --vocab vocab.json
	"$EXE" import weights -o again --vocab vocab.json --cell lstm
	[ "$("$EXE" inspect model --json | jq -c '[.fingerprint, .architecture, .tokenizer]')" = \
		"$("$EXE" inspect again --json | jq -c '[.fingerprint, .architecture, .tokenizer]')" ]
	[ "$("$EXE" inspect again --json | jq -r .training.imported.layout)" = pytorch ]
}

@test "a vocabulary of another size is refused, and nothing is written" {
	"$EXE" export model -o weights
	echo '["a","b"]' >two.json
	run "$EXE" import weights -o none --vocab two.json
	[ "$status" = 1 ]
	[[ $output == *"two.json: 2 tokens, but the weights have "* ]]
	[ ! -e none ]
	run "$EXE" import weights -o none --tokenizer byte
	[ "$status" = 1 ]
	[[ $output == *"byte: 256 tokens, but the weights have "* ]]
	echo '["a","a"]' >two.json
	run "$EXE" import weights -o none --vocab two.json
	[[ $output == *"two.json: tokenizer: vocabulary[1] is U+0061"* ]]
}

@test "the wrong cell is refused with both numbers of gates" {
	"$EXE" export model -o weights --vocab vocab.json
	run "$EXE" import weights -o none --vocab vocab.json --cell gru
	[ "$status" = 1 ]
	[[ $output == *"tensor rnn.weight_hh_l0: shape [32,8], expected 3 * 8 rows for gru, which has 3 gates"* ]]
	run "$EXE" import weights -o none --vocab vocab.json --cell esn
	[[ $output == *"cell is 'esn', expected rnn, lstm or gru"* ]]
	run "$EXE" import weights -o none --vocab vocab.json --layout char-rnn
	[[ $output == *"tensor h2h_1.weight: missing: no recurrent layer in this layout"* ]]
}

@test "what is no model is refused, naming the file" {
	run "$EXE" inspect text
	[ "$status" = 1 ]
	[[ $output == "unrolld inspect: text: header of "*"this is no safetensors file" ]]
	head -c 3000 model >cut
	run "$EXE" inspect cut
	[ "$status" = 1 ]
	[[ $output == *"cut: "*truncated* ]]
	"$EXE" export model -o weights
	run "$EXE" inspect weights
	[ "$status" = 1 ]
	[[ $output == *'metadata has no "unrolld"'*imported* ]]
	run "$EXE" inspect missing
	[ "$status" = 1 ]
	[[ $output == *"missing: no such file" ]]
	run "$EXE" inspect .
	[ "$status" = 1 ]
}

@test "an output that can't be written is named" {
	run "$EXE" export model -o no/such/dir
	[ "$status" = 1 ]
	[[ $output == *no/such/dir* ]]
	run "$EXE" export model -o weights --vocab no/such/dir
	[ "$status" = 1 ]
	[[ $output == *no/such/dir* ]]
}

@test "wrong usage exits with 2 and says what was expected" {
	for line in "inspect" "inspect a b" "import" "import a" "export" \
		"export a" "inspect a --nope" "import a -o b --layout keras" \
		"export a -o b --dtype f8"; do
		run "$EXE" $line
		[ "$status" = 2 ]
		[[ $output == unrolld\ * ]]
	done
}

@test "help of each" {
	for command in inspect import export; do
		run "$EXE" $command --help
		[ "$status" = 0 ]
		[[ $output == "usage: unrolld $command"* ]]
	done
	run "$EXE" import --help
	[[ $output == *i2h_1.weight* ]]
}

@test "a tokenizer of another size than the model is refused by all" {
	# One token less, in as many bytes: the header keeps its length.
	sed 's/\\"1\\",\\"2\\"/\\"1\\"      /' model >fewer
	! cmp -s model fewer
	for line in "inspect fewer" "export fewer -o none" "eval fewer text" \
		"sample fewer" "train text -o none --from fewer"; do
		run "$EXE" $line
		[ "$status" = 1 ]
		[[ $output =~ fewer:\ the\ tokenizer\ has\ [0-9]+\ tokens,\ the\ model\ [0-9]+ ]]
	done
	[ ! -e none ]
}
