#!/bin/sh
# Installs the programs that some tests talk to.  Never fails: a test whose program is missing is
# skipped by name.  Needs root and Debian's apt-get; without them it says what would have been installed.
# `long`: also what only `make long` asks for.
#
#     scripts/install-test-peers.sh [long]
set -u

missing=""
want() { # PROGRAM PACKAGE
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
want dig dnsutils
want kdig knot-dnsutils
want nsd nsd
want unbound unbound
want promtool prometheus
want pdftotext poppler-utils
want ip iproute2
want dnsmasq dnsmasq-base
want dnsperf dnsperf
want named bind9
want pdns_recursor pdns-recursor
want kresd knot-resolver
want dnsdist dnsdist
# Streams: a load over HTTP/2, clients and a proxy of DNS over TLS, and what looks for faults in TLS.
want h2load nghttp2-client
want stubby stubby
want getdns_query getdns-utils
want testssl testssl.sh
# Reports are printed and their signatures checked by others' programs.
want chromium chromium
want pdftotext poppler-utils
want openssl openssl
want dnstap-ldns dnstap-ldns
want dnstap golang-github-dnstap-golang-dnstap-cli
want fstrm_capture fstrm-bin
want logrotate logrotate
# Manual pages and completions.
want mandoc mandoc
want zsh zsh
want fish fish
# The units are judged by systemd's own programs, which need no running systemd.
want systemd-analyze systemd
want systemd-socket-activate systemd
want mount mount
if [ "${1:-}" = long ]; then
    # Packages are installed in systems made for that, and judged.
    want debootstrap debootstrap
    want lintian lintian
fi
# The load generator and the echo of the benchmarks are compiled where they run.
want gcc "gcc libc6-dev"
want taskset util-linux
# Looks at the pages that people see; axe-core, which judges them, is one file of the npm registry.
want chromium chromium
want curl curl
want node nodejs
want npm npm

axe="${XDG_CACHE_HOME:-$HOME/.cache}/exchange-resolver/axe-core"
if [ ! -e "$axe/node_modules/axe-core/axe.min.js" ]; then
    if command -v npm >/dev/null 2>&1; then
        npm install --silent --no-save --no-package-lock --ignore-scripts --prefix "$axe" axe-core@4.14.1 ||
            echo "could not install axe-core: its tests will be skipped"
    else
        echo "no npm here, so no axe-core: its tests will be skipped"
    fi
fi

# What the dashboard is tested with, beside what it is built with.
if [ ! -e web/node_modules/playwright-core/package.json ] && command -v npm >/dev/null 2>&1; then
    (cd web && npm ci --silent && cksum <package-lock.json >node_modules/.web-stamp) ||
        echo "could not install what tests the dashboard: its tests will be skipped"
fi

# systemd-resolved is unpacked and not installed: installed, it would take this machine's /etc/resolv.conf.
resolved="${XDG_CACHE_HOME:-$HOME/.cache}/exchange-resolver/systemd-resolved"
if [ ! -e "$resolved/lib/systemd/systemd-resolved" ] && command -v apt-get >/dev/null 2>&1; then
    mkdir -p "$resolved" && (
        cd "$resolved" && apt-get download -qq systemd-resolved 2>/dev/null && dpkg-deb --extract ./*.deb . && rm ./*.deb
    ) || echo "could not unpack systemd-resolved: its tests will be skipped"
fi

# h2spec is a Go program without a package.
h2spec="${XDG_CACHE_HOME:-$HOME/.cache}/exchange-resolver/bin"
if [ ! -x "$h2spec/h2spec" ] && ! command -v h2spec >/dev/null 2>&1; then
    { command -v go >/dev/null 2>&1 &&
        GOBIN="$h2spec" go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible >/dev/null 2>&1; } ||
        echo "could not install h2spec: its tests will be skipped"
fi

# Helm is another one, and takes minutes to compile.
if [ "${1:-}" = long ] && [ ! -x "$h2spec/helm" ] && ! command -v helm >/dev/null 2>&1; then
    { command -v go >/dev/null 2>&1 &&
        GOBIN="$h2spec" go install helm.sh/helm/v3/cmd/helm@v3.22.0 >/dev/null 2>&1; } ||
        echo "could not install helm: its tests will be skipped"
fi

[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "test peers not installed, their tests will be skipped:$missing"
    exit 0
fi
echo "installing test peers:$missing"
# The peers are started by tests on their own ports: keep Debian from starting them as services.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
# One by one, so that a package this release lacks does not keep the others out.
for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "could not install $package"
done
