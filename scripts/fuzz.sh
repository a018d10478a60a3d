#!/usr/bin/env bash
# Runs each native fuzz target of the module for FUZZTIME (default 5s), one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
count=0
for package in $(go list ./...); do
  dir=$(go list -f '{{.Dir}}' "$package")
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "${FUZZTIME:-5s}" "$package"
    count=$((count + 1))
  done
done
[ "$count" -gt 0 ] || { echo "no fuzz target was found" >&2; exit 1; }
echo "$count fuzz targets ran"
