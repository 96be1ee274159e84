"""The resolvers that Debian has: how each is told to forward to one upstream and refuse a list of names.

Knows: their configuration files, and what differs between their versions.  Does not know: what is measured.
Each is set up as its maker's documents say a forwarder with a block list is, with one thread, no log, no
rate limit, no DNSSEC validation, and a cache that holds everything asked in a run.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.contestants import (
    CACHE_ENTRIES,
    CACHE_MB,
    STREAM_IDLE_S,
    Contestant,
    Setting,
    Streams,
    has_ipv6,
    hosts,
    write_lines,
)
from tests.loopback.authority import UNBOUND_CONFIGURATION
from tests.loopback.process import Program

RECURSOR_MTHREADS = 8192
"""Queries that it works on at a time."""

UNBOUND_MORE = f"""\
server:
  access-control: ::1/128 allow
  msg-cache-size: {CACHE_MB}m
  rrset-cache-size: {CACHE_MB}m
  so-rcvbuf: 8m
  outgoing-range: 8192
  num-queries-per-thread: 4096
"""


def run_peer(setting: Setting, *words: object, name: str) -> Program:
    program, *rest = [str(word) for word in words]
    return Program([*setting.pin(), *(setting.command or (program,)), *rest], setting.directory, name=name)


def _unbound(setting: Setting) -> Program:
    """Since 1.20 only 1,000 queries of one address may wait: a rate limit, so it is turned off."""
    head = UNBOUND_CONFIGURATION.format(
        host="127.0.0.1",
        port=setting.port,
        directory=setting.directory,
        upstream_port=setting.upstream_port,
    )
    more = f"  interface: ::1@{setting.port}\n" if has_ipv6() else ""
    if setting.version >= (1, 20):
        more += "  wait-limit: 0\n"
    if setting.streams:
        head, more = _unbound_over_tls(setting, head), more + _unbound_streams(setting.streams)
    zones = (f'local-zone: "{name}." always_nxdomain\n' for name in setting.workload.blocked)
    path = write_lines(setting.directory / "unbound.conf", head + UNBOUND_MORE + more, zones)
    return run_peer(setting, "unbound", "-c", path, name="unbound")


def _unbound_streams(streams: Streams) -> str:
    return (
        f"  interface: 127.0.0.1@{streams.tls_port}\n  interface: 127.0.0.1@{streams.https_port}\n"
        f"  tls-port: {streams.tls_port}\n  https-port: {streams.https_port}\n  http-endpoint: /dns-query\n"
        f'  tls-service-key: "{streams.key}"\n  tls-service-pem: "{streams.certificate}"\n'
        f'  tls-cert-bundle: "{streams.certificate}"\n'
        f"  incoming-num-tcp: 4000\n  tcp-idle-timeout: {STREAM_IDLE_S * 1000}\n"
    )


def _unbound_over_tls(setting: Setting, head: str) -> str:
    """The same settings with an upstream that is asked over TLS."""
    if not (port := setting.streams.upstream_tls_port if setting.streams else 0):
        return head
    over_udp, over_tls = f"127.0.0.1@{setting.upstream_port}", f"127.0.0.1@{port}#localhost"
    return head.replace(f"forward-addr: {over_udp}", f"forward-addr: {over_tls}\n  forward-tls-upstream: yes")


def _policy_zone(setting: Setting) -> Path:
    """A response policy zone with the list."""
    head = "$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
    records = (f"{name} CNAME .\n*.{name} CNAME .\n" for name in setting.workload.blocked)
    return write_lines(setting.directory / "rpz.zone", head, records)


def _named(setting: Setting) -> Program:
    """Up to 9.18 the number of listeners is told as well (`-U`); 9.20 knows only that of the threads."""
    zone, port = _policy_zone(setting), setting.port
    ipv6 = f"port {port} {{ ::1; }}" if has_ipv6() else "{ none; }"
    path = setting.directory / "named.conf"
    path.write_text(
        f'options {{ directory "{setting.directory}"; listen-on port {port} {{ 127.0.0.1; }};'
        f" listen-on-v6 {ipv6}; pid-file none; session-keyfile none; recursion yes; allow-query {{ any; }};"
        f" dnssec-validation no; forwarders {{ 127.0.0.1 port {setting.upstream_port}; }}; forward only;"
        ' response-policy { zone "rpz" policy given; }; max-cache-size 512m; recursive-clients 20000; };\n'
        f'controls {{ }};\nzone "rpz" {{ type master; file "{zone}"; check-names ignore; }};\n'
    )
    listeners = () if setting.version >= (9, 20) else ("-U", 1)
    return run_peer(setting, "named", "-g", "-n", 1, *listeners, "-c", path, name="named")


def _recursor(setting: Setting) -> Program:
    """From 5.2 on settings are YAML and name the policy zone; before, a Lua file names it."""
    if setting.version >= (5, 2):
        _write_recursor_yaml(setting)
    else:
        _write_recursor_lines(setting)
    return run_peer(setting, "pdns_recursor", f"--config-dir={setting.directory}", name="pdns_recursor")


def _write_recursor_yaml(setting: Setting) -> None:
    addresses = [f"[{host}]:{setting.port}" if ":" in host else f"{host}:{setting.port}" for host in hosts()]
    upstream = {"zone": ".", "forwarders": [f"127.0.0.1:{setting.upstream_port}"]}
    configured = {
        "incoming": {
            "listen": addresses,
            "allow_from": ["127.0.0.0/8", "::1/128"],
            "pdns_distributes_queries": False,
        },
        "outgoing": {"dont_query": []},
        "recursor": {
            "daemon": False,
            "threads": 1,
            "max_mthreads": RECURSOR_MTHREADS,
            "socket_dir": str(setting.directory),
            "security_poll_suffix": "",
            "forward_zones_recurse": [upstream],
            "rpzs": [{"name": str(_policy_zone(setting)), "policyName": "rpz"}],
        },
        "dnssec": {"validation": "off"},
        "logging": {"quiet": True, "disable_syslog": True},
    }
    # JSON is YAML.
    (setting.directory / "recursor.yml").write_text(json.dumps(configured, indent=1))


def _write_recursor_lines(setting: Setting) -> None:
    directory = setting.directory
    (directory / "recursor.lua").write_text(f'rpzFile("{_policy_zone(setting)}", {{policyName="rpz"}})\n')
    (directory / "recursor.conf").write_text(
        f"local-address={','.join(hosts())}\nlocal-port={setting.port}\ndaemon=no\n"
        f"forward-zones-recurse=.=127.0.0.1:{setting.upstream_port}\ndnssec=off\nthreads=1\n"
        f"pdns-distributes-queries=no\nsocket-dir={directory}\nlua-config-file={directory}/recursor.lua\n"
        f"quiet=yes\ndont-query=\nmax-mthreads={RECURSOR_MTHREADS}\ndisable-syslog=yes\n"
        "allow-from=127.0.0.0/8,::1/128\nsecurity-poll-suffix=\n"
    )


def _dnsdist(setting: Setting) -> Program:
    """Lua settings, which all versions from 1.7 to 2.1 read."""
    path = setting.directory / "dnsdist.conf"
    ipv6 = f'addLocal("[::1]:{setting.port}")\n' if has_ipv6() else ""
    streams = _dnsdist_streams(setting.streams) if setting.streams else ""
    path.write_text(
        f'setLocal("127.0.0.1:{setting.port}")\n{ipv6}{streams}setACL({{"127.0.0.0/8", "::1/128"}})\n'
        f'newServer({{address="127.0.0.1:{setting.upstream_port}", sockets=8}})\n'
        f'getPool(""):setCache(newPacketCache({CACHE_ENTRIES}, {{maxTTL=86400}}))\n'
        "local s = newSuffixMatchNode()\n"
        f'for line in io.lines("{setting.workload.list_path}") do s:add(newDNSName(line)) end\n'
        'addAction(SuffixMatchNodeRule(s), RCodeAction(DNSRCode.NXDOMAIN))\nsetSecurityPollSuffix("")\n'
    )
    return run_peer(setting, "dnsdist", "-C", path, "--supervised", name="dnsdist")


def _dnsdist_streams(streams: Streams) -> str:
    """One thread for streams, no limit for a client, and connections that stay."""
    files = f'"{streams.certificate}", "{streams.key}"'
    return (
        f'addTLSLocal("127.0.0.1:{streams.tls_port}", {files})\n'
        f'addDOHLocal("127.0.0.1:{streams.https_port}", {files}, "/dns-query")\n'
        f"setMaxTCPClientThreads(1)\nsetTCPRecvTimeout({STREAM_IDLE_S})\n"
        "setMaxTCPQueriesPerConnection(0)\nsetMaxTCPConnectionsPerClient(0)\n"
    )


def _dnsmasq(setting: Setting) -> Program:
    """The same for 2.90 and 2.91."""
    head = (
        f"port={setting.port}\nlisten-address={','.join(hosts())}\nbind-interfaces\nno-resolv\nno-hosts\n"
        f"server=127.0.0.1#{setting.upstream_port}\ncache-size={CACHE_ENTRIES}\ndns-forward-max=10000\n"
        "user=root\npid-file=\n"
    )
    names = (f"address=/{name}/\n" for name in setting.workload.blocked)
    path = write_lines(setting.directory / "dnsmasq.conf", head, names)
    return run_peer(setting, "dnsmasq", "-k", "-C", path, name="dnsmasq")


def _knot(setting: Setting) -> Program:
    """The Lua settings of version 5; version 6 is another program, set up in YAML."""
    path, directory = setting.directory / "kresd.conf", setting.directory
    listen = "".join(f"net.listen('{host}', {setting.port}, {{kind='dns'}})\n" for host in hosts())
    if setting.streams:
        listen += _knot_streams(setting.streams)
    path.write_text(
        f"{listen}modules = {{ 'policy', 'hints' }}\n"
        f"trust_anchors.remove('.')\ncache.open(512*MB, 'lmdb://{directory}/cache')\n"
        f"policy.add(policy.rpz(policy.DENY, '{_policy_zone(setting)}'))\n"
        f"policy.add(policy.all(policy.FORWARD({{'127.0.0.1@{setting.upstream_port}'}})))\n"
    )
    return run_peer(setting, "kresd", "-n", "-c", path, directory, name="kresd")


def _knot_streams(streams: Streams) -> str:
    return (
        f"net.listen('127.0.0.1', {streams.tls_port}, {{kind='tls'}})\n"
        f"net.listen('127.0.0.1', {streams.https_port}, {{kind='doh2'}})\n"
        f"net.tls('{streams.certificate}', '{streams.key}')\nnet.tcp_in_idle({STREAM_IDLE_S * 1000})\n"
    )


DEBIAN = {
    "unbound": Contestant(
        "Unbound",
        "unbound",
        _unbound,
        ("-V",),
        assumes="`local-zone: always_nxdomain` for each name; from version 1.20 on `wait-limit: 0`",
    ),
    "dnsdist": Contestant(
        "dnsdist",
        "dnsdist",
        _dnsdist,
        ("--version",),
        assumes="a SuffixMatchNode rule answers NXDOMAIN; packet cache; a proxy, so it resolves nothing",
    ),
    "pdns_recursor": Contestant(
        "PowerDNS Recursor",
        "pdns_recursor",
        _recursor,
        ("--version",),
        assumes="a response policy zone; YAML settings from version 5.2 on",
    ),
    "kresd": Contestant(
        "Knot Resolver", "kresd", _knot, ("--version",), assumes="a response policy zone through policy.rpz"
    ),
    "named": Contestant("BIND", "named", _named, ("-v",), assumes="a response policy zone, `forward only`"),
    "dnsmasq": Contestant(
        "dnsmasq", "dnsmasq", _dnsmasq, ("--version",), assumes="`address=/NAME/` for each name"
    ),
}
"""Packages of Debian."""
