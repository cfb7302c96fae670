#!/usr/bin/env bash
# The TypeScript side: typescript.sh test | lint | page
set -euo pipefail
cd "$(dirname "$0")/../client/ts"
if ! command -v npm >/dev/null || [ ! -d node_modules ]; then
	echo "typescript: SKIPPED, node and npm are missing (make deps)"
	[ -z "${CI:-}" ] || exit 1
	exit 0
fi
case "$1" in
test) npm test --silent ;;
lint) npm run --silent check && npm run --silent page:check ;;
page) npm run --silent page ;;
esac
