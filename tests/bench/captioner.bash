# The 16 pictures of captions16 and their captions: learnt by heart from given
# features, then looked at by a VGG-16 that starts at random and has one step.
need jq "Debian's jq"
pictures=$data/captions16
[ -f "$pictures/features.safetensors" ] ||
	skip "no $pictures/features.safetensors (set DATA_DIR)"

caption() {
	"$UNROLLD_EXE" train-caption "$pictures/captions.jsonl" --log "$work/log" \
		--optimizer "$1" -o "$work/captioner.safetensors" "${@:2}" 2>/dev/null
	tail -n 1 "$work/log"
}

learnt=$(caption adamw --features "$pictures/features.safetensors" \
	--batch 16 --epochs 300 --learning-rate 0.003)
"$UNROLLD_EXE" eval-caption "$work/captioner.safetensors" \
	"$pictures/captions.jsonl" --features "$pictures/features.safetensors" \
	--json |
	jq -c --argjson learnt "$learnt" '{bench: "captioner",
		what: "16 captions by heart", exact, exact_target: 1,
		steps: $learnt.step, seconds: ($learnt.seconds * 10 | round / 10)}'

caption sgd --cnn vgg16 --batch 1 --max-steps 1 >/dev/null
"$UNROLLD_EXE" caption "$work/captioner.safetensors" "$pictures"/*.jpg \
	"$pictures"/*.png --json |
	jq -sc '{bench: "captioner",
		what: "VGG-16 at random", images: length, images_target: 16,
		captions: map(select(.captions[0].logprob < 0)) | length}'
