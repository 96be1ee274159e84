"""The resolvers of other makers: how each is told to forward to one upstream and refuse a list of names.

Knows: their configuration files.  Does not know: what is measured.
Those of `DEBIAN` are packages there; those of `ELSEWHERE` take part when their program is named.
Each is set up as its maker's documents say a forwarder with a block list is, with one thread, no log, no
rate limit, no DNSSEC validation, and a cache that holds everything asked in a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contestants import (
    CACHE_ENTRIES,
    CACHE_MB,
    Contestant,
    Setting,
    free_port_everywhere,
    has_ipv6,
    hosts,
    write_lines,
)
from tests.loopback.authority import UNBOUND_CONFIGURATION
from tests.loopback.process import Program

UNBOUND_MORE = f"""\
server:
  access-control: ::1/128 allow
  msg-cache-size: {CACHE_MB}m
  rrset-cache-size: {CACHE_MB}m
  so-rcvbuf: 8m
  outgoing-range: 8192
  num-queries-per-thread: 4096
"""

ADGUARD_SCHEMA_VERSION = 28
"""Of its settings file: that of version 0.107.44; later versions bring it up to date themselves."""


def _start(setting: Setting, *words: object, name: str) -> Program:
    binary, *rest = [str(word) for word in words]
    return Program([*setting.pin(), setting.binary or binary, *rest], setting.directory, name=name)


def _unbound(setting: Setting) -> Program:
    head = UNBOUND_CONFIGURATION.format(
        host="127.0.0.1",
        port=setting.port,
        directory=setting.directory,
        upstream_port=setting.upstream_port,
    )
    more = f"  interface: ::1@{setting.port}\n" if has_ipv6() else ""
    zones = (f'local-zone: "{name}." always_nxdomain\n' for name in setting.workload.blocked)
    path = write_lines(setting.directory / "unbound.conf", head + UNBOUND_MORE + more, zones)
    return _start(setting, "unbound", "-c", path, name="unbound")


def _policy_zone(setting: Setting) -> Path:
    """A response policy zone with the list."""
    head = "$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
    records = (f"{name} CNAME .\n*.{name} CNAME .\n" for name in setting.workload.blocked)
    return write_lines(setting.directory / "rpz.zone", head, records)


def _named(setting: Setting) -> Program:
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
    return _start(setting, "named", "-g", "-n", 1, "-U", 1, "-c", path, name="named")


def _recursor(setting: Setting) -> Program:
    directory = setting.directory
    (directory / "recursor.lua").write_text(f'rpzFile("{_policy_zone(setting)}", {{policyName="rpz"}})\n')
    (directory / "recursor.conf").write_text(
        f"local-address={','.join(hosts())}\nlocal-port={setting.port}\ndaemon=no\n"
        f"forward-zones-recurse=.=127.0.0.1:{setting.upstream_port}\ndnssec=off\nthreads=1\n"
        f"pdns-distributes-queries=no\nsocket-dir={directory}\nlua-config-file={directory}/recursor.lua\n"
        "quiet=yes\ndont-query=\nmax-mthreads=8192\ndisable-syslog=yes\nallow-from=127.0.0.0/8,::1/128\n"
    )
    return _start(setting, "pdns_recursor", f"--config-dir={directory}", name="pdns_recursor")


def _dnsdist(setting: Setting) -> Program:
    path = setting.directory / "dnsdist.conf"
    ipv6 = f'addLocal("[::1]:{setting.port}")\n' if has_ipv6() else ""
    path.write_text(
        f'setLocal("127.0.0.1:{setting.port}")\n{ipv6}setACL({{"127.0.0.0/8", "::1/128"}})\n'
        f'newServer({{address="127.0.0.1:{setting.upstream_port}", sockets=8}})\n'
        f'getPool(""):setCache(newPacketCache({CACHE_ENTRIES}, {{maxTTL=86400}}))\n'
        "local s = newSuffixMatchNode()\n"
        f'for line in io.lines("{setting.workload.list_path}") do s:add(newDNSName(line)) end\n'
        'addAction(SuffixMatchNodeRule(s), RCodeAction(DNSRCode.NXDOMAIN))\nsetSecurityPollSuffix("")\n'
    )
    return _start(setting, "dnsdist", "-C", path, "--supervised", name="dnsdist")


def _dnsmasq(setting: Setting) -> Program:
    head = (
        f"port={setting.port}\nlisten-address={','.join(hosts())}\nbind-interfaces\nno-resolv\nno-hosts\n"
        f"server=127.0.0.1#{setting.upstream_port}\ncache-size={CACHE_ENTRIES}\ndns-forward-max=10000\n"
        "user=root\npid-file=\n"
    )
    names = (f"address=/{name}/\n" for name in setting.workload.blocked)
    path = write_lines(setting.directory / "dnsmasq.conf", head, names)
    return _start(setting, "dnsmasq", "-k", "-C", path, name="dnsmasq")


def _knot(setting: Setting) -> Program:
    path, directory = setting.directory / "kresd.conf", setting.directory
    listen = "".join(f"net.listen('{host}', {setting.port}, {{kind='dns'}})\n" for host in hosts())
    path.write_text(
        f"{listen}modules = {{ 'policy', 'hints' }}\n"
        f"trust_anchors.remove('.')\ncache.open(512*MB, 'lmdb://{directory}/cache')\n"
        f"policy.add(policy.rpz(policy.DENY, '{_policy_zone(setting)}'))\n"
        f"policy.add(policy.all(policy.FORWARD({{'127.0.0.1@{setting.upstream_port}'}})))\n"
    )
    return _start(setting, "kresd", "-n", "-c", path, directory, name="kresd")


def _addresses(port: int) -> list[str]:
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts()]


def _blocky(setting: Setting) -> Program:
    directory = setting.directory
    names = write_lines(directory / "list.txt", "", (f"*.{name}\n" for name in setting.workload.blocked))
    path = directory / "blocky.yml"
    # JSON is YAML.
    path.write_text(
        json.dumps(
            {
                "upstreams": {
                    "init": {"strategy": "fast"},
                    "strategy": "strict",
                    "groups": {"default": [f"tcp+udp:127.0.0.1:{setting.upstream_port}"]},
                },
                "blocking": {
                    "denylists": {"long": [str(names)]},
                    "clientGroupsBlock": {"default": ["long"]},
                    "blockType": "nxDomain",
                    "loading": {"strategy": "blocking", "maxErrorsPerSource": -1},
                },
                "caching": {"maxItemsCount": CACHE_ENTRIES, "prefetching": False},
                "ports": {"dns": ",".join(_addresses(setting.port))},
                "queryLog": {"type": "none"},
                "log": {"level": "warn"},
            },
            indent=1,
        )
    )
    return _start(setting, "blocky", "serve", "--config", path, name="blocky")


def _adguard_settings(setting: Setting, list_path: Path) -> dict[str, object]:
    return {
        "schema_version": ADGUARD_SCHEMA_VERSION,
        "http": {"address": f"127.0.0.1:{free_port_everywhere()}", "session_ttl": "720h"},
        "users": [],
        "dns": {
            "bind_hosts": list(hosts()),
            "port": setting.port,
            "ratelimit": 0,
            "refuse_any": False,
            "upstream_dns": [f"127.0.0.1:{setting.upstream_port}"],
            "bootstrap_dns": [f"127.0.0.1:{setting.upstream_port}"],
            "cache_size": CACHE_MB << 20,
            "max_goroutines": 10_000,
            "use_private_ptr_resolvers": False,
        },
        "querylog": {"enabled": False, "file_enabled": False, "interval": "24h"},
        "statistics": {"enabled": False, "interval": "24h"},
        "filters": [{"enabled": True, "url": str(list_path), "name": "long", "id": 1}],
        "filtering": {
            "protection_enabled": True,
            "filtering_enabled": True,
            "blocking_mode": "nxdomain",
            "filters_update_interval": 0,
            "safe_fs_patterns": [str(list_path)],
        },
        "clients": {
            "runtime_sources": {"whois": False, "arp": False, "rdns": False, "dhcp": False, "hosts": False}
        },
        "dhcp": {"enabled": False},
        "log": {"file": "", "verbose": False},
    }


def _adguard_home(setting: Setting) -> Program:
    directory = setting.directory
    (directory / "data" / "filters").mkdir(parents=True, exist_ok=True)
    # The file of filter 1, as it keeps what it has downloaded: found at the start, so nothing is fetched.
    rules = (f"||{name}^\n" for name in setting.workload.blocked)
    list_path = write_lines(directory / "data" / "filters" / "1.txt", "", rules)
    path = directory / "AdGuardHome.yaml"
    path.write_text(json.dumps(_adguard_settings(setting, list_path), indent=1))
    words = ("-c", path, "-w", directory, "--no-check-update")
    return _start(setting, "AdGuardHome", *words, name="adguardhome")


def _hosts_lines(blocked: list[str]) -> Iterator[str]:
    for name in blocked:
        yield f"0.0.0.0 {name} www.{name} api.{name}\n"


def _coredns(setting: Setting) -> Program:
    directory = setting.directory
    names = write_lines(directory / "hosts.txt", "", _hosts_lines(setting.workload.blocked))
    path = directory / "Corefile"
    path.write_text(
        f".:{setting.port} {{\n    bind {' '.join(hosts())}\n"
        f"    hosts {names} {{\n        ttl 300\n        no_reverse\n        reload 0s\n"
        "        fallthrough\n    }\n"
        f"    cache {{\n        success {CACHE_ENTRIES}\n        denial {CACHE_ENTRIES}\n    }}\n"
        f"    forward . 127.0.0.1:{setting.upstream_port} {{\n        max_fails 0\n    }}\n}}\n"
    )
    return _start(setting, "coredns", "-conf", path, name="coredns")


DEBIAN = {
    "unbound": Contestant(
        "Unbound", "unbound", _unbound, ("-V",), assumes="`local-zone: always_nxdomain` for each name"
    ),
    "dnsdist": Contestant(
        "dnsdist",
        "dnsdist",
        _dnsdist,
        ("--version",),
        assumes="a SuffixMatchNode rule answers NXDOMAIN; packet cache; a proxy, so it resolves nothing",
    ),
    "pdns_recursor": Contestant(
        "PowerDNS Recursor", "pdns_recursor", _recursor, ("--version",), assumes="a response policy zone"
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

ELSEWHERE = {
    "blocky": Contestant(
        "blocky",
        "blocky",
        _blocky,
        ("version",),
        assumes=(
            "keys of version 0.24 and later (`denylists`); `*.NAME` stands for the name and those under it;"
            " `blockType: nxDomain`; one core, so one Go thread runs at a time"
        ),
    ),
    "adguardhome": Contestant(
        "AdGuard Home",
        "AdGuardHome",
        _adguard_home,
        ("--version",),
        assumes=(
            f"settings of schema {ADGUARD_SCHEMA_VERSION}, so version 0.107.44 and later; rules `||NAME^`"
            " laid where it keeps downloaded filters; query log, statistics and rate limit off"
        ),
    ),
    "coredns": Contestant(
        "CoreDNS",
        "coredns",
        _coredns,
        ("-version",),
        blocked_rcode="NOERROR",
        assumes=(
            "the `hosts` plugin, which knows whole names only, so NAME, www.NAME and api.NAME are each listed"
            " and answered 0.0.0.0 instead of NXDOMAIN; `cache` and `forward`"
        ),
    ),
}
"""Programs that take part when named with `--peer NAME=PATH`."""
