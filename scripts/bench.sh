#!/usr/bin/env bash
# Speed and memory of the parts. Nothing else should run beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -run '^$' -bench . -benchtime 300ms ./netcode ./codec/... ./rooms ./engine ./sessions ./client | grep -E '^(Benchmark|ok|FAIL|---)'
TICKOVER_BENCH=1 go test -count=1 -run 'Bench$' -v ./rooms/host | grep -E '^ *(rooms:|.*rooms:)|FAIL|ok'
