#!/usr/bin/env bash
# The demonstration: boots a real throwaway Debian host (systemd, Redis, PM2 in a container), plans and runs
# `restart-staging` inside it through a real reboot, unattended, and shows what came back. This machine itself is not
# touched: only missing packages are installed. The exit code is that of the run.
# Usage: real-host.sh [--keep] [--apps N] [--data small|large]
#   --keep   leave the host up at the end and say how to enter it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

keep='' apps=133 data=large
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=yes; shift ;;
    --apps) apps=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "real-host.sh: unknown argument '$1' (--keep, --apps N, --data small|large)" >&2; exit 2 ;;
  esac
done

readonly runbook=restart-staging
readonly resume_unit=runbook-resume.service
readonly host=tests/lab/host.sh
readonly name=demo-$$
binary=${RUNBOOK_BIN:-${CARGO_TARGET_DIR:-target}/release/runbook}
began=$SECONDS

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s== %3d s  %s%s\n' "$bold" "$((SECONDS - began))" "$*" "$plain"; }
inside() { "$host" run "$name" -- "$@"; }

build() {
  [ -z "${RUNBOOK_BIN:-}" ] || return 0
  command -v cargo >/dev/null || { echo "real-host.sh: cargo is missing: install Rust (rustup.rs), Debian's own is too old" >&2; exit 1; }
  cargo build --release --locked
}

# Without root or off Linux there is no real host to be had; the rehearsal runs the same plan on a model.
why_not=''
[ "$(uname -s)" = Linux ] || why_not="this is not Linux"
[ -n "$why_not" ] || [ "$(id -u)" -eq 0 ] || why_not="this is not root"
[ -n "$why_not" ] || command -v apt-get >/dev/null || command -v mmdebstrap >/dev/null || why_not="neither apt-get nor mmdebstrap is here"
if [ -n "$why_not" ]; then
  echo "No real host: $why_not. Rehearsing $runbook on the model instead; nothing is touched."
  # What was built already will do: a rehearsal needs no release.
  for built in "$binary" target/debug/runbook; do
    if [ -x "$built" ]; then exec "$built" rehearse "$runbook"; fi
  done
  build
  exec "$binary" rehearse "$runbook"
fi

# shellcheck disable=SC2317 # reached by the traps below
leave() {
  local code=$?
  trap - EXIT INT TERM
  unfollow
  if [ -n "$keep" ] && "$host" pid "$name" >/dev/null 2>&1; then
    say "the host stays up"
    printf 'enter it:   %s run %s -- bash -l\ntake down:  %s down %s\n' "$host" "$name" "$host" "$name"
  else
    "$host" down "$name" || code=1
  fi
  exit "$code"
}

# What an operator would look at by hand: what listens, how big the files are, what would not come back.
audit() {
  # shellcheck disable=SC2016
  inside bash -c '
    export REDISCLI_AUTH=$(cat /etc/runbook/bds.pass)
    printf "boot id   %s\nunits     %s\n" "$(cat /proc/sys/kernel/random/boot_id)" "$(systemctl is-system-running)"
    for port in 6379 6381 6377 6376 6375; do
      [ "$port" = 6377 ] && unset REDISCLI_AUTH
      info=$(redis-cli -p "$port" info 2>/dev/null | tr -d "\r")
      get() { printf "%s\n" "$info" | sed -n "s/^$1://p"; }
      printf "redis     %s %-6s %s keys, append-only file %s MB, of which base %s MB\n" "$port" "$(get role)" "$(redis-cli -p "$port" dbsize 2>/dev/null)" \
        "$(($(get aof_current_size || echo 0) / 1000000))" "$(($(get aof_base_size || echo 0) / 1000000))"
    done
    for unit in redis-server@{bds,bds-r,bull00,bull01,bull02}.service tile38@staging.service redis-router.service pm2-deploy.service; do
      printf "unit      %-28s %-10s %s\n" "$unit" "$(systemctl is-active "$unit")" "$(systemctl is-enabled "$unit")"
    done
    runuser -u deploy -- env -i HOME=/var/www/app PATH=/usr/local/bin:/usr/bin:/bin pm2 jlist --silent |
      grep -o "\"status\":\"[a-z ]*\"" | sort | uniq -c | sed "s/^ */pm2       /"
    printf "health    %s\n" "$(curl -s --max-time 5 http://127.0.0.1:3005/health || echo none)"'
}

# Says whether the resume unit is still to come or at work: it removes itself when the run has ended, and fails when it needs a person.
resume_is_under_way() {
  local seen
  seen=$(inside systemctl show --property=ActiveState,UnitFileState --value "$resume_unit" 2>/dev/null | tr '\n' ' ') || return 0
  case $seen in
    failed*) return 1 ;;
    active* | activating* | deactivating* | reloading*) return 0 ;;
    "inactive enabled"*) [ "$(inside systemctl is-system-running 2>/dev/null || true)" = starting ] ;;
    *) return 1 ;;
  esac
}

# The unattended part, after the reboot: what the resume unit says while it is at work.
follow_resume() {
  local until=$((SECONDS + 1800))
  "$host" run "$name" -- journalctl --follow --no-tail --boot --output=cat --unit="$resume_unit" &
  follower=$!
  while [ "$SECONDS" -lt "$until" ] && resume_is_under_way; do sleep 1; done
  sleep 1
  unfollow
}

unfollow() {
  [ -n "${follower:-}" ] || return 0
  kill "$follower" 2>/dev/null || true
  wait "$follower" 2>/dev/null || true
  follower=''
}

say "building runbook"
build
say "building and booting the host ($apps apps, $data data sets)"
tests/lab/need.sh lab
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
owner=$$
[ -z "$keep" ] || owner=0
"$host" up "$name" --apps "$apps" --data "$data" --crash 2 --binary "$binary" --owner "$owner"
say "the host before"
audit
say "runbook plan $runbook"
# Exit 6 says that the window is closed, which it usually is when somebody tries this; the run below sets it aside, with a reason.
inside runbook plan "$runbook" || [ $? -eq 6 ]

boot_before=$("$host" boot-id "$name")
say "runbook run $runbook"
code=0
inside runbook run "$runbook" --yes --confirm "$runbook" --ignore-window "demonstration" --progress plain || code=$?

# The reboot kills the program that asked for it, as it should; the journal and the resume unit carry on.
if [ "$("$host" boots "$name")" = 1 ] && ! { sleep 3; [ "$("$host" boots "$name")" -gt 1 ] || ! "$host" pid "$name" >/dev/null 2>&1; }; then
  echo "no reboot happened; runbook ended with exit $code" >&2
  exit "$((code == 0 ? 1 : code))"
fi
say "rebooting (the container asked for it: systemd-nspawn exited 133)"
"$host" wait "$name" --after "$boot_before" --reachable
say "up again: $resume_unit continues by itself"
printf 'boot id   %s\n     was  %s\n' "$("$host" boot-id "$name")" "$boot_before"
follow_resume

say "runbook report"
inside runbook report --format md
say "the host after"
audit
code=0
inside runbook status || code=$?
say "done with exit $code"
exit "$code"
