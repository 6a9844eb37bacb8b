#!/usr/bin/env bash
# Runs once inside a lab host while it is built: makes the users, the secret, the Redis data sets and the PM2 list.
# Everything is made by the real programs (Redis writes its own files, PM2 its own dump); only the traffic is invented.
# Usage: dress.sh APPS small|large
set -euo pipefail

apps=$1 data=$2
lab=/usr/local/lib/lab
chmod 755 "$lab"/*.sh

printf '127.0.0.1 localhost\n127.0.1.1 stg-1\n' >/etc/hosts
mkdir -p /var/log/journal

# A password made here and now: it exists in no repository. The daemon reads it from its settings, people from the file.
install -d -m 755 /etc/runbook
password=$(tr -dc a-z0-9 </dev/urandom | head -c 24 || true)
(umask 077 && printf '%s\n' "$password" >/etc/runbook/bds.pass)
for instance in bds bds-r bull00 bull01 bull02; do
  settings=/etc/redis/redis-$instance.conf
  case $instance in
    bds) printf 'requirepass %s\n' "$password" >>"$settings" ;;
    bds-r) printf 'requirepass %s\nmasterauth %s\n' "$password" "$password" >>"$settings" ;;
  esac
  chown redis:redis "$settings"
  chmod 640 "$settings"
  install -d -o redis -g redis -m 750 "/var/lib/redis/$instance"
done

useradd --system --create-home --home-dir /var/www/app --shell /bin/bash deploy
install -o deploy -g deploy -m 600 /etc/runbook/bds.pass /var/www/app/bds.pass
chown -R deploy:deploy /var/www/app
systemctl daemon-reload

# Redis: a compacted base, then months of overwritten commands behind it.
systemctl start redis-server@{bds,bull00,bull01,bull02}.service
REDISCLI_AUTH=$password node "$lab/fill.js" 6379 entities "$data"
node "$lab/fill.js" 6377 queues "$data"
node "$lab/fill.js" 6376 queues tiny
node "$lab/fill.js" 6375 queues tiny
systemctl start redis-server@bds-r.service
for _ in {1..600}; do
  REDISCLI_AUTH=$password redis-cli -p 6381 info replication | grep -q '^master_link_status:up' && break
  sleep 0.2
done

# PM2: apps started by hand long ago; what is stopped on purpose; a list that was saved before the last deployment.
as_deploy() { runuser -u deploy -- env -i HOME=/var/www/app PM2_HOME=/var/www/app/.pm2 LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin "$@"; }
node "$lab/apps.js" "$apps" /var/www/app
chown -R deploy:deploy /var/www/app
systemctl start pm2-deploy.service
as_deploy pm2 start --silent /var/www/app/ecosystem.json
mapfile -t stopped < <(node -p 'require("/var/www/app/ecosystem.json").apps.map(a => a.name).filter(n => n.startsWith("org-")).join("\n")')
as_deploy pm2 stop --silent "${stopped[@]}"
as_deploy pm2 save --silent

# Enabled: what somebody once thought of. bull00, bull01, bull02 and the geofencing server are not, as in the field.
systemctl enable redis-server@bds.service redis-server@bds-r.service redis-router.service pm2-deploy.service
sync
