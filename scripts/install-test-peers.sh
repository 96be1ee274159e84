#!/bin/sh
# Installs the programs that some tests talk to.  Never fails: a test whose program is missing is
# skipped by name.  Needs root and Debian's apt-get; without them it says what would have been installed.
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
# The load generator and the echo of the benchmarks are compiled where they run.
want gcc "gcc libc6-dev"
want taskset util-linux

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
