#!/bin/bash
# Drives the page with a real browser against a real daemon. Where the browser
# or its driver can't be installed, says so and skips.
set -u

here=$(cd "$(dirname "$0")" && pwd)

skip() {
	echo "test-web: skipped: $1"
	exit 0
}

# Node.js may be there from elsewhere, npm with it.
{ command -v chromium && command -v node && command -v npm; } >/dev/null ||
	"$here/../../conf/packages.sh" web npm ||
	skip "chromium, nodejs and npm can't be installed here"
npm --prefix "$here" install --no-package-lock --ignore-scripts --no-audit \
	--no-fund --loglevel=error ||
	skip "npm can't install what tests/web/package.json lists"
for name in $(compgen -e UNROLLD_); do
	[ "$name" = UNROLLD_EXE ] || unset "$name"
done
export LC_ALL=C.UTF-8 TZ=UTC WEB_ARTEFACTS=${WEB_ARTEFACTS:-$PWD/build/web}
mkdir -p "$WEB_ARTEFACTS"
# WEB_ONLY: a part of a test's name. WEB_SLOW=1: what the page waits for comes
# late, at random.
exec node --test --test-concurrency=1 --test-name-pattern="${WEB_ONLY:-.}" \
	"$here"/*.test.mjs
