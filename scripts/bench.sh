#!/usr/bin/env bash
# Speed and memory of the parts. Nothing else should run beside it; about three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -run '^$' -bench . -benchtime 300ms ./netcode ./codec/... ./rooms ./sessions ./client | grep -E '^(Benchmark|ok|FAIL|---)'
TICKOVER_COST=1 go test -count=1 -v -run TenThousand ./rooms/host ./node | grep -E '^(rooms:|sockets:|--- FAIL|FAIL)'
go run ./loadtest/floor/bench idle 2>/dev/null | grep '^idle:'
