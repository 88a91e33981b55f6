# Captions of a 12-megapixel photograph through HTTP, by a tiny CNN: how long one
# takes, and what 32 at once do to a stream of text.
#   CAPTIONER   the model (conf/models/scenes.safetensors)
need jq "Debian's jq"
driver=$programs/bench_http
[ -x "$driver" ] || skip "no $driver: use 'make bench'"
captioner=${CAPTIONER:-$root/conf/models/scenes.safetensors}
[ -f "$captioner" ] || skip "no $captioner"
text=$root/conf/models/shakespeare.safetensors
[ -f "$text" ] || skip "no $text"
"$python" -c 'import PIL' 2>/dev/null || skip "no Pillow (Debian's python3-pil)"

# A photograph of $data where there is one, else a smooth picture with noise.
"$python" - "$data/captions16/QmG3nS6.jpg" "$work/photo.jpg" <<'EOF'
import os, sys
from PIL import Image
size = (4000, 3000)
if os.path.exists(sys.argv[1]):
    image = Image.open(sys.argv[1]).convert("RGB").resize(size, Image.BICUBIC)
else:
    image = Image.radial_gradient("L").convert("RGB").resize(size, Image.BICUBIC)
grain = Image.effect_noise(size, 24).convert("RGB")
Image.blend(image, grain, 0.2).save(sys.argv[2], quality=92)
EOF

mkdir "$work/models"
cp "$text" "$captioner" "$work/models"
daemon --models.dir "$work/models" --sessions.store memory

# judge NAME VALUE TARGET UNIT DETAILS: at most.
judge() {
	jq -nc --arg name "$1" --argjson value "$2" --argjson target "$3" \
		--arg unit "$4" --argjson details "$5" '
		{bench: "captions", name: $name,
		value: ($value * 1e4 | round / 1e4), unit: $unit,
		at_most: $target, ratio: ($value / $target * 1e3 | round / 1e3)} +
		($details | del(.mode))'
}

line=$(for ((i = 0; i < rounds; i++)); do
	"$driver" "$port" "$pid" caption "$work/photo.jpg" 10
done | middle ms_p50)
judge "a 12-megapixel JPEG, p50" "$(jq .ms_p50 <<<"$line")" 150 ms "$line"

line=$(for ((i = 0; i < rounds; i++)); do
	"$driver" "$port" "$pid" captions "$work/photo.jpg" 32 |
		jq -c '. + {p99_ratio: (.gap_ms_p99 / .gap_ms_p99_alone)}'
done | middle p99_ratio)
judge "a stream beside 32 of them at once, p99 gap over its own alone" \
	"$(jq .p99_ratio <<<"$line")" 2 ratio "$line"
