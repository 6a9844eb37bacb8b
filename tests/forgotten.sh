#!/usr/bin/env bash
# Forgotten kinds: adds a kind of action, of check, of question and of deed that nothing in the program knows, and shows that
# every place which must say something about it does not compile.
# Usage: tests/forgotten.sh [--write]    exit 0 only if the places are those of tests/forgotten.txt; --write writes them anew
#
# Why: an action that some `_ =>` takes for another one is planned, judged or reported as what it is not, and no test of the old
# ones can see it. So matches over these sets have no wildcard. A place that gets one again, or a question about all kinds that
# is asked with `matches!`, disappears from the list and is noticed here. Places that come up or go are written down with --write:
# look at the difference first.
# The feature `forgotten-kinds` does not compile, on purpose; nothing may be built with all features.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly list=tests/forgotten.txt
out=$(mktemp)
trap 'rm -f "$out" "$out.places"' EXIT

if cargo check --locked --lib --features forgotten-kinds --message-format short >"$out" 2>&1; then
  echo "it compiles although a kind is forgotten everywhere"
  exit 1
fi
if others=$(grep -E ': error(\[E[0-9]+\])?:' "$out" | grep -v 'error\[E0004\]'); then
  printf 'errors that are no forgotten kind:\n%s\n' "$others"
  exit 1
fi
# File, the set whose kind is forgotten, and how often; lines move.
sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error\[E0004\].*patterns?: `&?([a-z_]+::)*([A-Za-z]+)::Forgotten.*not covered: .*/\1 \3/p' "$out" |
  sort | uniq -c | awk '{ print $2, $3, $1 }' | LC_ALL=C sort >"$out.places"
counted=$(awk '{ sum += $3 } END { print sum + 0 }' "$out.places")
errors=$(grep -c 'error\[E0004\]' "$out")
[ "$counted" -eq "$errors" ] || { echo "$errors errors, of which $counted were understood:"; grep 'error\[E0004\]' "$out"; exit 1; }

if [ "${1:-}" = --write ]; then
  cp "$out.places" "$list"
elif ! diff -u "$list" "$out.places"; then
  echo "the places where a forgotten kind does not compile are others now (-: has a wildcard or is gone, +: new)"
  exit 1
fi
printf '%s places do not compile with a forgotten kind: %s\n' "$counted" \
  "$(awk '{ sum[$2] += $3 } END { for (set in sum) printf "%s %s  ", set, sum[set] }' "$out.places")"
