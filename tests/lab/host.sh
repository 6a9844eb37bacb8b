#!/usr/bin/env bash
# The lab's hosts: throwaway Debian machines with systemd as PID 1, each in a container with its own disk layer.
# Nothing on this machine is restarted, stopped or enabled; several hosts can run side by side.
set -euo pipefail

usage() {
  cat >&2 <<'EOF'
usage: host.sh VERB NAME ...
  up NAME [--topology staging|quay] [--apps N] [--data small|large] [--crash N] [--binary FILE] [--runbook FILE] [--owner PID]
                               build what is missing, boot, and make it look like the field's host; ready when it returns
  run NAME -- COMMAND...       run a command inside, as root, with a clean environment; TERM ends it, KILL only lets go of it
  wait NAME [--after BOOT_ID] [--reachable] [--within SECONDS]
                               until systemd has settled (or merely answers), in another boot than BOOT_ID if one is given
  boot-id NAME | pid NAME | boots NAME | state NAME | log NAME
  cut NAME                     power cut: every process dies at once, then it boots again
  on NAME                      power on again after a power-off
  down NAME                    kill it, unmount, delete; quiet when there is none
  list                         the hosts that exist
EOF
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export RUNBOOK_LAB_CACHE=${RUNBOOK_LAB_CACHE:-/var/cache/runbook-lab}
hosts=$RUNBOOK_LAB_CACHE/hosts
inside_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() { echo "host.sh: $*" >&2; exit 1; }

# The container's PID 1 as seen from here: the child of systemd-nspawn that is first in its own PID namespace.
init_pid() {
  local nspawn child
  nspawn=$(cat "$dir/nspawn.pid" 2>/dev/null) || return 1
  for child in $(pgrep -P "$nspawn" 2>/dev/null); do
    if [ "$(awk '/^NSpid:/ { print $NF }' "/proc/$child/status" 2>/dev/null)" = 1 ]; then
      echo "$child"
      return 0
    fi
  done
  return 1
}

# Fills `inside` with what runs a command in the host. Only the command itself is in the host's process list: nsenter does
# not fork and becomes `timeout 0` (which never times out), so that there is a parent outside the host that collects the
# command when the host goes down. nsenter's own parent would stop itself for ever when systemd-shutdown, as its first act,
# stops every process inside; an uncollected command keeps the whole container from ending.
enter_by() {
  local init
  init=$(init_pid) || fail "host $name is not running ($(cat "$dir/state" 2>/dev/null || echo 'no such host'))"
  inside=(nsenter --no-fork -t "$init" -a env -i PATH="$inside_path" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" timeout --foreground 0)
}

enter() {
  local inside
  enter_by
  "${inside[@]}" "$@"
}

boot_id() {
  local init
  init=$(init_pid) && cat "/proc/$init/root/proc/sys/kernel/random/boot_id"
}

wait_for_boot() {
  local after='' reachable='' within=180 until seen now state
  while [ $# -gt 0 ]; do
    case $1 in
      --after) after=$2; shift 2 ;;
      --reachable) reachable=yes; shift ;;
      --within) within=$2; shift 2 ;;
      *) usage ;;
    esac
  done
  until=$((SECONDS + within))
  while [ "$SECONDS" -lt "$until" ]; do
    if now=$(boot_id 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$after" ]; then
      seen=$(enter timeout 20 systemctl is-system-running 2>/dev/null || true)
      case $seen in
        running | degraded) return 0 ;;
        starting) [ -z "$reachable" ] || return 0 ;;
      esac
    else
      # Empty is the moment in which the keeper writes it.
      state=$(cat "$dir/state" 2>/dev/null || echo gone)
      if [ -n "$state" ] && [ "$state" != running ]; then
        tail -n 20 "$dir/console.log" >&2 || true
        fail "host $name is $state"
      fi
    fi
    sleep 0.2
  done
  fail "host $name did not settle within $within s (last seen: ${seen:-no answer}); console: $dir/console.log"
}

start_keeper() {
  local owner=$1
  rm -f "$dir/cut"
  echo running >"$dir/state.new" && mv "$dir/state.new" "$dir/state"
  setsid "$here/keep.sh" "$name" "$dir" "$owner" </dev/null >>"$dir/console.log" 2>&1 9>&- &
  echo $! >"$dir/keeper.pid"
  echo "$owner" >"$dir/owner"
}

# Where a topology lies: its recipe, its root tree, its runbook.
topology_at() {
  if [ "$1" = staging ]; then echo "$here"; else echo "$here/topologies/$1"; fi
}

# Mounts NAME's own disk layer over the given ones and gives it an identity of its own.
plug_in() {
  local layers=$1 topology=$2
  [ ! -e "$dir" ] || fail "host $name exists already: host.sh down $name"
  mkdir -p "$dir/upper" "$dir/work" "$dir/root"
  sed -n 's/^LAB_HOSTNAME=//p' "$(topology_at "$topology")/recipe.env" >"$dir/hostname"
  mount -t overlay "runbook-lab-$name" -o "lowerdir=$layers,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
  # Not empty and not "uninitialized": systemd would take this for a first boot and enable units by preset.
  tr -d - </proc/sys/kernel/random/uuid >"$dir/root/etc/machine-id"
}

