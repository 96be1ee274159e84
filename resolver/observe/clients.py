"""How much of a client is shown to those who read records.

Knows: the words of the settings.  Does not know: how an address is encrypted, who reads.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IPV4_NETWORK_BITS: Final = 24
IPV6_NETWORK_BITS: Final = 48
"""How much of an address `network` keeps: a site, not a person."""

_NETWORK_BITS: Final = {4: IPV4_NETWORK_BITS, 16: IPV6_NETWORK_BITS}
"""By the octets of the address."""


@dataclass(frozen=True, slots=True)
class ShownClients:
    """What stands for a client."""

    clients: str
    """`hidden`, `network`, `full` or `encrypted`."""
    encrypt: Callable[[bytes], bytes] | None = None
    """Of a packed address, with `encrypted`."""

    def address(self, address: bytes) -> bytes | None:
        """The packed address that stands for a client's; None: nothing does."""
        if self.clients == "full":
            return address
        if self.clients == "network":
            return network_of(address).network_address.packed
        if self.clients == "encrypted":
            assert self.encrypt is not None
            return self.encrypt(address)
        return None

    def name(self, name: str) -> str:
        """The name that a client gave itself, where it is shown; empty: it is not.

        It tells a device from another, as a whole address does and a network or an encrypted one must not.
        """
        return name if self.clients == "full" else ""

    def text(self, address: bytes) -> str | None:
        """The address as text, a network with its length."""
        if self.clients == "network":
            return str(network_of(address))
        shown = self.address(address)
        return None if shown is None else address_text(shown)


HIDDEN: Final = ShownClients("hidden")


def network_of(address: bytes) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network of a packed address that is shown for it."""
    whole = ipaddress.ip_address(address)
    return ipaddress.ip_network((whole, _NETWORK_BITS[len(address)]), strict=False)


def address_text(packed: bytes) -> str:
    """An address as RFC 5952 writes it, `::ffff:192.0.2.1` included (its section 5)."""
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)
