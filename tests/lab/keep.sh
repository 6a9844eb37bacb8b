#!/usr/bin/env bash
# Keeps one lab host powered: boots it, and boots it again when it asked for a reboot (systemd-nspawn exits 133) or when
# its power was cut on purpose (the file `cut`). A power-off (exit 0) or any other end is written down and left.
# Started by host.sh in a session of its own. When its owner process is gone it takes the host down, so that a killed
# test leaves nothing behind. Usage: keep.sh NAME DIR OWNER-PID
set -euo pipefail

# In one step: a reader must never see an empty state.
say_state() { echo "$1" >"$dir/state.new" && mv "$dir/state.new" "$dir/state"; }

name=$1 dir=$2 owner=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hostname=$(cat "$dir/hostname")

# A control group of its own, so that the systemd inside and that of other hosts (or of this machine) never share one.
in_own_cgroup() {
  if [ -d /run/systemd/system ]; then
    exec systemd-run --scope --quiet --collect -p Delegate=yes --unit="runbook-lab-$name-$BASHPID" -- "$@"
  fi
  local top group
  for top in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$top/cgroup.procs" ] || continue
    group=$top/runbook-lab-$name
    mkdir -p "$group"
    echo "$BASHPID" >"$group/cgroup.procs"
  done
  exec "$@"
}

boot() {
  echo "--- boot $1 at $(date -u +%FT%TZ)" >>"$dir/console.log"
  (in_own_cgroup env -i PATH="$PATH" TERM=dumb systemd-nspawn --quiet -D "$dir/root" --boot --register=no --keep-unit --private-network \
    --machine="$name" --hostname="$hostname" --console=pipe) </dev/null >>"$dir/console.log" 2>&1 9>&- &
  nspawn=$!
  echo "$nspawn" >"$dir/nspawn.pid"
  echo "$1" >"$dir/boots"
}

owner_is_gone() { [ "$owner" != 0 ] && ! kill -0 "$owner" 2>/dev/null; }

boots=$(cat "$dir/boots" 2>/dev/null || echo 0)
while :; do
  boots=$((boots + 1))
  say_state running
  boot "$boots"
  while kill -0 "$nspawn" 2>/dev/null; do
    if owner_is_gone; then
      echo "owner $owner is gone: taking the host down" >>"$dir/console.log"
      exec "$here/host.sh" down "$name"
    fi
    sleep 0.2
  done
  code=0
  wait "$nspawn" || code=$?
  echo "--- ended with $code at $(date -u +%FT%TZ)" >>"$dir/console.log"
  if [ -e "$dir/down" ]; then
    exit 0
  elif [ -e "$dir/cut" ]; then
    rm -f "$dir/cut"
  elif [ "$code" -eq 0 ]; then
    say_state off
    exit 0
  elif [ "$code" -ne 133 ]; then
    say_state "ended $code"
    exit 1
  fi
done
