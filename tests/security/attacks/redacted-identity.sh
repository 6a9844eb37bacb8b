#!/usr/bin/env bash
# A variable of an app has the value of what the journal is keyed by. It must stay what it is there, and a run that was killed
# must be resumed. CASE=machine, host or path.
# The name of the lab's host is too short to count as a secret; a longer one in a namespace of its own does.
if [ "${CASE:-}" = host ] && [ -z "${RENAMED:-}" ]; then
  # shellcheck disable=SC2016
  RENAMED=1 exec unshare -u bash -c 'hostname prod-db-1; exec bash "$0"' "$0"
fi
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
case ${CASE:-machine} in
  machine) variable=MACHINE_ID=$(cat /etc/machine-id) ;;
  host) variable=AUTH_HOST=$(hostname) ;;
  path) variable=X_TOKEN=$place/state ;;
  *) broken "no such case: $CASE" ;;
esac
app "$mallory" one "$variable"
wishes 'pm2_saved: { pm2: app, allow_fewer: true }' 'pm2_stopped: { pm2: app }' \
  'command: { argv: [sleep, "5"], repeatable: true }' 'pm2_restored: { pm2: app }'
runbook run "$place/attack.yaml" "${answers[@]}" </dev/null >"$place/first" 2>&1 &
run=$!
until_said 'p3. start' "$place/first"
kill -9 "$run"
wait "$run" 2>/dev/null
# Five seconds of the command, and five in which an app proves that it stays.
bounded 10000 resume "${answers[@]}"
online=$(as "$mallory" node "$pm2_program" jlist | grep -c '"status":"online"')
[ "$code" = 0 ] && [ "$online" = 1 ] && held "resumed and restored"
broken "the resume ends with $code, $online lists with an app online: $(tail -n 3 "$place/said")"
