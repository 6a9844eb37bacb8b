#!/usr/bin/env bash
# The variables of an app are pieces of JSON and words of this program. Every line for a program must stay JSON, and no word of
# ours may be taken out.
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
app "$mallory" one 'D_TOKEN="type":' 'E_SECRET="version":1' 'F_PASSWORD=finished' 'G_KEY=pm2_saved' 'H_TOKEN=attack'
wishes 'pm2_saved: { pm2: app, allow_fewer: true }'
bounded 0 run "$place/attack.yaml" --yes --confirm attack --json
node -e '
const lines = require("fs").readFileSync(process.argv[1], "utf8").split("\n").filter(line => line);
const all = lines.map(line => JSON.parse(line));
if (all.length < 3) throw new Error("too few lines");
' "$place/out" 2>"$place/why" || broken "a line is no JSON any more: $(grep -m 1 Error "$place/why")"
[ "$code" = 0 ] || broken "exit code $code: $(tail -n 2 "$place/said")"
! grep -q 'redacted' "$place/said" || broken "a word of ours is taken out: $(grep -m 1 redacted "$place/said")"
held "every line is JSON"
