# How each PM2 of this host is spoken to: `as ferry COMMAND...`, `as tide COMMAND...`. Sourced by the other scripts.
# shellcheck shell=bash
as() {
  local user=$1 home=/home/tide pm2=/home/tide/.pm2 version=5.4.3
  shift
  [ "$user" = tide ] || { home=/srv/ferry pm2=/srv/ferry/pm2 version=6.0.14; }
  runuser -u "$user" -- env -i HOME="$home" PM2_HOME="$pm2" PM2_SILENT=true LANG=C.UTF-8 PATH="/opt/pm2/$version/bin:/usr/bin:/bin" "$@"
}

# How each server of this host is spoken to: `ask NAME COMMAND...`. The passwords are the operator's files.
ask() {
  local name=$1 port=0
  shift
  case $name in
    manifest) port=7443 ;; copy) port=7444 ;; copy2) port=7445 ;; tally) port=7200 ;; old) port=7062 ;; stock) port=7100 ;; door) port=7300 ;;
    sessions) REDISCLI_AUTH=$(cat /etc/runbook/secret/sessions) redis-cli --no-auth-warning -s /run/valkey-sessions/valkey.sock --user keeper "$@"; return ;;
    *) echo "no server $name" >&2; return 1 ;;
  esac
  case $name in
    manifest | copy | copy2)
      REDISCLI_AUTH=$(cat /etc/runbook/secret/chain) redis-cli --no-auth-warning --tls --cacert /etc/quay/tls/ca.crt \
        --cert /etc/quay/tls/ops.crt --key /etc/quay/tls/ops.key -p "$port" --user ops "$@" ;;
    stock | door) REDISCLI_AUTH=$(cat /etc/runbook/secret/stock) redis-cli --no-auth-warning -p "$port" --user keeper "$@" ;;
    tally) REDISCLI_AUTH=$(cat /etc/runbook/secret/tally) redis-cli --no-auth-warning -p "$port" "$@" ;;
    old) redis-cli -p "$port" "$@" ;;
  esac
}

# Until both copies have what their masters have.
copies_follow() {
  local name
  for name in copy copy2; do
    for _ in {1..300}; do
      ask "$name" info replication | grep -q '^master_link_status:up' && break
      sleep 0.2
    done
  done
}
