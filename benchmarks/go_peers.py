"""Filtering resolvers written in Go: how each is told to forward to one upstream and refuse a list of names.

Knows: their configuration files, and what differs between their versions.  Does not know: what is measured.
None is a package of Debian 12: each takes part when its program is named on the command line.  They are set
up as those of `peers`; on one core one Go thread runs at a time.
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
    Streams,
    free_port_everywhere,
    hosts,
    write_lines,
)
from benchmarks.peers import run_peer
from benchmarks.workload import TTL_S
from tests.loopback.process import Program

ADGUARD_SCHEMA_VERSION = 28
"""Of its settings file: that of version 0.107.44; later versions bring it up to date themselves."""


def _addresses(port: int) -> list[str]:
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts()]


def _blocky_ports(streams: Streams | None) -> dict[str, str]:
    """Its HTTPS listener serves /dns-query, over HTTP/2 as well."""
    if streams is None:
        return {}
    return {"tls": f"127.0.0.1:{streams.tls_port}", "https": f"127.0.0.1:{streams.https_port}"}


def _blocky_pair(streams: Streams | None) -> dict[str, str]:
    return {"certFile": str(streams.certificate), "keyFile": str(streams.key)} if streams else {}


def _blocky(setting: Setting) -> Program:
    """Version 0.24 renamed keys (`denylists` was `blackLists`); older ones refuse these settings."""
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
                "ports": {"dns": ",".join(_addresses(setting.port)), **_blocky_ports(setting.streams)},
                "queryLog": {"type": "none"},
                "log": {"level": "warn"},
                **_blocky_pair(setting.streams),
            },
            indent=1,
        )
    )
    return run_peer(setting, "blocky", "serve", "--config", path, name="blocky")


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
            # The usual value of these three differs, or did in some version.
            "enable_dnssec": False,  # On, it sets DO in every query it sends.
            "cache_enabled": True,
            "cache_optimistic": False,
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
        **({"tls": _adguard_tls(setting.streams)} if setting.streams else {}),
    }


def _adguard_tls(streams: Streams) -> dict[str, object]:
    return {
        "enabled": True,
        "server_name": "localhost",
        "force_https": False,
        "port_https": streams.https_port,
        "port_dns_over_tls": streams.tls_port,
        "port_dns_over_quic": 0,
        "certificate_path": str(streams.certificate),
        "private_key_path": str(streams.key),
    }


def _adguard_home(setting: Setting) -> Program:
    """Settings have a schema number: a later version rewrites the file, one before 0.107.44 refuses it."""
    directory = setting.directory
    (directory / "data" / "filters").mkdir(parents=True, exist_ok=True)
    # The file of filter 1, as it keeps what it has downloaded: found at the start, so nothing is fetched.
    rules = (f"||{name}^\n" for name in setting.workload.blocked)
    list_path = write_lines(directory / "data" / "filters" / "1.txt", "", rules)
    path = directory / "AdGuardHome.yaml"
    path.write_text(json.dumps(_adguard_settings(setting, list_path), indent=1))
    words = ("-c", path, "-w", directory, "--no-check-update")
    return run_peer(setting, "AdGuardHome", *words, name="adguardhome")


def _routedns(setting: Setting) -> Program:
    """The size of the cache stands in `backend` as its documents say; older versions had `cache-size`."""
    directory = setting.directory
    # A leading dot: the name and those under it.
    names = write_lines(directory / "list.txt", "", (f".{name}\n" for name in setting.workload.blocked))
    path = directory / "routedns.toml"
    listeners = "".join(
        f'[listeners.{protocol}-{number}]\naddress = "{address}"\nprotocol = "{protocol}"\n'
        'resolver = "blocklist"\n'
        for number, address in enumerate(_addresses(setting.port))
        for protocol in ("udp", "tcp")
    )
    path.write_text(
        f'[resolvers.upstream]\naddress = "127.0.0.1:{setting.upstream_port}"\nprotocol = "udp"\n'
        '[groups.cache]\ntype = "cache"\nresolvers = ["upstream"]\n'
        f'backend = {{type = "memory", size = {CACHE_ENTRIES}}}\n'
        '[groups.blocklist]\ntype = "blocklist-v2"\nresolvers = ["cache"]\n'
        f'blocklist-source = [{{format = "domain", source = "{names}"}}]\n{listeners}'
    )
    # Log level 2: errors, no line for each query.
    return run_peer(setting, "routedns", "--log-level", 2, path, name="routedns")


def _hosts_lines(blocked: list[str]) -> Iterator[str]:
    for name in blocked:
        yield f"0.0.0.0 {name} www.{name} api.{name}\n"


def _coredns(setting: Setting) -> Program:
    """Plugins that it is built with by default, which before version 1.5 had `proxy` for `forward`."""
    directory = setting.directory
    names = write_lines(directory / "hosts.txt", "", _hosts_lines(setting.workload.blocked))
    path = directory / "Corefile"
    path.write_text(
        "".join(_coredns_block(setting, names, *listener) for listener in _coredns_listeners(setting))
    )
    return run_peer(setting, "coredns", "-conf", path, name="coredns")


def _coredns_listeners(setting: Setting) -> list[tuple[str, str]]:
    """Each address with what more its block says; every block has a cache of its own."""
    listeners = [(f".:{setting.port}", f"    bind {' '.join(hosts())}\n")]
    if streams := setting.streams:
        pair = f"    bind 127.0.0.1\n    tls {streams.certificate} {streams.key}\n"
        listeners += [(f"tls://.:{streams.tls_port}", pair), (f"https://.:{streams.https_port}", pair)]
    return listeners


def _coredns_block(setting: Setting, names: Path, address: str, more: str) -> str:
    return (
        f"{address} {{\n{more}"
        f"    hosts {names} {{\n        ttl 300\n        no_reverse\n        reload 0s\n"
        "        fallthrough\n    }\n"
        # The usual cache keeps an answer for an hour at most, a negative one for half.
        f"    cache {TTL_S} {{\n        success {CACHE_ENTRIES} {TTL_S}\n"
        f"        denial {CACHE_ENTRIES} {TTL_S}\n    }}\n"
        f"    forward . 127.0.0.1:{setting.upstream_port} {{\n        max_fails 0\n    }}\n}}\n"
    )


ELSEWHERE = {
    "blocky": Contestant(
        "blocky",
        "blocky",
        _blocky,
        ("version",),
        assumes=(
            "keys of version 0.24 and later (`denylists`); `*.NAME` stands for the name and those under it;"
            " `blockType: nxDomain`; no prefetching"
        ),
    ),
    "adguardhome": Contestant(
        "AdGuard Home",
        "AdGuardHome",
        _adguard_home,
        ("--version",),
        assumes=(
            f"settings of schema {ADGUARD_SCHEMA_VERSION}, so version 0.107.44 and later; rules `||NAME^`"
            " laid where it keeps downloaded filters; query log, statistics, rate limit, DO and the"
            " optimistic cache off"
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
            " and answered 0.0.0.0 instead of NXDOMAIN; `cache`, whose hour at most is made a day; `forward`"
        ),
    ),
    "routedns": Contestant(
        "routedns",
        "routedns",
        _routedns,
        assumes="`blocklist-v2` of the format `domain` before a `cache` in memory",
    ),
}
"""Programs that take part when named with `--peer NAME=PATH`."""
