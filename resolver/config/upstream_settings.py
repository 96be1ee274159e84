"""The servers that are asked: the keys of `upstreams`, and what no key of it can know alone.

Knows: their meaning, defaults, ranges; what makes servers unusable, unsafe together or this very server.
Does not know: how they are asked, whether they answer.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from resolver.config.settingvalues import DomainName, Endpoint, Nat64Prefixes, PathText
from resolver.config.upstream_values import BootstrapServers, Upstreams, UpstreamServer
from resolver.config.yamlmodel import Section, setting
from resolver.problems import Findings
from resolver.wire.names import name_to_text

Strategy = Literal["fastest", "ordered", "parallel", "random"]


class UpstreamSection(Section):
    """The servers that are asked."""

    servers: Upstreams = setting(
        (UpstreamServer("udp", "9.9.9.9", 53), UpstreamServer("udp", "1.1.1.1", 53)),
        "Servers: udp://ADDRESS:PORT, tcp://ADDRESS:PORT, tls://ADDRESS:PORT#NAME, https://NAME/PATH, or "
        "{url: ..., trust_ad: true, letter_case: lower, pins: [...]}.",
    )
    strategy: Strategy = setting(
        "fastest",
        "Which server is asked first: the one that was fastest lately, the first that works, several at "
        "once of which the first good answer counts, or any.",
    )
    parallel: int = setting(
        2, "How many servers strategy: parallel asks at once.", unit="servers", least=2, most=4
    )
    hedge_max_percent: int = setting(
        5,
        "When a server is slower than it nearly ever is, the next one is asked, too: for so many of a "
        "hundred questions at most.  0: never.",
        unit="percent",
        least=0,
        most=20,
    )
    timeout_s: float = setting(
        2.0, "For one question, all attempts together.", unit="seconds", least=0.1, most=30.0
    )
    bootstrap: BootstrapServers = setting(
        (),
        "DNS servers, as ADDRESS or ADDRESS:PORT, asked in clear text for the host names of `servers` and of "
        "downloaded lists, and for nothing else; none: lists' hosts are asked of plain `servers`.",
    )
    tls_ca: PathText | None = setting(
        None,
        "PEM file of the authorities that certificates of tls:// and https:// servers must come from; "
        "null: the system's.",
        allowed="a path or null",
    )
    forward: dict[DomainName, Upstreams] = setting(
        {},
        "Suffix -> its own servers; names under it are never asked elsewhere.  localhost stays here, and "
        "under '.' the other special names, too.",
    )
    nat64_prefixes: Nat64Prefixes | None = setting(
        None,
        "Prefixes of /32 to /96 under which the network's NAT64 puts IPv4 addresses (RFC 6052), so that "
        "rules for addresses see through them; null: ipv4only.arpa tells (RFC 7050); []: none.",
    )

    @property
    def all_servers(self) -> tuple[UpstreamServer, ...]:
        """Those of `servers` and `forward`, each once."""
        named = (server for servers in self.forward.values() for server in servers)
        return tuple(dict.fromkeys((*self.servers, *named)))


LineOf = Callable[..., int]
"""Path of keys -> its line."""


def check_upstreams(
    section: UpstreamSection,
    listening: Iterable[Endpoint],
    findings: Findings,
    line: LineOf,
    suffix_lines: Iterable[int],
) -> None:
    """Refuse and warn of what no key can know alone.

    `listening`: where this server itself listens; `suffix_lines`: those of the keys of `forward`, in order.
    """
    listening = tuple(listening)
    for index, bootstrap in enumerate(section.bootstrap):
        # A name that is resolved through this server could never be resolved before it serves.
        asked = UpstreamServer("udp", bootstrap.address, bootstrap.port)
        at = line("upstreams", "bootstrap", index)
        _check_no_loop(asked, listening, findings, at, "upstreams.bootstrap")
    lines = [line("upstreams", "servers", index) for index in range(len(section.servers))]
    _check_set(section, section.servers, listening, findings, lines, "upstreams.servers")
    for at, (suffix, servers) in zip(suffix_lines, section.forward.items(), strict=False):
        _check_suffix(suffix, findings, at)
        named = f"upstreams.forward.{name_to_text(suffix)}"
        _check_set(section, servers, listening, findings, [at] * len(servers), named)
    if section.tls_ca is not None and (objection := ca_objection(section.tls_ca)):
        findings.error(line("upstreams", "tls_ca"), f"upstreams.tls_ca: {objection}")


def ca_objection(path: Path) -> str:
    """Why a file gives no authorities; empty: it does."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(path)
    except ssl.SSLError:
        return f"{path} has no certificate that can be read; allowed: a PEM file of certificates"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    # One server's own certificate vouches for itself (`forwarding/tls_terms.py`), and need be no authority's.
    return "" if context.cert_store_stats()["x509"] else f"{path} has no certificate"


def _check_set(
    section: UpstreamSection,
    servers: tuple[UpstreamServer, ...],
    listening: tuple[Endpoint, ...],
    findings: Findings,
    lines: list[int],
    where: str,
) -> None:
    """Check servers that stand in for each other."""
    for at, server in zip(lines, servers, strict=True):
        if server.address:
            _check_no_loop(server, listening, findings, at, where)
        elif not section.bootstrap:
            findings.error(
                at,
                f"{where}: the address of {server} is not known; name DNS servers that resolve {server.host} "
                f"in upstreams.bootstrap, or write its address: {_with_address(server)}",
            )
        if server.is_encrypted and not server.host and not server.pins:
            findings.warning(
                at,
                f"{where}: {server} names nobody, so its certificate must be for the address itself; "
                f"if it is for a name, write {server}#NAME",
            )
    plain = [server for server in servers if server.is_plain]
    if plain and len(plain) < len(servers) and any(server.is_encrypted for server in servers):
        at = next(line for line, server in zip(lines, servers, strict=True) if server.is_plain)
        why = (
            "strategy: fastest will choose them, for plain text is faster"
            if section.strategy == "fastest"
            else "questions can leave in clear text"
        )
        shown = ", ".join(map(str, plain))
        findings.warning(at, f"{where}: {shown} beside encrypted servers: {why}; name only encrypted ones")


def _with_address(server: UpstreamServer) -> str:
    port = f":{server.port}" if server.scheme == "tls" or server.port != 443 else ""
    return f"'{server.scheme}://ADDRESS{port}{server.path}#{server.host}'"


def _check_suffix(suffix: bytes, findings: Findings, line: int) -> None:
    """Warn of what `forward` cannot mean: names that stay here whatever it says."""
    if suffix == b"\0":
        findings.warning(
            line,
            "upstreams.forward: '.' takes every name from upstreams.servers, but special names (localhost, "
            "test, local, private reverse zones and their like) stay here; name such a zone to forward it",
        )
    elif suffix.endswith(b"\x09localhost\0"):
        findings.warning(
            line, "upstreams.forward: localhost is never forwarded (RFC 6761 §6.3); this key has no effect"
        )


def _check_no_loop(
    server: UpstreamServer, listening: tuple[Endpoint, ...], findings: Findings, line: int, where: str
) -> None:
    """Refuse an upstream that is this very server: each query would chase its own tail."""
    address = ip_address(server.address)
    for endpoint in listening:
        own = ip_address(endpoint.address)
        is_here = own == address or (
            own.is_unspecified and own.version == address.version and address.is_loopback
        )
        if is_here and endpoint.port == server.port:
            findings.error(line, f"{where}: {server} is this server itself ({endpoint} is listened on)")