up() {
  local topology=staging apps=40 data=small crash=0 binary='' runbook='' owner=0 layers
  while [ $# -gt 0 ]; do
    case $1 in
      --topology) topology=$2; shift 2 ;;
      --apps) apps=$2; shift 2 ;;
      --data) data=$2; shift 2 ;;
      --crash) crash=$2; shift 2 ;;
      --binary) binary=$2; shift 2 ;;
      --runbook) runbook=$2; shift 2 ;;
      --owner) owner=$2; shift 2 ;;
      *) usage ;;
    esac
  done
  [ "$(id -u)" -eq 0 ] || fail "needs root: containers and overlay mounts"
  [ -z "$binary" ] || [ -x "$binary" ] || fail "no program at $binary"
  layers=$("$here/build.sh" --topology "$topology" --apps "$apps" --data "$data")
  plug_in "$layers" "$topology"
  trap 'down' EXIT
  [ -z "$binary" ] || install -m 755 "$binary" "$dir/root/usr/local/bin/runbook"
  [ -n "$runbook" ] || runbook=$(topology_at "$topology")/restart-$topology.yaml
  install -D -m 644 "$runbook" "$dir/root/etc/runbook/restart-$topology.yaml"
  start_keeper "$owner"
  wait_for_boot
  enter /usr/local/lib/lab/morning.sh "$crash"
  trap - EXIT
}

# Used by build.sh: boots the base alone with the tree root/ laid over it, lets dress.sh fill it, and keeps its disk layer.
dress() {
  local topology=staging base='' apps='' data='' into=''
  while [ $# -gt 0 ]; do
    case $1 in
      --topology) topology=$2; shift 2 ;;
      --base) base=$2; shift 2 ;;
      --apps) apps=$2; shift 2 ;;
      --data) data=$2; shift 2 ;;
      --into) into=$2; shift 2 ;;
      *) usage ;;
    esac
  done
  plug_in "$base" "$topology"
  trap 'down' EXIT
  cp -r --no-preserve=ownership "$(topology_at "$topology")/root/." "$dir/root/"
  start_keeper $$
  wait_for_boot
  enter /usr/local/lib/lab/dress.sh "$apps" "$data" >&2
  enter systemctl poweroff
  local until=$((SECONDS + 90))
  while [ "$(cat "$dir/state")" = running ] && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
  [ "$(cat "$dir/state")" = off ] || fail "dressing: the host did not power off"
  umount "$dir/root"
  rm -f "$dir/upper/etc/machine-id"
  rm -rf "$dir"/upper/var/log/journal/*
  mv "$dir/upper" "$into"
}

# Ends only what it finds by the ids written down and by what is left in the host's own control group, never by name.
down() {
  local pid group init
  [ -e "$dir" ] || return 0
  pid=$(cat "$dir/keeper.pid" 2>/dev/null || echo 0)
  # The keeper collects its container and leaves by itself once it is told not to boot again.
  touch "$dir/down"
  if init=$(init_pid); then kill -KILL "$init" 2>/dev/null || true; fi
  for _ in {1..50}; do
    if [ "$pid" = $$ ] || ! grep -qsF "keep.sh" "/proc/$pid/cmdline"; then break; fi
    sleep 0.1
  done
  if [ "$pid" != $$ ] && grep -qsF "keep.sh" "/proc/$pid/cmdline"; then kill -KILL "$pid" 2>/dev/null || true; fi
  pid=$(cat "$dir/nspawn.pid" 2>/dev/null || echo 0)
  if [ "$pid" != 0 ] && grep -qsF "systemd-nspawn" "/proc/$pid/cmdline"; then kill -KILL "$pid" 2>/dev/null || true; fi
  for group in /sys/fs/cgroup/{systemd,unified,.}/runbook-lab-"$name"; do
    [ -d "$group" ] || continue
    for _ in {1..50}; do
      while read -r pid; do [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null || true; done \
        < <(find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null)
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$group" ] || break
      sleep 0.1
    done
  done
  for _ in {1..50}; do
    if ! mountpoint -q "$dir/root" || umount "$dir/root" 2>/dev/null; then break; fi
    sleep 0.1
  done
  ! mountpoint -q "$dir/root" || fail "$dir/root is still busy"
  rm -rf "$dir"
}

cut_power() {
  local init
  init=$(init_pid) || fail "host $name is not running"
  touch "$dir/cut"
  kill -KILL "$init"
}

verb=${1:-}
[ -n "$verb" ] || usage
shift
if [ "$verb" = list ]; then
  [ ! -d "$hosts" ] || find "$hosts" -mindepth 1 -maxdepth 1 -type d -printf '%f\n'
  exit 0
fi
name=${1:-}
case $name in '' | *[!a-z0-9-]*) usage ;; esac
shift
dir=$hosts/$name

case $verb in
  up) up "$@" ;;
  dress) dress "$@" ;;
  run)
    [ "${1:-}" = -- ] && shift
    [ $# -gt 0 ] || usage
    enter_by
    exec "${inside[@]}" "$@"
    ;;
  wait) wait_for_boot "$@" ;;
  boot-id) boot_id ;;
  pid) init_pid ;;
  boots) cat "$dir/boots" ;;
  state) cat "$dir/state" ;;
  log) cat "$dir/console.log" ;;
  cut) cut_power ;;
  on) start_keeper "$(cat "$dir/owner")" ;;
  down) down ;;
  *) usage ;;
esac
