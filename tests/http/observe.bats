# What an operator sees: request ids, timings, the access log, metrics.

bats_require_minimum_version 1.5.0
load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

@test "a request's own id goes out, into its error and into the log" {
	start
	request GET /v1/models/none -H 'X-Request-Id: trace-7.a'
	[[ "$head" == *"X-Request-Id: trace-7.a"* ]]
	local bad
	for bad in 'a b' "$(printf 'x%.0s' {1..65})" 'a"b' ''; do
		request GET /healthz -H "X-Request-Id: $bad"
		[[ "$head" =~ X-Request-Id:\ req-[0-9a-f]{16} ]]
	done
	# Ids of answers stay ours, so that two are never the same.
	request POST /v1/completions -H 'X-Request-Id: same' -H 'Content-Type: application/json' -d '{"max_tokens": 2}'
	local id=$(field .id)
	[[ "$id" =~ ^cmpl-[0-9a-f]{16}$ ]]
	request POST /v1/completions -H 'X-Request-Id: same' -H 'Content-Type: application/json' -d '{"max_tokens": 2}'
	[ "$(field .id)" != "$id" ]
	stop
	grep -q 'path=/v1/models/none status=404 .*request=trace-7.a' "$BATS_TEST_TMPDIR/err"
	grep -q 'path=/v1/completions status=200 .*prompt_tokens=0 tokens=2 request=same' "$BATS_TEST_TMPDIR/err"
}

@test "Server-Timing says where the time went" {
	start
	post /sample '{"prompt": "The", "length": 20}'
	[[ "$head" =~ Server-Timing:\ queue\;dur=[0-9.]+,\ prompt\;dur=[0-9.]+,\ decode\;dur=[0-9.]+,\ commit\;dur=[0-9.]+,\ total\;dur=[0-9.]+ ]]
	request GET /healthz
	[[ "$head" =~ Server-Timing:\ total\;dur=[0-9.]+ ]]
}

@test "the log names the key, never the key itself, nor what was said" {
	UNROLLD_API_KEYS="me sample a-secret-of-sixteen" start
	request POST /sample -H 'X-Api-Key: a-secret-of-sixteen' -H 'Content-Type: application/json' \
		-d '{"prompt": "The quick brown", "length": 3}'
	stop
	grep -q 'msg=request .*path=/sample .*key=me prompt_tokens=15 tokens=3' "$BATS_TEST_TMPDIR/err"
	! grep -qE 'a-secret|quick' "$BATS_TEST_TMPDIR/err"
}

@test "histograms of a generation" {
	start
	post /v1/sessions '{"id": "s"}'
	post /sample '{"prompt": "The", "length": 20, "session": "s"}'
	local name
	for name in first_token inter_token generation queue commit; do
		[ "$(metric "unrolld_${name}_seconds_count")" -ge 1 ]
		[ "$(metric "unrolld_${name}_seconds_bucket{le=\"+Inf\"}")" = "$(metric "unrolld_${name}_seconds_count")" ]
	done
	[ "$(metric unrolld_batch_size_count)" -ge 20 ]
}

@test "metrics are Prometheus text, each family once and whole" {
	start
	post /sample '{"length": 3}'
	curl -sS "$url/metrics" >"$BATS_TEST_TMPDIR/metrics"
	awk '
		/^# HELP / { if (help[$3]++) bad("HELP twice: " $3); next }
		/^# TYPE / { if (type[$3]) bad("TYPE twice: " $3); type[$3] = $4; family = $3
			if (!help[$3]) bad("no HELP: " $3)
			if ($4 == "counter" && $3 !~ /_total$/) bad("counter: " $3)
			if ($4 != "counter" && $3 ~ /_total$/) bad("not a counter: " $3)
			next }
		/^#/ || !NF { bad("line: " $0); next }
		{ name = $1; sub(/{.*/, "", name)
			base = name
			if (type[family] == "histogram") sub(/_(bucket|sum|count)$/, "", base)
			if (base != family) bad("stray: " $1)
			if (seen[$1]++) bad("series twice: " $1)
			if ($0 !~ /^[a-z][a-z0-9_]*({.*})? [-+0-9.eE]+$/ && $NF !~ /^[+-]?(Inf|NaN)$/) bad("form: " $0) }
		function bad(why) { print why; failed = 1 }
		END { exit failed }' "$BATS_TEST_TMPDIR/metrics"
	if command -v promtool >/dev/null; then
		promtool check metrics <"$BATS_TEST_TMPDIR/metrics"
	fi
}

@test "the dashboard asks for what there is" {
	local dashboard=$BATS_TEST_DIRNAME/../../conf/grafana-unrolld.json name n=0
	start
	post /sample '{"length": 3}'
	curl -sS "$url/metrics" >"$BATS_TEST_TMPDIR/metrics"
	for name in $(jq -r '.panels[].targets[].expr' "$dashboard" | grep -o 'unrolld_[a-z_]*' | sort -u); do
		n=$((n + 1))
		grep -q "^$name[ {]" "$BATS_TEST_TMPDIR/metrics" || {
			echo "no $name"
			return 1
		}
	done
	[ "$n" -ge 20 ]
}
