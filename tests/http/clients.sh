#!/bin/bash
# Gets the clients from npm and drives them against a real daemon. Where they
# can't be had, says so and skips.
set -u

here=$(cd "$(dirname "$0")" && pwd)

skip() {
	echo "test-clients: skipped: $1"
	exit 0
}

# Node.js may be there from elsewhere, npm with it.
{ command -v node && command -v npm; } >/dev/null ||
	"$here/../../conf/packages.sh" npm ||
	skip "nodejs and npm can't be installed here"
npm --prefix "$here" install --no-package-lock --ignore-scripts --no-audit \
	--no-fund --loglevel=error ||
	skip "npm can't install what tests/http/package.json lists"
exec "$here/../run.sh" build/clients "$here/clients.bats"
