#!/bin/sh
# Installs the versions of PM2 that the tests know, each into a directory of its own, once. Called by the whole test run;
# the tests look in RUNBOOK_PM2_LAB (default /tmp/pm2-lab) and skip the versions that are not there.
# usage: tests/lab/pm2.sh [VERSION...]
set -eu
lab=${RUNBOOK_PM2_LAB:-/tmp/pm2-lab}
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "skipped: no node or no npm, so no real PM2"
    exit 0
fi
[ $# -gt 0 ] || set -- 4.5.6 5.4.3 6.0.14 7
mkdir -p "$lab"
for version in "$@"; do
    if [ -f "$lab/$version/node_modules/pm2/bin/pm2" ]; then
        chmod 755 "$lab/$version"
        continue
    fi
    # Under another name first: a half installed version must not look like one.
    draft=$(mktemp -d "$lab/.draft-XXXXXX")
    if npm install --prefix "$draft" --no-audit --no-fund --no-save --loglevel error "pm2@$version" >"$draft.log" 2>&1; then
        # Other users run it, too: what mktemp has made is for its owner alone.
        chmod 755 "$draft"
        rm -rf "${lab:?}/$version"
        mv "$draft" "$lab/$version"
        rm -f "$draft.log"
    else
        echo "skipped: pm2@$version could not be installed:"
        tail -n 3 "$draft.log"
        rm -rf "$draft" "$draft.log"
    fi
done
ls "$lab"
