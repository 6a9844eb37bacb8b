#!/usr/bin/env bash
# The owner of a Redis directory puts a pipe in the place of the manifest, CASE=config: of the configuration file. The plan must
# end.
# shellcheck source=tests/security/attacks/lib.sh
. "$(dirname "$0")/lib.sh"
port=$((20000 + RANDOM % 20000))
as "$mallory" mkdir "$mallorys/r"
printf 'port %s\nbind 127.0.0.1\ndir %s\nappendonly yes\nsave ""\n' "$port" "$mallorys/r" | install -o "$mallory" -m 644 /dev/stdin "$mallorys/r/redis.conf"
setsid runuser -u "$mallory" -- redis-server "$mallorys/r/redis.conf" </dev/null >/dev/null 2>&1 &
for _ in {1..50}; do
  redis-cli -p "$port" ping 2>/dev/null | grep -q PONG && break
  sleep 0.1
done
case ${CASE:-manifest} in
  manifest) file=$mallorys/r/appendonlydir/appendonly.aof.manifest ;;
  config) file=$mallorys/r/redis.conf ;;
  *) broken "no such case: $CASE" ;;
esac
as "$mallory" rm "$file"
as "$mallory" mkfifo "$file"
cat >"$place/attack.yaml" <<EOF
version: 1
name: attack
hosts: [$(hostname)]
redis: { a: { url: "redis://127.0.0.1:$port", role: master } }
phases:
  - { name: c, steps: [ { redis_compacted: { instances: [a], min_saving: 0s } } ] }
EOF
chmod 600 "$place/attack.yaml"
bounded 0 plan "$place/attack.yaml"
held "exit code $code: $(tail -n 1 "$place/said")"
