# Sessions on disk, many of them: how fast they are created, what they take, how
# long a daemon needs to start on them and to list a page, and what it then
# weighs. BENCH_SESSIONS of them (100,000, or a million with BENCH_LARGE=1).
need jq "Debian's jq"
need curl "Debian's curl"
[ -x "$programs/bench_sessions" ] ||
	skip "no $programs/bench_sessions: use 'make bench'"
count=${BENCH_SESSIONS:-100000}
[ "${BENCH_LARGE:-}" != 1 ] || count=${BENCH_SESSIONS:-1000000}
model=$root/conf/models/shakespeare.safetensors
file=${BENCH_SESSIONS_FILE:-$work/sessions.db}
if [ -f "$file" ]; then
	echo "bench: sessions: $file is taken as it is" >&2
else
	free=$(df --output=avail -B1 "$(dirname "$file")" | tail -1)
	[ "$free" -gt $((count * 12000)) ] ||
		skip "$free bytes are free, $count sessions may take $((count * 12000))"
	# What this disk does when each half megabyte is synced.
	raw=$(dd if=/dev/zero of="$file.raw" bs=512k count=300 oflag=dsync 2>&1 |
		awk -F, 'END { print $(NF) }')
	rm "$file.raw"
	jq -nc --arg raw "$raw" '{bench: "sessions", what: "disk",
		synced_writes: $raw | ltrimstr(" ")}'
	"$programs/bench_sessions" "$model" "$file" "$count"
fi

# Not from the page cache: as after a boot.
dd if=/dev/null of="$file" oflag=nocache conv=notrunc,fdatasync count=0 \
	2>/dev/null
began=$(date +%s.%N)
"$UNROLLD_EXE" serve --http.port 0 --sessions.path "$file" --log.level error \
	--models.dir "$model" >"$work/out" &
daemon=$!
until url=$(grep -om1 'http://[^ ]*' "$work/out"); do
	kill -0 $daemon || exit 1
	sleep 0.005
done
started=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.3f", b - a }')
stored=$(curl -sS "$url/metrics" | awk '$1 == "unrolld_sessions" { print $2 }')
jq -nc --argjson n "$stored" --argjson s "$started" '{bench: "sessions",
	what: "start", sessions: $n, seconds: $s, target: 1}'

# page AFTER: ms for a page of 100, the answer's end included.
page() {
	curl -sS -o "$work/page" -w '%{time_total}\n' \
		"$url/v1/sessions?limit=100&after=$1" |
		awk '{ print 1000 * $1 }'
}
for after in "" sess_{a..z}{m,x,4}; do
	page "$after"
done >"$work/cold"
for after in "" sess_{a..z}{m,x,4}; do
	page "$after"
done >"$work/warm"
jq -nc --argjson cold "$(median <"$work/cold")" \
	--argjson worst "$(sort -g "$work/cold" | tail -1)" \
	--argjson warm "$(median <"$work/warm")" \
	--argjson rows "$(jq '.data | length' "$work/page")" '{bench: "sessions",
	what: "list", rows: $rows, cold_ms: $cold, cold_worst_ms: $worst,
	warm_ms: $warm, target: 50}'

# Some are used: it may not keep them all.
for id in $(jq -r '.data[].id' "$work/page"); do
	curl -sS -o /dev/null -H 'Content-Type: application/json' \
		-d "{\"session\": \"$id\", \"length\": 10}" "$url/sample"
done
mb=$(awk '/^VmHWM/ { printf "%.1f", $2 * 1024 / 1e6 }' "/proc/$daemon/status")
kill $daemon
wait $daemon
jq -nc --argjson mb "$mb" '{bench: "sessions", what: "memory",
	peak_resident_mb: $mb}'
