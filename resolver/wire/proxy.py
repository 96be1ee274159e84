"""The head that a proxy puts before what it passes on: the PROXY protocol, version 2.

Knows: the head's layout.  Does not know: who may send one, sockets, what follows it.
Source: HAProxy, "The PROXY protocol", section 2.2.  Version 1, a line of text, is not taken: it has no
length, and nobody who speaks it to a DNS server lacks version 2.
Theory: nothing follows from a head that is not whole; of one that is, only the addresses are kept.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""What every head begins with; as DNS it is nothing that is answered, over a datagram or a stream."""

PROXY_HEAD_OCTETS_MIN: Final = 16
"""Signature, version and command, family and protocol, length of the rest."""

REST_OCTETS_MAX: Final = 512
"""Addresses and extensions; more is refused.  Proxies send a few dozen octets, and take no more."""

_VERSION = 0x20
_LOCAL = 0x20
_PROXY = 0x21
_UNSPEC = 0x00
_FAMILIES = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}
"""Octets of an address, by family and protocol: TCP and UDP over IPv4 and IPv6."""
_EXTENSION_HEAD_OCTETS = 3
"""Type and length."""
_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address written as IPv6 begins with (RFC 4291 §2.5.5.2)."""

_FIXED = struct.Struct("!12sBBH").unpack_from

Place = tuple[bytes, int]
"""A packed address and a port."""


class Proxied(NamedTuple):
    """A whole head."""

    source: Place | None
    """Who asks; None: the proxy itself, or whoever it does not name."""
    destination: Place | None
    """Where that client's query was sent to."""
    length: int
    """Octets of the head; what is passed on begins behind it."""


class NeedMore(NamedTuple):
    """All right so far, and not whole."""


class BadHead(NamedTuple):
    """No head, or one that cannot be taken."""

    why: str
    """Of a closed set of short words."""


NEED_MORE: Final = NeedMore()
NO_SIGNATURE: Final = BadHead("signature")
OTHER_VERSION: Final = BadHead("version")
OTHER_COMMAND: Final = BadHead("command")
OTHER_FAMILY: Final = BadHead("family")
BAD_LENGTH: Final = BadHead("length")
BAD_EXTENSION: Final = BadHead("extension")
BAD_HEADS: Final = (NO_SIGNATURE, OTHER_VERSION, OTHER_COMMAND, OTHER_FAMILY, BAD_LENGTH, BAD_EXTENSION)
"""The closed set."""


def parse_proxy(octets: bytes | bytearray) -> Proxied | NeedMore | BadHead:
    """Read the head that `octets` begin with.  Never raises; looks at `REST_OCTETS_MAX` octets at most."""
    if octets[: len(SIGNATURE)] != SIGNATURE[: len(octets)]:
        return NO_SIGNATURE
    if len(octets) < PROXY_HEAD_OCTETS_MIN:
        return NEED_MORE
    _, command, family, rest = _FIXED(octets, 0)
    if command & 0xF0 != _VERSION:
        return OTHER_VERSION
    if command not in (_LOCAL, _PROXY):
        return OTHER_COMMAND
    if rest > REST_OCTETS_MAX:
        return BAD_LENGTH
    end = PROXY_HEAD_OCTETS_MIN + rest
    # What a proxy says of itself means nothing, whatever its family; so does what it leaves unsaid.
    address_octets = 0
    if command == _PROXY and family != _UNSPEC:
        address_octets = _FAMILIES.get(family, 0)
        if not address_octets:
            return OTHER_FAMILY
        if rest < 2 * address_octets + 4:
            return BAD_LENGTH
    if len(octets) < end:
        return NEED_MORE
    if not address_octets:
        return Proxied(None, None, end)
    ports = PROXY_HEAD_OCTETS_MIN + 2 * address_octets
    if not _are_extensions(octets, ports + 4, end):
        return BAD_EXTENSION
    source, destination = (
        (
            _address(octets[start : start + address_octets]),
            int.from_bytes(octets[port : port + 2], "big"),
        )
        for start, port in (
            (PROXY_HEAD_OCTETS_MIN, ports),
            (PROXY_HEAD_OCTETS_MIN + address_octets, ports + 2),
        )
    )
    return Proxied(source, destination, end)


def _are_extensions(octets: bytes | bytearray, at: int, end: int) -> bool:
    """Whether extensions (type, length, value) fill the octets between two offsets exactly."""
    while at < end:
        if at + _EXTENSION_HEAD_OCTETS > end:
            return False
        at += _EXTENSION_HEAD_OCTETS + (octets[at + 1] << 8 | octets[at + 2])
    return at == end


def _address(octets: bytes | bytearray) -> bytes:
    """Packed; an IPv4 address as such, however it is written."""
    return bytes(octets[12:] if octets.startswith(_MAPPED) else octets)
