#!/usr/bin/env bash
# Runs each native fuzz target of the module for FUZZTIME (default 10000x: so many inputs), one after another. Each
# package is built once. A count, not a time: at the end of a time, Go before 1.27 now and then calls its own stopping
# workers a failure ("context deadline exceeded", go.dev/issue/75804).
set -euo pipefail
cd "$(dirname "$0")/.."
count=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while read -r package dir; do
  targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true)
  [ -n "$targets" ] || continue
  # -fuzz at build time compiles the coverage in that fuzzing goes by.
  go test -c -fuzz=. -o "$work/fuzz.test" "$package"
  for target in $targets; do
    echo "== $package $target"
    (cd "$dir" && "$work/fuzz.test" -test.run '^$' -test.fuzz "^${target}\$" -test.fuzztime "${FUZZTIME:-10000x}" -test.fuzzcachedir "$work/cache")
    count=$((count + 1))
  done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
[ "$count" -gt 0 ] || { echo "no fuzz target was found" >&2; exit 1; }
echo "$count fuzz targets ran"
