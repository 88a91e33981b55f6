# The web page's files, as a browser and a cache see them. What the page does
# with them is tested by `make test-web`.

load daemon

setup_file() {
	make_model "$BATS_FILE_TMPDIR/models" tiny
}

html='Accept: text/html,application/xhtml+xml'

# header NAME: of the last answer.
header() {
	sed -n "s/^$1: //Ip" <<<"$head" | tail -1
}

@test "the page is found at the root, and only by who wants HTML" {
	start
	request GET / -H "$html"
	expect "$status" 200
	[[ "$(header Content-Type)" == "text/html; charset=utf-8" ]]
	[[ "$body" == "<!doctype html>"* ]]
	[[ "$(header Vary)" == *Accept* ]]
	request GET /
	expect "$(field .sample)" /sample
}

@test "all that the page names is there, small, and of a type that browsers take" {
	start
	local name total=0 names
	names=$(curl -sS -H "$html" "$url/" | grep -o 'web/[a-z.]*')
	# And what those modules import.
	names+=" $(cat src/web/*.js | sed -n 's|.* from "\./\([a-z]*\.js\)";|web/\1|p')"
	for name in $(tr ' ' '\n' <<<"$names" | sort -u); do
		request GET "/$name" -H 'Accept-Encoding: gzip, deflate, br' --raw
		expect "$status" 200
		expect "$(header Content-Encoding)" gzip
		case $name in
		*.js) [[ "$(header Content-Type)" == text/javascript* ]] ;;
		*.css) [[ "$(header Content-Type)" == text/css* ]] ;;
		esac
		total=$((total + $(stat -c %s "$BATS_TEST_TMPDIR/body")))
		cp "$BATS_TEST_TMPDIR/body" "$BATS_TEST_TMPDIR/packed.gz"
		request GET "/$name"
		expect "$(header Content-Encoding)" ""
		cmp "$BATS_TEST_TMPDIR/body" \
			<(gunzip -c "$BATS_TEST_TMPDIR/packed.gz")
	done
	[ "$total" -gt 40000 ]
	[ "$total" -le 150000 ]
}

@test "the policy lets the page run its own scripts and no others" {
	start
	local policy path
	for path in / /web/main.js; do
		request GET "$path" -H "$html"
		policy=$(header Content-Security-Policy)
		[[ "$policy" == *"default-src 'none'"* ]]
		[[ "$policy" == *"script-src 'self'"* ]]
		[[ "$policy" == *"frame-ancestors 'none'"* ]]
		[[ "$policy" != *unsafe* ]]
		expect "$(header X-Content-Type-Options)" nosniff
		expect "$(header Referrer-Policy)" no-referrer
	done
	# Nothing that it would forbid, and nothing from elsewhere.
	curl -sS -H "$html" "$url/" >"$BATS_TEST_TMPDIR/page"
	! grep -Ei 'https?://|style=|on[a-z]+=|<script>|<style' \
		"$BATS_TEST_TMPDIR/page"
	! grep -E 'innerHTML|insertAdjacentHTML|outerHTML|eval\(|document\.write' \
		src/web/*.js
}

@test "who has a file is told that it is the same" {
	start
	local tag packed
	request GET /web/main.js
	tag=$(header ETag)
	expect "$(header Cache-Control)" no-cache
	: >"$BATS_TEST_TMPDIR/body"
	request GET /web/main.js -H "If-None-Match: $tag"
	expect "$status" 304
	[ ! -s "$BATS_TEST_TMPDIR/body" ]
	expect "$(header ETag)" "$tag"
	request GET /web/main.js -H "If-None-Match: \"other\", W/$tag"
	expect "$status" 304
	request GET /web/main.js -H 'If-None-Match: "other"'
	expect "$status" 200
	# Its compressed form is another.
	request GET /web/main.js -H 'Accept-Encoding: gzip' --raw
	packed=$(header ETag)
	[ "$packed" != "$tag" ]
	request GET /web/main.js -H 'Accept-Encoding: gzip' \
		-H "If-None-Match: $tag" --raw
	expect "$status" 200
	request GET /web/main.js -H 'Accept-Encoding: gzip' \
		-H "If-None-Match: $packed"
	expect "$status" 304
}

@test "gzip is sent only to who takes it" {
	start
	local accept
	for accept in identity 'gzip;q=0' 'gzip; q=0.0, identity' br xgzip gzipx; do
		request GET /web/main.js -H "Accept-Encoding: $accept"
		expect "$(header Content-Encoding)" ""
	done
	for accept in gzip 'br, gzip;q=0.5' 'GZIP'; do
		request GET /web/main.js -H "Accept-Encoding: $accept" --raw
		expect "$(header Content-Encoding)" gzip
	done
}

@test "HEAD has the headers alone; other methods and names are refused" {
	start
	local length
	request GET /web/page.css
	length=$(header Content-Length)
	status=$(curl -sS --max-time 30 -I -D "$BATS_TEST_TMPDIR/head" \
		-o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$url/web/page.css")
	head=$(tr -d '\r' <"$BATS_TEST_TMPDIR/head")
	expect "$status" 200
	expect "$(header Content-Length)" "$length"
	[ -n "$(header ETag)" ]
	request POST /web/main.js
	expect "$status" 405
	expect "$(header Allow)" "GET, HEAD, OPTIONS"
	request GET /web/none.js
	expect_error 404 null not_found "no file 'none.js'"
	request GET '/web/..%2Fmain.js'
	expect "$status" 404
	request GET / -H "$html" -H 'Host: evil.example'
	expect_error 403 null host_not_allowed evil.example
}
