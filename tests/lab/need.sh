#!/usr/bin/env bash
# Installs what the lab needs on the machine it runs on, and only what is missing: a fresh Debian has none of it.
# Usage: need.sh lab|rust|lint|services|hard ... ; root is needed only if something is really missing.
set -euo pipefail

# Command, or file, and the Debian package that brings it.
packages_for() {
  case $1 in
    lab) printf '%s\n' mmdebstrap:mmdebstrap systemd-nspawn:systemd-container npm:npm nsenter:util-linux pgrep:procps pip3:python3-pip \
      /usr/share/keyrings/debian-archive-trixie-stable.gpg:debian-archive-keyring ;;
    rust) printf '%s\n' cargo:cargo cc:gcc ;;
    lint) printf '%s\n' shellcheck:shellcheck ;;
    services) printf '%s\n' redis-server:redis-server strace:strace ;;
    hard)
      printf '%s\n' strace:strace mkfs.ext4:e2fsprogs dbus-daemon:dbus-daemon perl:perl-base
      printf '%s\n' unshare:util-linux setpriv:util-linux mount:mount
      ;;
    *) echo "need.sh: unknown group '$1': lab, rust, lint, services or hard" >&2; exit 2 ;;
  esac
}

missing=()
for group in "$@"; do
  while IFS=: read -r tool package; do
    [[ $tool == /* && -e $tool ]] || command -v "$tool" >/dev/null 2>&1 || missing+=("$package")
  done < <(packages_for "$group")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "need.sh: missing ${missing[*]}, and this system has no apt-get to install them with" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "need.sh: missing ${missing[*]}: install them as root (apt-get install ${missing[*]})" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Packages of services must not start them here: the machine belongs to somebody, and the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -q >&2
apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
