#!/usr/bin/env bash
# The same commit gives the same bytes: builds the release twice from nothing, in two directories of different depth and with two
# target directories, and compares program and SBOM. Takes two cold release builds, some six minutes on two cores.
# Usage: tests/reproducible.sh    of HEAD; what is not committed is not built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

build() {
  local tree=$1 target=$2 dist=$3
  mkdir -p "$tree"
  git archive HEAD | tar -x -C "$tree"
  (cd "$tree" && CARGO_TARGET_DIR="$target" tests/sbom.sh "$dist")
}
build "$work/one" "$work/one-target" "$work/one-dist"
rm -rf "$work/one-target"
build "$work/another/place/of/another/depth" "$work/elsewhere/target" "$work/two-dist"

# A path of the builder in the program would be a path of nobody's on the host where it runs.
if grep -aqF -e "$work" -e "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/one-dist/runbook"; then
  echo "the program names a directory of the machine that built it" >&2
  exit 1
fi
for file in runbook runbook.cdx.json; do
  one=$(sha256sum <"$work/one-dist/$file") two=$(sha256sum <"$work/two-dist/$file")
  printf '%s  %s\n%s  the same, built again\n' "${one%% *}" "$file" "${two%% *}"
  [ "$one" = "$two" ] || { echo "$file differs: the build is not reproducible" >&2; exit 1; }
done
