"""Where clients reach the server, its certificates, and where it stops growing and starts refusing.

Knows: the keys of `listen`, `tls` and `limits`, and what they cannot mean together.  Does not know: sockets,
what stands in a certificate's file (`certificates` reads it, for a server that starts and for `check`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field

from resolver.config.settingvalues import Endpoint, Endpoints, HttpEndpointText, Networks, PathText
from resolver.config.yamlmodel import Section, setting
from resolver.problems import Findings

MIB = 1024 * 1024
"""Octets in the unit of every `*_mb` key."""

PAIRS_MAX = 64
"""Certificates of one server: each is read whenever a file changes, and found by name at each handshake."""

DNS_KEYS = ("dns", "tls", "https")
"""The keys of `listen` under which DNS is served, each over TCP; `dns` over UDP, too."""


class Listen(Section):
    """Where clients reach the server: `ADDRESS:PORT`, IPv6 in brackets, port 0 for any free one."""

    dns: Endpoints = setting(
        (Endpoint("127.0.0.1", 5335), Endpoint("::1", 5335)), "Plain DNS, UDP and TCP on each address."
    )
    tls: Endpoints = setting((), "DNS over TLS (RFC 7858), usually on port 853; needs tls.certificate.")
    https: Endpoints = setting(
        (), "DNS over HTTPS (RFC 8484), path /dns-query, usually on port 443; needs tls.certificate."
    )
    http: HttpEndpointText | None = setting(
        Endpoint("127.0.0.1", 8053),
        "HTTP for the dashboard, the API, /metrics, /healthz and /readyz; null: off; '*:8053': every "
        "address, IPv4 and IPv6.",
    )
    quic: Endpoints = setting(
        (), "DNS over QUIC (RFC 9250): this release does not serve it, so it can only be empty."
    )
    proxy_protocol: Networks = setting(
        (),
        "Networks of proxies that must send a PROXY v2 header, on every address of dns, tls and https: "
        "from them what has none is refused, from others a header is an error.",
    )

    def served(self) -> Iterator[tuple[str, int, Endpoint]]:
        """Each address where DNS is served, with its key and its place there."""
        for key in DNS_KEYS:
            for index, endpoint in enumerate(getattr(self, key)):
                yield key, index, endpoint


class CertificatePair(Section):
    """A certificate and its key, in files that are read again when they change."""

    certificate: PathText = setting(
        ..., "PEM file: the certificate, then those that lead to its authority.", allowed="a path"
    )
    key: PathText = setting(..., "PEM file of its key, without a password.", allowed="a path")


class Tls(Section):
    """The certificates of encrypted listeners; the files are read again when they change."""

    certificate: PathText | None = setting(
        None,
        "PEM file: the certificate, then those that lead to its authority.  Clients that name no server, or "
        "one that no certificate has, get this one.",
    )
    key: PathText | None = setting(None, "PEM file of its key, without a password.")
    more: Annotated[tuple[CertificatePair, ...], Field(strict=False, max_length=PAIRS_MAX - 1)] = setting(
        (), "Further pairs {certificate, key}, chosen by the server name that a client asks for."
    )


class Limits(Section):
    """Where the server stops growing and starts refusing; every refusal is counted."""

    tcp_connections_max: int = setting(
        1_000, "Open connections over TCP, TLS and HTTPS, on all addresses together.", least=1, most=60_000
    )
    tcp_connections_per_client_max: int = setting(
        100,
        "Those of one client (IPv6: of one /64), on all addresses together.",
        least=1,
        most=60_000,
    )
    tcp_idle_s: float = setting(
        10.0,
        "One without queries is closed after this; sooner while over half of them are taken.",
        unit="seconds",
        least=1.0,
        most=3_600.0,
    )
    stream_buffers_mb: int = setting(
        32,
        "What all of them may hold of queries and answers; one client an eighth of it.",
        unit="MiB",
        least=8,
        most=65_536,
    )
    tls_handshakes_per_s_max: int = setting(
        1_000,
        "New TLS sessions of all clients together; over it connections are closed before they cost anything.",
        unit="handshakes per second",
        least=1,
        most=1_000_000,
    )
    tls_handshakes_per_s_per_client_max: int = setting(
        100,
        "Those of one client (IPv6: of one /64).",
        unit="handshakes per second",
        least=1,
        most=1_000_000,
    )
    https_streams_max: int = setting(
        100, "Open requests of one HTTP/2 connection; one over it is refused.", least=1, most=10_000
    )
    https_header_octets_max: int = setting(
        16_384,
        "Names and values of one request's headers, 32 octets more for each (RFC 9113 §6.5.2).",
        unit="octets",
        least=4_096,
        most=65_536,
    )
    http_connections_max: int = setting(
        64, "Open HTTP connections of listen.http; one over it gets status 503.", least=1, most=10_000
    )
    http_event_streams_max: int = setting(
        16, "Of these, streams of events; one over it gets status 503.", least=1, most=1_000
    )
    in_flight_max: int = setting(
        4_096, "Questions waiting for upstreams at one time.", least=1, most=1_000_000
    )

    @property
    def stream_buffers_octets(self) -> int:
        """`stream_buffers_mb` in octets."""
        return self.stream_buffers_mb * MIB


def check_listen(
    listen: Listen, tls: Tls, limits: Limits, findings: Findings, line: Callable[..., int]
) -> None:
    """Check what no key can know alone.  `line`: of a path of keys."""
    if not listen.dns:
        findings.error(line("listen", "dns"), "listen.dns: is empty; allowed: at least one ADDRESS:PORT")
    taken: dict[Endpoint, str] = {}
    for key, index, endpoint in listen.served():
        if endpoint.port and endpoint in taken:
            said = "listed twice" if taken[endpoint] == key else f"taken by listen.{taken[endpoint]}"
            findings.error(line("listen", key, index), f"listen.{key}: {endpoint} is {said}")
        taken.setdefault(endpoint, key)
    http = listen.http
    if http is not None and http.port:
        for endpoint, key in taken.items():
            if endpoint == http or (http.is_everywhere and endpoint.port == http.port):
                findings.error(line("listen", "http"), f"listen.http: {http} is taken by listen.{key}")
                break
    if listen.quic:
        message = "listen.quic: DNS over QUIC is not served by this release; leave it empty: []"
        findings.error(line("listen", "quic"), message)
    for network in listen.proxy_protocol:
        if network.prefixlen == 0:
            message = f"listen.proxy_protocol: {network} lets everybody say who they are"
            findings.warning(line("listen", "proxy_protocol"), message)
    _check_pairs(listen, tls, findings, line)
    for each, whole in (
        ("tcp_connections_per_client_max", "tcp_connections_max"),
        ("tls_handshakes_per_s_per_client_max", "tls_handshakes_per_s_max"),
    ):
        if getattr(limits, each) > getattr(limits, whole):
            message = (
                f"limits.{each}: {getattr(limits, each)} is more than "
                f"limits.{whole} ({getattr(limits, whole)})"
            )
            findings.error(line("limits", each), message)


def _check_pairs(listen: Listen, tls: Tls, findings: Findings, line: Callable[..., int]) -> None:
    """Refuse half a pair, and encrypted listeners without one."""
    if (tls.certificate is None) != (tls.key is None):
        given, missing = ("key", "certificate") if tls.certificate is None else ("certificate", "key")
        findings.error(line("tls", given), f"tls.{given}: stands alone; tls.{missing} belongs to it")
    elif tls.certificate is None:
        if tls.more:
            message = "tls.more: needs tls.certificate and tls.key, for clients that name no server"
            findings.error(line("tls", "more"), message)
        for key in ("tls", "https"):
            if getattr(listen, key):
                message = (
                    f"listen.{key}: needs tls.certificate and tls.key; "
                    "`exchange-resolver cert` makes a pair for tests and small networks"
                )
                findings.error(line("listen", key), message)
    elif not (listen.tls or listen.https):
        message = "tls.certificate: nothing uses it, for listen.tls and listen.https are empty"
        findings.warning(line("tls", "certificate"), message)
