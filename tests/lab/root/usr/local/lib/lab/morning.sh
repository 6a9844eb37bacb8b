#!/usr/bin/env bash
# Runs inside a lab host after its first boot: brings it to the state an operator finds it in before the window. Units
# that nobody enabled were started by hand, the PM2 list has moved on since it was saved, and some apps will not survive
# their next start. Usage: morning.sh CRASHING-APPS
set -euo pipefail

crash=$1
as_deploy() { runuser -u deploy -- env -i HOME=/var/www/app PM2_HOME=/var/www/app/.pm2 LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin "$@"; }

systemctl start --no-block redis-server@{bull00,bull01,bull02}.service tile38@staging.service
as_deploy pm2 start --silent /var/www/app/ecosystem.late.json
as_deploy pm2 stop --silent org-late
systemctl start redis-server@{bull00,bull01,bull02}.service tile38@staging.service

password=$(cat /etc/runbook/bds.pass)
for _ in {1..600}; do
  REDISCLI_AUTH=$password redis-cli -p 6381 info replication | grep -q '^master_link_status:up' && break
  sleep 0.2
done

# An app whose file is here crashes when it starts; those running now do not notice until the reboot.
mkdir -p /var/www/app/broken
[ "$crash" -lt 1 ] || touch /var/www/app/broken/legacy-import
[ "$crash" -lt 2 ] || touch /var/www/app/broken/legacy-report
chown -R deploy:deploy /var/www/app/broken
