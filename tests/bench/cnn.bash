# VGG-16 at 224x224 on eight images against PyTorch: images/s at equal threads,
# the share of the processor's peak counted as direct convolutions, and how far
# v is from PyTorch's.
need jq "Debian's jq"
[ -x "$programs/bench_cnn" ] || skip "no $programs/bench_cnn: use 'make bench'"
"$python" -c 'import torchvision' 2>/dev/null ||
	skip "no torchvision for $python (Debian's python3-torchvision)"
weights=$work/vgg16.safetensors
images=$work/images.safetensors
"$python" "$here/cnn_peer.py" make "$weights" "$images" 8
cores=$(nproc)
[ "$cores" -le 64 ] || cores=64
for threads in $(printf '%s\n' 1 "$cores" | sort -nu); do
	for ((i = 0; i < rounds; i++)); do
		"$programs/bench_cnn" vgg16 "$weights" "$images" "$threads" \
			>>"$work/ours.$threads"
		"$python" "$here/cnn_peer.py" run "$weights" "$images" \
			"$threads" >>"$work/peer.$threads"
	done
	jq -nc --slurpfile ours "$work/ours.$threads" \
		--slurpfile peer "$work/peer.$threads" '
		def median(f): map(f) | sort | .[(length - 1) / 2 | floor];
		($ours | median(.images_s)) as $mine |
		($peer | median(.images_s)) as $theirs |
		{bench: "cnn", what: "vgg16", batch: $ours[0].images,
		threads: $ours[0].threads,
		images_s: $mine, peer: "PyTorch",
		peer_images_s: ($theirs * 1e3 | round / 1e3),
		ratio: ($mine / $theirs * 100 | round / 100), target: 1.1,
		of_peak: ($ours | median(.of_peak)), of_peak_target: 0.6,
		delta: $ours[0].delta, delta_target: 1e-4}'
done
