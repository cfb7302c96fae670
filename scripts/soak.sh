#!/usr/bin/env bash
# A server on free ports, and bots that check it: soak.sh BOTS ROOMS DURATION
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
bin/tickover --game-addr 127.0.0.1:0 --http-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 >"$out" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$out"' EXIT
url=
for _ in $(seq 100); do
	url=$(grep -oE 'ws://[^ ]+' "$out" || true)
	[ -n "$url" ] && break
	sleep 0.1
done
[ -n "$url" ] || { cat "$out"; exit 1; }
bin/tickctl soak --url "$url" --kind ledger --bots "$1" --rooms "$2" --duration "$3"
