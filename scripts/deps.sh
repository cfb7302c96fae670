#!/usr/bin/env bash
# What the tests need beside Go. As root on Debian it is installed; elsewhere it is named, and the tests that need it skip loudly.
# Under CI nothing may be missing.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v chromium >/dev/null || [ -x /usr/bin/chromium ] || missing+=(chromium)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
command -v node >/dev/null || missing+=(nodejs npm)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "deps: installing ${missing[*]}"
	apt-get update -qq >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	missing=()
fi
if command -v npm >/dev/null && ! cmp -s client/ts/package-lock.json client/ts/node_modules/.lock-installed; then
	echo "deps: npm ci in client/ts"
	(cd client/ts && npm ci --no-audit --no-fund --silent && cp package-lock.json node_modules/.lock-installed)
fi
if [ ${#missing[@]} -gt 0 ]; then
	echo "deps: MISSING: ${missing[*]}. Please install; the tests that need them are skipped."
	[ -z "${CI:-}" ] || exit 1
fi
