#!/bin/sh
# Builds the dashboard into resolver/dashboard/built, where Node.js, npm and the packages can be had; elsewhere it
# says in one line why not.  Never fails: everything works without the dashboard.
# What is there already and was built of these sources stays: an sdist brings it along, for who has no Node.js.  What
# was built of other sources is taken away when building fails, for it may not fit the API any more.
#
#     scripts/build-web.sh
set -u

built=resolver/dashboard/built
log=web/build.log
stamp=$built/sources.cksum
packages=web/node_modules/.web-stamp
patience_s=60

left_out() {
    rm -rf "$built"
    echo "the dashboard is left out: $1"
    exit 0
}

[ -f web/package-lock.json ] || left_out "its sources are not here"
sources=$(
    find web -path web/node_modules -prune -o -name '*.log' -o -type f -print | LC_ALL=C sort | while read -r file; do
        cksum "$file"
    done | cksum
)
if [ -f "$built/index.html" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sources" ]; then
    exit 0
fi
command -v node >/dev/null 2>&1 || left_out "no Node.js on PATH"
command -v npm >/dev/null 2>&1 || left_out "no npm on PATH"

wanted=$(cksum <web/package-lock.json)
if [ ! -f "$packages" ] || [ "$(cat "$packages")" != "$wanted" ]; then
    (cd web && timeout "$patience_s" npm ci --omit=dev --fetch-retries=1 --fetch-timeout=10000) >"$log" 2>&1 ||
        left_out "its packages cannot be installed (see $log)"
    printf '%s\n' "$wanted" >"$packages"
fi
(cd web && node build.mjs) >"$log" 2>&1 || left_out "$(tail -n 1 "$log") (see $log)"
cat "$log"
printf '%s\n' "$sources" >"$stamp"
