#!/usr/bin/env bash
# Runs every fuzz target for so many seconds: fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do
	folder=$(dirname "$file")
	grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}' | while read -r target; do
		echo "fuzz: $folder $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${1}s" "$folder"
	done
done
