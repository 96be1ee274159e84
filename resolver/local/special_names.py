"""The names that must not leave this network, and what they answer.

Knows: the registries of special-use and locally-served names.  Does not know: who asks.
Source: RFC 6761 (localhost, invalid, test), 7686 (onion), 9476 (alt), 6762 (local), 8375
(home.arpa), 6303 and 7793 (reverse zones of private space), 9462 (resolver.arpa).
"""

from __future__ import annotations

from enum import Enum

from resolver.wire.names import name_from_text


class Special(Enum):
    """How a special zone answers."""

    LOOPBACK = "loopback"
    """A 127.0.0.1, AAAA ::1, NODATA for the rest."""
    NOWHERE = "nowhere"
    """NXDOMAIN for everything at and below it."""
    EMPTY = "empty"
    """NODATA at the apex, NXDOMAIN below it."""
    NODATA = "nodata"
    """NODATA for everything at and below it."""
    CANARY = "canary"
    """NXDOMAIN while this resolver filters; otherwise an ordinary name."""


def _reverse_zones() -> list[str]:
    ipv4 = [
        "0",
        "10",
        "127",
        "254.169",
        "168.192",
        "2.0.192",
        "100.51.198",
        "113.0.203",
        "255.255.255.255",
        *(f"{second}.172" for second in range(16, 32)),
        *(f"{second}.100" for second in range(64, 128)),
    ]
    zeros = "0." * 31
    ipv6 = [
        f"0.{zeros}"[:-1],
        f"1.{zeros}"[:-1],
        "d.f",
        "8.e.f",
        "9.e.f",
        "a.e.f",
        "b.e.f",
        "8.b.d.0.1.0.0.2",
    ]
    return [f"{zone}.in-addr.arpa" for zone in ipv4] + [f"{zone}.ip6.arpa" for zone in ipv6]


SPECIAL_ZONES: dict[bytes, Special] = {
    name_from_text(name): kind
    for name, kind in (
        ("localhost", Special.LOOPBACK),
        *((name, Special.NOWHERE) for name in ("invalid", "test", "onion", "alt", "local")),
        ("home.arpa", Special.EMPTY),
        ("resolver.arpa", Special.NODATA),
        # Browsers that find this name gone leave their own DNS over HTTPS off.
        ("use-application-dns.net", Special.CANARY),
        *((name, Special.EMPTY) for name in _reverse_zones()),
    )
}
"""Apex of each special zone, wire form -> how it answers."""

_ENDINGS = (
    b"\x09localhost\x00",
    b"\x07invalid\x00",
    b"\x04test\x00",
    b"\x05onion\x00",
    b"\x03alt\x00",
    b"\x05local\x00",
    b"\x04arpa\x00",
    b"\x13use-application-dns\x03net\x00",
)

TAIL_OCTETS = min(map(len, _ENDINGS))
"""What the longest part that all endings have tells them apart by."""


def _by_tail(endings: tuple[bytes, ...]) -> dict[bytes, tuple[bytes, ...]]:
    tails = {ending[-TAIL_OCTETS:] for ending in endings}
    return {tail: tuple(ending for ending in endings if ending.endswith(tail)) for tail in tails}


SPECIAL_ENDINGS = _by_tail(_ENDINGS)
"""Every special name ends in one of these, found by its last octets; a cheap first look (a label may contain
such octets by chance)."""

RELAY_ZONES: dict[bytes, Special] = {
    name_from_text(name): Special.NOWHERE for name in ("mask.icloud.com", "mask-h2.icloud.com")
}
"""Where iCloud Private Relay is found.  Source: Apple, "Prepare your network or web server for iCloud Private
Relay": a negative answer makes devices tell their users; silence or a timeout would hold them up."""

RELAY_ENDINGS = _by_tail((b"\x06icloud\x03com\x00",))
"""As SPECIAL_ENDINGS."""
