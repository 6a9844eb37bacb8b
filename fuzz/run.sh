#!/usr/bin/env bash
# Fuzzes every reader of foreign bytes, one after the other, and prints the executions of each.
# Usage: fuzz/run.sh [SECONDS] [TARGET...]    SECONDS in all, half an hour by default
# New inputs go to fuzz/work/ (not kept); a finding to fuzz/artifacts/TARGET/. To keep one as a regression: copy it to
# fuzz/corpus/TARGET/, where `cargo test` replays it for ever.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-1800}
shift || true
mapfile -t targets < <(printf '%s\n' "$@" | grep . || basename -s .rs -a fuzz_targets/*.rs)
each=$((seconds / ${#targets[@]}))
[ "$each" -ge 1 ] || each=1

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The flags of the sanitizer are unstable; a stable compiler takes them if told so, and is the one that releases are built with.
export RUSTC_BOOTSTRAP=1
cargo fuzz build

mkdir -p work artifacts
total=0 findings=0 table=()
for target in "${targets[@]}"; do
  mkdir -p "work/$target" "corpus/$target"
  log=work/$target.log
  code=0
  # 200 MB in one allocation is more than any of the readers may ever want; 4 MiB inputs would only slow everything down.
  cargo fuzz run "$target" "work/$target" "corpus/$target" -- \
    -max_total_time="$each" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len=65536 \
    -use_value_profile=1 -print_final_stats=1 -verbosity=1 >"$log" 2>&1 || code=$?
  runs=$(grep -a -o 'stat::number_of_executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$' || true)
  [ -n "$runs" ] || runs=$(grep -a -o '^#[0-9]*' "$log" | tail -n 1 | tr -d '#' || true)
  total=$((total + ${runs:-0}))
  result=clean
  if [ "$code" -ne 0 ]; then
    result="FINDING, see fuzz/$log"
    findings=$((findings + 1))
  fi
  table+=("$(printf '%-12s %12s executions in %4s s   %s' "$target" "${runs:-0}" "$each" "$result")")
  printf '%s\n' "${table[-1]}"
done
printf '\n'
printf '%s\n' "${table[@]}"
printf '%-12s %12s executions, %s findings\n' all "$total" "$findings"
[ "$findings" -eq 0 ]
