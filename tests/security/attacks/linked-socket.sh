#!/usr/bin/env bash
# The sockets of a home are links to those of another user, whose home its owner cannot enter. Nothing of that user may come
# into a snapshot, nor into the hands of a daemon that is put in the place of the link later.
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
secret='victims-Secret-42'
app "$victim" theirs "DB_PASSWORD=$secret"
as "$mallory" mkdir -p "$mallorys/.pm2"
for name in rpc.sock pub.sock; do as "$mallory" ln -s "$victims/.pm2/$name" "$mallorys/.pm2/$name"; done
wishes 'pm2_saved: { pm2: app, allow_fewer: true }' 'command: { argv: [sleep, "6"], repeatable: true }' 'pm2_restored: { pm2: app }'
{
  sleep 3
  echo '[]' >"$place/open/list"
  chmod 644 "$place/open/list"
  lie "$place/open/list"
} &
bounded 6000 run "$place/attack.yaml" "${answers[@]}"
wait
! grep -qs "$secret" "$mallorys/.pm2/told" || broken "the other daemon was given the victim's password"
! grep -rqs "$secret" "$place/state" "$place/said" || broken "the victim's environment is in a snapshot or on the screen"
[ "$code" != 0 ] || broken "the run went on with another user's daemon"
as "$victim" node "$pm2_program" jlist | grep -q '"status":"online"' || broken "the victim's app is not online any more"
held "exit code $code: $(tail -n 1 "$place/said")"
