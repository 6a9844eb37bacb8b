#!/usr/bin/env bash
# What this host is like, asked of its own programs (redis-cli, pm2, systemctl) and of nothing else: a line for each thing,
# sorted, the same before and after unless something is not as it was. Usage: look.sh
set -euo pipefail

# shellcheck source=tests/lab/topologies/quay/root/usr/local/lib/lab/as.sh
. /usr/local/lib/lab/as.sh
{
  for name in manifest copy copy2 sessions stock tally old door; do
    info=$(ask "$name" info 2>&1 | tr -d '\r') || true
    get() { sed -n "s/^$1://p" <<<"$info"; }
    keys=$(sed -n 's/^\(db[0-9]*\):keys=\([0-9]*\).*/\1=\2/p' <<<"$info" | paste -sd,)
    echo "server $name $(get role) link=$(get master_link_status) loading=$(get loading) aof=$(get aof_enabled) limit=$(get maxmemory) keys $keys"
  done
  for user in ferry tide; do
    # Three looks: an app that is between two lives (its clock, its files, its habit) is no app that is down.
    for _ in 1 2 3; do
      as "$user" pm2 jlist
      sleep 0.4
    done | jq -rs --arg user "$user" '[.[][]] | group_by(.pm_id)[] | (map(select(.pm2_env.status == "online")) + .)[0] | .pm2_env as $e |
      "app \($user) \($e.namespace)/\(.name) #\($e.SHARD // $e.NODE_APP_INSTANCE // 0)" as $app |
      "\($app) \($e.status) \($e.exec_mode) watch=\($e.watch // false | tostring) cron=\($e.cron_restart)",
      "id of \($app) \(.pm_id) \($e.pm_out_log_path)"'
  done
  for unit in redis-server@manifest manifest-copy@copy manifest-copy@copy2 valkey-server@sessions valkey-server@stock tally old quay-rules ferry-apps pm2-tide; do
    echo "unit $unit.service $(systemctl is-active "$unit.service" || true)"
  done
  for unit in quay-door.socket quay-tidy.timer quay.target; do echo "unit $unit $(systemctl is-active "$unit" || true)"; done
  echo "web $(curl -s --max-time 5 --cacert /etc/quay/tls/ca.crt https://127.0.0.1:9443/health || echo none)"
  echo "hub $(curl -s --max-time 5 --unix-socket /srv/ferry/hub.sock http://hub/health || echo none)"
} | LC_ALL=C sort
