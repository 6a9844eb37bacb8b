#!/usr/bin/env bash
# A list of very many tiny elements. CASE=hang: 400 KB of it, CASE=memory: 60 MB. Time and memory must be bounded.
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
case ${CASE:-hang} in
  hang) count=200000 ;;
  memory) count=31000000 ;;
  *) broken "no such case: $CASE" ;;
esac
{ printf '['; head -c $((2 * (count - 1))) < <(yes '0,' | tr -d '\n'); printf '0]'; } >"$place/open/list"
chmod 644 "$place/open/list"
lie "$place/open/list"
wishes 'pm2_saved: { pm2: app, allow_fewer: true }' 'pm2_stopped: { pm2: app }' 'pm2_restored: { pm2: app }'
bounded 0 plan "$place/attack.yaml"
[ "$code" != 0 ] || broken "a list of numbers is no list of apps, and the plan says that all is well"
held "exit code $code: $(tail -n 1 "$place/said")"
