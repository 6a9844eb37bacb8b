#!/usr/bin/env bash
# Runs after the first boot: starts what nobody enabled (old, stock, tally, the door), as somebody did by hand long ago, and waits for all.
# Usage: morning.sh CRASHING-APPS   (1: `fragile` will not survive its next start)
set -euo pipefail

# shellcheck source=tests/lab/topologies/quay/root/usr/local/lib/lab/as.sh
. /usr/local/lib/lab/as.sh
systemctl start valkey-server@stock.service tally.service old.service quay-door.socket
copies_follow
# PM2 starts again what it had given up; it gives up again.
for _ in {1..100}; do
  as ferry pm2 jlist | jq -e '.[] | select(.name == "wreck") | .pm2_env.status == "errored"' >/dev/null && break
  sleep 0.2
done
# One is gone since: the numbers of the others have a gap.
as ferry pm2 delete surplus
as ferry pm2 save --force
[ "${1:-0}" -lt 1 ] || install -D -o tide -g tide -m 644 /dev/null /home/tide/broken/fragile
