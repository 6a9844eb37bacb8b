#!/usr/bin/env bash
# Everything: format, lints, documentation, licences, tests, and the real hosts of the lab, within 60 minutes in all; a part
# that takes longer than its written budget says so. Installs what is missing (as root). Exit 0 only if every part passed.
# Usage: all.sh [PART...]   to run only some; `all.sh --list` names them with their budgets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Part and budget in seconds: measured on two cores, a cold build included, times two or so. They add up to under an hour.
readonly parts=(
  "install 240"
  "fmt 30"
  "shell 30"
  "clippy 400"
  "doc 150"
  "deny 450"
  "test 600"
  "hard 400"
  "lab 700"
  "demo 600"
)

# Seconds for everything. A part may take what the others have left: a busy machine is slow unevenly.
readonly hour=3600

logs=${CARGO_TARGET_DIR:-target}/all
mkdir -p "$logs"
export CARGO_TERM_COLOR=never RUSTDOCFLAGS="-D warnings"
lab_possible=yes
[ "$(id -u)" -eq 0 ] && [ "$(uname -s)" = Linux ] || lab_possible='not root on Linux'

part_install() {
  if [ "$lab_possible" = yes ]; then
    tests/lab/need.sh lab services lint hard
    tests/lab/pm2.sh
  else
    tests/lab/need.sh lint services || true
  fi
}
part_fmt() { cargo fmt --check; }
part_shell() {
  local all=(tests/*.sh tests/security/attacks/*.sh .ci/run examples/*.sh fuzz/run.sh tests/lab/*.sh)
  all+=(tests/lab/root/usr/local/lib/lab/*.sh tests/lab/topologies/*/root/usr/local/lib/lab/*.sh)
  bash -n "${all[@]}"
  shellcheck -x "${all[@]}"
}
part_clippy() {
  cargo clippy --locked --all-targets -- -D warnings
  tests/forgotten.sh
}
part_doc() { cargo doc --locked --no-deps --document-private-items; }
# Packages in Cargo.lock, those of other systems included. Each is somebody to trust: one more is a decision, and is made here.
readonly packages=192

part_deny() {
  local locked
  locked=$(grep -c '^\[\[package\]\]' Cargo.lock)
  [ "$locked" -le "$packages" ] || { echo "Cargo.lock has $locked packages, at most $packages were agreed: see tests/all.sh"; return 1; }
  command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@0.20.2
  cargo deny check bans licenses sources
  # The advisory database is a repository elsewhere: a machine that cannot reach it has nothing to check against, and says so.
  if timeout 120 cargo deny fetch db >"$logs/advisories.log" 2>&1; then
    cargo deny check advisories
  else
    echo "advisories NOT CHECKED: the advisory database cannot be reached from this machine" | tee "$logs/deny.note"
  fi
}
part_test() { env -u RUNBOOK_LAB cargo test --locked; }
# The quick tier of what takes long: kills, power cuts, failing calls, locks, a full disk, and real PM2 in four versions.
part_hard() {
  [ "$lab_possible" = yes ] || { echo "skipped: sandboxes are $lab_possible"; return 99; }
  tests/lab/pm2.sh
  RUNBOOK_HARD=quick cargo test --locked --test reliability -- --nocapture
  RUNBOOK_HARD=quick cargo test --locked --lib -- fuzzing pm2_matrix --nocapture
}
part_lab() {
  [ "$lab_possible" = yes ] || { echo "skipped: the lab is $lab_possible"; return 99; }
  RUNBOOK_LAB=1 cargo test --locked --test integration --test faults --test security -- lab_ --nocapture --test-threads=2 2>&1 |
    tee "$logs/lab.out"
  # Here nothing may be skipped: a lab that quietly did not run would look like one that passed.
  ! grep '^skipped:' "$logs/lab.out"
}
part_demo() {
  [ "$lab_possible" = yes ] || { echo "skipped: the lab is $lab_possible"; return 99; }
  examples/real-host.sh --apps 40 --data small
}

run_part() {
  local name=$1 budget=$2 code=0 began=$SECONDS
  local left=$((hour - 30 - SECONDS))
  printf '\n=== %s (%s s wanted, at most %s s)\n' "$name" "$budget" "$left"
  rm -f "$logs/$name.note"
  # Without --foreground a timeout ends the part's whole process group; an interrupt of this script is passed on to it.
  timeout -k 20 "$((left > 1 ? left : 1))" bash tests/all.sh --part "$name" </dev/null > >(exec tee "$logs/$name.log") 2>&1 &
  running=$!
  wait "$running" || code=$?
  running=''
  case $code in
    0) result=passed; passed=$((passed + 1)) ;;
    99) result=skipped; skipped=$((skipped + 1)) ;;
    124 | 137) result='OUT OF TIME'; failed=$((failed + 1)) ;;
    *) result="FAILED ($code)"; failed=$((failed + 1)) ;;
  esac
  [ "$((SECONDS - began))" -le "$budget" ] || [ "$result" != passed ] || result='passed, slow'
  table+=("$(printf '%-9s %-12s %5s s of %4s s  %s' "$name" "$result" "$((SECONDS - began))" "$budget" "$(head -n 1 "$logs/$name.note" 2>/dev/null || true)")")
}

case ${1:-} in
  --part) "part_$2"; exit ;;
  --list) printf '%s\n' "${parts[@]}"; exit ;;
esac

running=''
trap '[ -z "$running" ] || kill "$running"; exit 130' INT TERM
passed=0 failed=0 skipped=0 table=()
for part in "${parts[@]}"; do
  read -r name budget <<<"$part"
  if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then run_part "$name" "$budget"; fi
done
printf '\n'
printf '%s\n' "${table[@]}"
printf '%-9s %-12s %5s s of %s s\n\n' all '' "$SECONDS" "$hour"
if [ "$skipped" -gt 0 ]; then
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
else
  printf '%s passed, %s failed\n' "$passed" "$failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
