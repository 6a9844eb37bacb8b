#!/usr/bin/env bash
# The full tier of what takes long, as one command: the model against 100,000 transitions and 2,000 reboots, every kill point,
# 1,000 double kills, every power cut, every errno at every call, 10,000 lock attempts, a full disk, ten gigabytes of output,
# planted secrets and escapes, every planted bug, the release built twice. Within 55 minutes on two cores;
# needs root.
# Usage: tests/full.sh [PART...]   to run only some; `full.sh --list` names them. Exit 0 only if every part passed.
# Fuzzing (fuzz/run.sh) and the real hosts of the lab (tests/all.sh) are not part of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly parts=(build decisions reliability security corpora planted release)
readonly budget=3300
logs=${CARGO_TARGET_DIR:-target}/full
mkdir -p "$logs"
export CARGO_TERM_COLOR=never RUNBOOK_HARD=full RUNBOOK_FULL=1

# The program is started thousands of times, mostly under strace: optimised a little, it takes two thirds of the time.
readonly faster=(--config 'profile.dev.package.runbook-restart.opt-level=1')

part_build() {
  tests/lab/need.sh hard services
  cargo test --locked --lib --test security --no-run
  cargo test --locked "${faster[@]}" --test reliability --no-run
}
part_decisions() { cargo test --locked --lib -- execute::tests::decisions --nocapture; }
part_reliability() { cargo test --locked "${faster[@]}" --test reliability -- --nocapture; }
part_security() { cargo test --locked --test security -- --skip lab_ --nocapture; }
part_corpora() { cargo test --locked --lib -- fuzzing --nocapture; }
# In the default tier: a test that catches a bug there catches it wherever it is run.
part_planted() { env -u RUNBOOK_HARD tests/planted.sh; }
# The release names its packages, and the same commit gives the same bytes: two cold release builds.
part_release() { tests/reproducible.sh; }

# The lines of a log that say how much was tried.
figures() {
  grep -E 'wrong decisions$|^(kill matrix|double kills|power cuts|errnos|lock|full disk|one-shots|one-shot stops) |^security: |^[0-9]+ planted bugs|  runbook(\.cdx\.json)?$|the same, built again$|^skipped|^test result' "$1" |
    grep -v 'so far' || true
}

case ${1:-} in
  --part) "part_$2"; exit ;;
  --list) printf '%s\n' "${parts[@]}"; exit ;;
esac

running=''
trap '[ -z "$running" ] || kill "$running"; exit 130' INT TERM
failed=0 table=()
for part in "${parts[@]}"; do
  # The build belongs to every choice of parts.
  if [ $# -gt 0 ] && [ "$part" != build ] && [[ " $* " != *" $part "* ]]; then continue; fi
  printf '\n=== %s\n' "$part"
  code=0 began=$SECONDS
  # A group of its own, ended as a whole by timeout; an interrupt of this script is passed on to it.
  timeout -k 20 "$budget" bash tests/full.sh --part "$part" </dev/null >"$logs/$part.log" 2>&1 &
  running=$!
  wait "$running" || code=$?
  running=''
  figures "$logs/$part.log"
  result=passed
  if [ "$code" -ne 0 ]; then
    result="FAILED ($code), see $logs/$part.log"
    failed=$((failed + 1))
    tail -n 40 "$logs/$part.log"
  fi
  table+=("$(printf '%-13s %5s s  %s' "$part" "$((SECONDS - began))" "$result")")
done
printf '\n'
printf '%s\n' "${table[@]}"
printf '%-13s %5s s of %s s on %s cores\n' all "$SECONDS" "$budget" "$(nproc)"
[ "$failed" -eq 0 ] && [ "$SECONDS" -le "$budget" ]
