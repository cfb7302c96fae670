#!/usr/bin/env bash
# How long players see nothing when nodes go away, and what that costs: failover.sh KILLS. About a quarter of an hour for 30.
set -euo pipefail
cd "$(dirname "$0")/.."
kills=$1
mkdir -p bin/chaos
go build -o bin/chaos/ ./cmd/tickover ./loadtest/chaos/bench
code=0
bin/chaos/bench -server bin/chaos/tickover -kills "$kills" || code=1
go test ./loadtest/chaos/bench -run '^$' -bench . -benchtime 1x -timeout 30m | { grep -E '^(failover:|--- FAIL|panic)|_test.go' || true; } || code=1
exit $code
