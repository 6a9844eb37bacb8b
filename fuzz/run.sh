#!/usr/bin/env bash
# Fuzzes every reader of foreign bytes, two at a time, and prints the executions of each.
# Usage: fuzz/run.sh [SECONDS] [TARGET...]    SECONDS in all, half an hour by default; building comes before
# New inputs go to fuzz/work/ (not kept); a finding to fuzz/artifacts/TARGET/. To keep one as a regression: copy it to
# fuzz/corpus/TARGET/, where `cargo test` replays it for ever.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-1800}
shift || true
mapfile -t targets < <(printf '%s\n' "$@" | grep . || basename -s .rs -a fuzz_targets/*.rs)
readonly at_once=2
rounds=$(((${#targets[@]} + at_once - 1) / at_once))
each=$((seconds / rounds))
[ "$each" -ge 1 ] || each=1

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The flags of the sanitizer are unstable; a stable compiler takes them if told so, and is the one that releases are built with.
export RUSTC_BOOTSTRAP=1
cargo fuzz build
triple=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p work artifacts

# One target for its share of the time: its log to work/TARGET.log, its exit code to work/TARGET.code.
fuzz() {
  local target=$1 code=0
  mkdir -p "work/$target" "corpus/$target" "artifacts/$target"
  # 256 MB in one allocation is more than any of the readers may ever want; longer inputs would only slow everything down.
  "target/$triple/release/$target" "work/$target" "corpus/$target" \
    -artifact_prefix="artifacts/$target/" -max_total_time="$each" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 \
    -max_len=65536 -use_value_profile=1 -print_final_stats=1 -verbosity=1 >"work/$target.log" 2>&1 </dev/null || code=$?
  echo "$code" >"work/$target.code"
}

for ((round = 0; round < rounds; round++)); do
  pids=()
  for target in "${targets[@]:$((round * at_once)):$at_once}"; do
    fuzz "$target" &
    pids+=("$!")
  done
  wait "${pids[@]}"
done

total=0 findings=0
for target in "${targets[@]}"; do
  log=work/$target.log
  runs=$(grep -a -o 'stat::number_of_executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$' || true)
  [ -n "$runs" ] || runs=$(grep -a -o '^#[0-9]*' "$log" | tail -n 1 | tr -d '#' || true)
  total=$((total + ${runs:-0}))
  result=clean
  if [ "$(cat "work/$target.code")" -ne 0 ]; then
    result="FINDING, see fuzz/$log and fuzz/artifacts/$target/"
    findings=$((findings + 1))
  fi
  printf '%-12s %12s executions in %4s s   %s\n' "$target" "${runs:-0}" "$each" "$result"
done
printf '%-12s %12s executions, %s findings\n' all "$total" "$findings"
[ "$findings" -eq 0 ]
