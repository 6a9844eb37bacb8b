#!/usr/bin/env bash
# Runs once inside the host while it is built: users, secrets, certificates, data, PM2 lists; all of it made by the real programs.
# The arguments of the first topology (apps, sizes) mean nothing here.
set -euo pipefail

lab=/usr/local/lib/lab
chmod 755 "$lab"/*.sh
# shellcheck source=tests/lab/topologies/quay/root/usr/local/lib/lab/as.sh
. "$lab/as.sh"
printf '127.0.0.1 localhost\n127.0.1.1 quay-7\n' >/etc/hosts
mkdir -p /var/log/journal
useradd --system --home-dir /srv/ferry --shell /usr/sbin/nologin ferry
useradd --create-home --home-dir /home/tide --shell /bin/bash tide

# Secrets exist in no repository: made here and now.
install -d -m 755 /etc/runbook /etc/quay/tls
install -d -m 700 /etc/runbook/secret
secret() { (umask 077 && openssl rand -hex 16 >"/etc/runbook/secret/$1") && cat "/etc/runbook/secret/$1"; }
chain=$(secret chain) sessions=$(secret sessions) stock=$(secret stock) tally=$(secret tally)

# An authority of this host's own; the servers, the web app and the operator each have a certificate by it.
cd /etc/quay/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Quay authority' \
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt 2>/dev/null
certify() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$2") 2>/dev/null
  rm "$1.csr"
}
certify server 'DNS:manifest.quay.internal,IP:127.0.0.1'
certify web 'DNS:localhost,IP:127.0.0.1'
certify ops 'DNS:ops.quay.internal'
rm ca.key
chown root:redis server.key && chmod 640 server.key
chmod 600 ops.key
mv web.key /srv/ferry/web.key
cd /

# The chain has two users, and none that needs no name; a copy enters as `copier`.
for name in redis-manifest manifest-copy manifest-copy2; do
  printf 'user default off\nuser ops on >%s ~* &* +@all\nuser copier on >%s +psync +replconf +ping\n' "$chain" "$chain" >>"/etc/redis/$name.conf"
done
for name in manifest-copy manifest-copy2; do printf 'masteruser copier\nmasterauth %s\n' "$chain" >>"/etc/redis/$name.conf"; done
printf 'requirepass %s\n' "$tally" >>/etc/redis/tally.conf
# The one of the maintenance may look, and ask for a rewrite; somebody else writes.
rights='+info +role +ping +client +command +config|get +bgrewriteaof +dbsize'
printf 'user default off\nuser keeper on #%s %s\nuser clerk on >%s ~* +@all\n' "$(printf %s "$stock" | sha256sum | cut -d' ' -f1)" "$rights" "$stock" >>/etc/valkey/valkey-stock.conf
printf 'user default off\nuser keeper on >%s ~* &* %s\nuser clerk on >%s ~* +@all\n' "$sessions" "$rights" "$sessions" >/etc/valkey/sessions.acl

chown redis:redis /etc/redis/*.conf && chmod 640 /etc/redis/*.conf
chown valkey:valkey /etc/valkey/*.conf /etc/valkey/sessions.acl && chmod 640 /etc/valkey/*.conf /etc/valkey/sessions.acl
install -d -o redis -g redis -m 750 /var/lib/redis/manifest /srv/berth /srv/berth/{copy,copy2,tally,old}
install -d -o valkey -g valkey -m 750 /var/lib/valkey/{sessions,stock}
chown -R ferry:ferry /srv/ferry
install -o tide -g tide -m 644 /srv/ferry/app.js /home/tide/app.js
chown -R tide:tide /home/tide
chmod 755 /srv/ferry/pulse.sh

# Data: a base, and overwrites behind it that no longer matter.
systemctl daemon-reload
systemctl start redis-server@manifest.service valkey-server@{sessions,stock}.service tally.service old.service
fill() {
  awk -v keys="$1" -v rounds="$2" -v field="$(head -c 300 /dev/zero | tr '\0' x)" 'BEGIN {
    for (round = 0; round < rounds; round++) for (n = 0; n < keys; n++) printf "SET item:%d %d-%s\n", n, round, field }'
}
as_clerk() { REDISCLI_AUTH=$1 redis-cli --no-auth-warning --user clerk "${@:2}"; }
fill 4000 4 | ask manifest --pipe >/dev/null
fill 2500 3 | as_clerk "$sessions" -s /run/valkey-sessions/valkey.sock --pipe >/dev/null
fill 3000 3 | as_clerk "$stock" -p 7100 --pipe >/dev/null
fill 500 1 | as_clerk "$stock" -p 7100 -n 2 --pipe >/dev/null
fill 2000 1 | ask tally --pipe >/dev/null
fill 1500 3 | ask old --pipe >/dev/null
ask tally set counted 1 ex 86400 >/dev/null
systemctl start manifest-copy@copy.service manifest-copy@copy2.service
copies_follow

# PM2: started from files, some stopped on purpose, one that never comes up.
systemctl start ferry-apps.service pm2-tide.service
as ferry pm2 start /srv/ferry/ferry.config.js || true
as tide pm2 start /home/tide/tide.config.js
as ferry pm2 stop retired
as tide pm2 stop retired
as tide pm2 stop "$(as tide pm2 jlist | jq '.[] | select(.name == "api" and .pm2_env.namespace == "depth") | .pm_id')"
as ferry pm2 save --force
as tide pm2 save

systemctl enable redis-server@manifest.service manifest-copy@{copy,copy2}.service valkey-server@sessions.service quay.target \
  quay-rules.service quay-tidy.timer ferry-apps.service pm2-tide.service
sync
