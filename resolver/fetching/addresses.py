"""Which addresses a list may be fetched from: those of the Internet.

Knows: address blocks.  Does not know: names, sockets.
Whoever writes a list's URL, or answers DNS for its host, or sends a redirect, must not make this
machine talk to itself, to its neighbours, or to a cloud's metadata service (SSRF).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")
"""RFC 6052 §2.1: an IPv4 address in its last 32 bits."""
_NEVER = tuple(
    ip_network(text)
    for text in (
        # Older Pythons call parts of these global.
        "0.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "100::/64",
        "3fff::/20",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        # Azure's metadata and DNS service: a public address that answers from within.
        "168.63.129.16/32",
    )
)


def is_on_the_internet(address: Address) -> bool:
    """Whether an address is a public unicast one, and so is the IPv4 address inside it, if there is one."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        # `64:ff9b::/96` and its like are judged by what they lead to.
        if not (isinstance(address, IPv6Address) and _inner(address) is not None):
            return False
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    inner = _inner(address) if isinstance(address, IPv6Address) else None
    return inner is None or is_on_the_internet(inner)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one may end up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if not int(address) >> 32 and int(address) > 0xFFFF:
        return IPv4Address(int(address))  # The old "IPv4-compatible" form, ::192.0.2.1.
    return None
