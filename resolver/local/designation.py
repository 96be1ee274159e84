"""What this server designates: its encrypted listeners, as records for clients that asked in clear text.

Knows: how SVCB says them (RFC 9460, RFC 9461).  Does not know: settings, certificates, who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple

Address = IPv4Address | IPv6Address

DESIGNATION_TTL_S = 300
"""TTL of the records: a client has to verify them anew when it ends (RFC 9462 §4), and a listener may go."""

HINTS_MAX = 4
"""Addresses of one family in a record: with them the answer still fits every datagram."""

DOH_PATH = b"/dns-query{?dns}"
"""The template of `dohpath` (RFC 9461 §5): the path of every DNS over HTTPS listener."""

_ALPN, _PORT, _IPV4HINT, _IPV6HINT, _DOHPATH = 1, 3, 4, 6, 7
"""SvcParamKeys (RFC 9460 §14.3.2, RFC 9461 §8.2)."""
_ALPNS = {"tls": (b"dot",), "https": (b"h2", b"http/1.1")}
"""What each listener speaks (RFC 9461 §4.1), the usual first."""


class EncryptedListener(NamedTuple):
    """Where DNS is served over TLS or HTTPS."""

    kind: Literal["tls", "https"]
    address: Address
    port: int


def designations(
    name: bytes, listeners: Iterable[EncryptedListener], own_addresses: Sequence[Address]
) -> list[bytes]:
    """RDATA of one SVCB record for each kind and port, TLS first, each with a priority of its own.

    `name`: the server's, wire form, as its certificate has it.  `own_addresses`: those that this server gives
    for the name: what is known of a listener on all addresses.
    """
    places: dict[tuple[str, int], list[Address]] = {}
    for listener in sorted(listeners, key=lambda one: one.kind, reverse=True):
        found = places.setdefault((listener.kind, listener.port), [])
        if listener.address.is_unspecified:
            found += [own for own in own_addresses if own.version == listener.address.version]
        else:
            found.append(listener.address)
    return [
        _rdata(priority, name, kind, port, list(dict.fromkeys(addresses)))
        for priority, ((kind, port), addresses) in enumerate(places.items(), 1)
    ]


def _rdata(priority: int, name: bytes, kind: str, port: int, addresses: Sequence[Address]) -> bytes:
    ipv4 = [address.packed for address in addresses if address.version == 4][:HINTS_MAX]
    ipv6 = [address.packed for address in addresses if address.version == 6][:HINTS_MAX]
    parameters = {
        _ALPN: b"".join(bytes((len(alpn),)) + alpn for alpn in _ALPNS[kind]),
        _PORT: port.to_bytes(2, "big"),
        _IPV4HINT: b"".join(ipv4),
        _IPV6HINT: b"".join(ipv6),
        _DOHPATH: DOH_PATH if kind == "https" else b"",
    }
    # RFC 9460 §2.2: keys in order, each once; a key without a value would say something else.
    written = [
        key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        for key, value in parameters.items()
        if value
    ]
    return priority.to_bytes(2, "big") + name + b"".join(written)
