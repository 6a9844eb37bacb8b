# shellcheck shell=bash
# What the attacks share: two users who own nothing but their home, a daemon that lies, and a judge. For a lab host only: users
# are added and removed. The program is on the PATH, as are node, pm2 and redis-server.
# An attack ends with a line that begins with HELD or BROKEN, and with 0 or 1.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$(systemd-detect-virt 2>/dev/null)" != systemd-nspawn ] && [ -z "${ATTACK_ANYWAY:-}" ]; then
  echo "BROKEN: not in a lab host: these add users"
  exit 1
fi

# Bounds of one command, beyond the sleep that it was told.
longest_ms=10000
most_kib=65536

place=$(mktemp -d /tmp/attack.XXXXXX)
chmod 711 "$place"
mkdir -m 700 "$place/state"
mkdir -m 755 "$place/open"
export RUNBOOK_STATE_DIR=$place/state RUNBOOK_LOCK=$place/lock
mallory=mal$$ victim=vic$$
useradd -m "$mallory"
useradd -m "$victim"
mallorys=/home/$mallory victims=/home/$victim
chmod 711 "$mallorys"
chmod 700 "$victims"
echo 'setInterval(() => {}, 1000)' >"$place/open/idle.js"
cp "$here/liar.js" "$place/open/"
chmod 644 "$place/open/"*.js
# shellcheck disable=SC2034 # for the attacks
answers=(--yes --confirm attack --progress plain)
pm2_program=$(readlink -f "$(command -v pm2)")

end_all_of() {
  local user pid
  for user in "$mallory" "$victim"; do
    for pid in $(pgrep -u "$user"); do kill -9 "$pid" 2>/dev/null; done
  done
  sleep 0.3
  userdel -r "$mallory" 2>/dev/null
  userdel -r "$victim" 2>/dev/null
  [ -n "${KEEP:-}" ] || rm -rf "$place"
}
trap end_all_of EXIT

held() { echo "HELD: $*"; exit 0; }
broken() { echo "BROKEN: $*"; exit 1; }

# as USER COMMAND...: with that user's home and nothing else.
as() {
  local user=$1
  shift
  runuser -u "$user" -- env -i "HOME=/home/$user" "PM2_HOME=/home/$user/.pm2" PATH=/usr/local/bin:/usr/bin:/bin "$@" </dev/null
}

# app USER NAME [VARIABLE=VALUE...]: an honest app of that user under an honest PM2.
app() {
  local user=$1 name=$2
  shift 2
  as "$user" env "$@" node "$pm2_program" start "$place/open/idle.js" --name "$name" >/dev/null 2>&1
}

# lie LIST [NODE]: a daemon of mallory that answers with the file LIST.
lie() {
  local list=$1 node=${2:-/usr/bin/node}
  as "$mallory" mkdir -p "$mallorys/.pm2"
  setsid runuser -u "$mallory" -- "$node" "$place/open/liar.js" "$mallorys/.pm2" "$list" </dev/null >/dev/null 2>&1 &
  for _ in {1..100}; do
    [ ! -e "$mallorys/.pm2/lying" ] || return 0
    sleep 0.1
  done
  broken "the liar does not come up"
}

# one_app: a list of one app, as a daemon tells it.
one_app() {
  cat >"$place/open/list" <<EOF
[{"pid":1,"name":"a","pm_id":0,"pm2_env":{"name":"a","namespace":"default","env":{},"pm_exec_path":"$place/open/idle.js",
"pm_cwd":"/tmp","exec_mode":"fork_mode","exec_interpreter":"node","pm_out_log_path":"/tmp/o","pm_err_log_path":"/tmp/e",
"pm_pid_path":"/tmp/p","status":"online","pm_id":0}}]
EOF
  chmod 644 "$place/open/list"
}

# wishes WISH...: the runbook, one phase for each.
wishes() {
  local wish number=0
  {
    printf 'version: 1\nname: attack\nhosts: [%s]\npm2:\n  app: { user: %s, home: %s/.pm2, cli: %s }\nphases:\n' \
      "$(hostname)" "$mallory" "$mallorys" "$pm2_program"
    for wish in "$@"; do
      number=$((number + 1))
      printf '  - name: p%s\n    steps:\n      - %s\n' "$number" "$wish"
    done
  } >"$place/attack.yaml"
  chmod 600 "$place/attack.yaml"
}

# bounded SLEEP_MS COMMAND...: runs `runbook COMMAND...`, keeps what it says in $place/out and, with its talk, in $place/said, sets `code`, and judges it.
bounded() {
  local sleeps=$1 began pid took peak=0 now
  shift
  began=$(date +%s%3N)
  runbook "$@" </dev/null >"$place/out" 2>"$place/talk" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    now=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
    [ "${now:-0}" -le "$peak" ] || peak=$now
    if [ $(($(date +%s%3N) - began)) -gt $((longest_ms + sleeps + 2000)) ]; then
      kill -9 "$pid"
      broken "runbook $1: no end within $(((longest_ms + sleeps) / 1000)) s"
    fi
    sleep 0.01
  done
  wait "$pid"
  code=$?
  took=$(($(date +%s%3N) - began - sleeps))
  [ "$took" -ge 0 ] || took=0
  cat "$place/out" "$place/talk" >"$place/said"
  judged "runbook $1" "$took" "$peak" "$code"
}

# judged WHAT MS KIB CODE: the bounds that hold whatever an attack does.
judged() {
  echo "figure: $1: $2 ms, $3 KiB, exit code $4"
  ! grep -q panicked "$place/said" || broken "$1: panicked"
  case $4 in
    [0-9] | 10 | 11 | 20 | 21 | 30 | 31) ;;
    *) broken "$1: exit code $4: $(tail -n 2 "$place/said")" ;;
  esac
  [ "$2" -le "$longest_ms" ] || broken "$1: took $2 ms"
  [ "$3" -le "$most_kib" ] || broken "$1: held $3 KiB"
}

# until_said PATTERN FILE: waits until the file has it.
until_said() {
  for _ in {1..200}; do
    ! grep -q "$1" "$2" || return 0
    sleep 0.1
  done
  broken "\`$1\` was never said: $(tail -n 3 "$2")"
}
