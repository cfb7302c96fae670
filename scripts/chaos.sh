#!/usr/bin/env bash
# Break a small installation under players who count: chaos.sh SECONDS SEED [flags of loadtest/chaos/play]. SEED "": any.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1 seed=$2
shift 2
mkdir -p bin/chaos
go build -o bin/chaos/ ./cmd/tickover ./loadtest/chaos/play
exec bin/chaos/play -server bin/chaos/tickover -seconds "$seconds" -seed "${seed:-0}" "$@"
