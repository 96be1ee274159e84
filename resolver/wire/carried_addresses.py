"""IPv4 addresses that IPv6 addresses carry: who connects to the one is led to the other.

Knows: RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo), 5214 (ISATAP), 4291 (compatible), 2765
(translated), and how a network's own NAT64 prefixes are found (RFC 7050).  Does not know: rules, who asks.
Theory: a translator or tunnel takes the IPv4 address out of places that follow from the prefix alone.
IPv4-mapped addresses are not among them: whoever compares addresses takes them for IPv4 ones already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, IPv6Network
from typing import Final, NamedTuple

PLACES: Final[dict[int, tuple[int, int, int, int]]] = {
    32: (4, 5, 6, 7),
    40: (5, 6, 7, 9),
    48: (6, 7, 9, 10),
    56: (7, 9, 10, 11),
    64: (9, 10, 11, 12),
    96: (12, 13, 14, 15),
}
"""Where an address under a NAT64 prefix of so many bits has its IPv4 octets (RFC 6052 §2.2); the ninth octet
is zero."""

NAT64_PREFIXES_MAX = 16
"""Prefixes of one network that are heeded; each costs a comparison for every IPv6 address judged."""

_WELL_KNOWN = b"\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00"
_LOCAL_USE = b"\x00\x64\xff\x9b\x00\x01"
_LOCAL_USE_LENGTHS = (48, 56, 64, 96)
_TRANSLATED = b"\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00"
_COMPATIBLE = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
_SIX_TO_FOUR = b"\x20\x02"
_TEREDO = b"\x20\x01\x00\x00"
_ISATAP = (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
"""The upper half of an interface identifier, its address being private or global."""
_IPV4_ONLY: Final = (bytes((192, 0, 0, 170)), bytes((192, 0, 0, 171)))
"""The addresses of ipv4only.arpa (RFC 7050 §2.2)."""


class Nat64Prefix(NamedTuple):
    """A prefix under which a network's translators put IPv4 addresses."""

    octets: bytes
    """16, those behind the prefix zero."""
    length: int
    """Bits: a key of `PLACES`."""

    def __str__(self) -> str:
        return f"{IPv6Address(self.octets)}/{self.length}"


def nat64_prefix(network: IPv6Network) -> Nat64Prefix:
    """The prefix that a network stands for.  Raises ValueError where RFC 6052 knows none such."""
    octets = network.network_address.packed
    if network.prefixlen not in PLACES:
        lengths = ", ".join(f"/{length}" for length in PLACES)
        raise ValueError(
            f"'{network}' is no NAT64 prefix: its length must be one of {lengths} (RFC 6052 §2.2)"
        )
    if octets[8]:
        raise ValueError(f"'{network}' is no NAT64 prefix: its bits 64 to 71 must be zero (RFC 6052 §2.2)")
    return Nat64Prefix(octets, network.prefixlen)


def carried_addresses(address: bytes, prefixes: Sequence[Nat64Prefix]) -> list[bytes]:
    """The IPv4 addresses (4 octets) in an IPv6 address (16 octets); `prefixes`: the network's own."""
    found = [
        _taken(address, prefix.length)
        for prefix in prefixes
        if address.startswith(prefix.octets[: prefix.length // 8])
    ]
    if address.startswith(_WELL_KNOWN):
        found.append(address[12:])
    elif address.startswith(_LOCAL_USE):
        if not found:
            found += _under_local_use(address)
    elif address.startswith(_SIX_TO_FOUR):
        found.append(address[2:6])
    elif address.startswith(_TEREDO):
        # RFC 4380 §4: the server, and the client with every bit turned.
        found += [address[4:8], bytes(octet ^ 0xFF for octet in address[12:])]
    elif address.startswith((_COMPATIBLE, _TRANSLATED)) and address[12:15] != b"\0\0\0":
        found.append(address[12:])  # `::` and `::1` are none
    if address[8:12] in _ISATAP:
        found.append(address[12:])
    return list(dict.fromkeys(found))


def _under_local_use(address: bytes) -> list[bytes]:
    """The address under 64:ff9b:1::/48, whose network may use any prefix in it (RFC 8215 §3).

    What stands behind an embedded address is zero (RFC 6052 §2.2), so the shortest prefix that fits is meant.
    """
    for length in _LOCAL_USE_LENGTHS:
        taken = _taken(address, length)
        # 0.0.0.0/8 is nobody's address, but much of one that is read at the wrong place.
        if taken[0] and not address[8] and not any(address[PLACES[length][3] + 1 :]):
            return [taken]
    return []


def _taken(address: bytes, length: int) -> bytes:
    return bytes([address[place] for place in PLACES[length]])


def found_prefixes(addresses: Iterable[bytes]) -> list[Nat64Prefix]:
    """The NAT64 prefixes that the AAAA records of ipv4only.arpa tell (RFC 7050 §3).

    The well-known prefix, which `carried_addresses` knows, is left out.
    """
    prefixes: dict[Nat64Prefix, None] = {}
    for address in addresses:
        if len(address) != 16 or address.startswith(_WELL_KNOWN):
            continue
        lengths = [length for length in PLACES if _taken(address, length) in _IPV4_ONLY and not address[8]]
        # RFC 7050 §3: an address in which it stands twice tells nothing.
        if len(lengths) == 1:
            octets = address[: lengths[0] // 8]
            prefixes[Nat64Prefix(octets + bytes(16 - len(octets)), lengths[0])] = None
    return list(prefixes)[:NAT64_PREFIXES_MAX]
