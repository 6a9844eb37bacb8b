#!/usr/bin/env bash
# A daemon runs under a node that its owner may write. No line of the sheet may make root execute that file, and the sheet must
# still be one.
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
node=$mallorys/bin/node
as "$mallory" mkdir "$mallorys/bin"
install -o "$mallory" -m 755 "$(readlink -f /usr/bin/node)" "$node"
one_app
lie "$place/open/list" "$node"
wishes 'pm2_saved: { pm2: app, allow_fewer: true }' 'pm2_stopped: { pm2: app }' 'pm2_restored: { pm2: app }'
bounded 0 plan "$place/attack.yaml" --by-hand
chmod 777 "$place/open"
printf '#!/bin/sh\nid -u >>%s/open/who\ncat >/dev/null\n' "$place" >"$node.new"
chmod 755 "$node.new"
chown "$mallory:" "$node.new"
mv "$node.new" "$node"
# What a person would type: every function of the sheet, then each of them called.
{
  sed -n '/^[a-z_0-9]*() *{/,/^}/p; /^[a-z_0-9]*() *{.*}$/p' "$place/said"
  grep -o '^[a-z_0-9]*()' "$place/said" | sort -u | tr -d '()'
} >"$place/typed"
timeout 20 bash "$place/typed" </dev/null >/dev/null 2>&1
! grep -qsx 0 "$place/open/who" || broken "the sheet makes root run $node"
held "exit code $code, $(grep -c '()' "$place/typed") functions typed, run by another $(grep -c . "$place/open/who" 2>/dev/null) times"
