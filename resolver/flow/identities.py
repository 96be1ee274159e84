"""How listeners learn who asks, beside the address that is connected.

Knows: which proxies speak for others, where clients name themselves.  Does not know: sockets, HTTP, TLS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resolver.flow.client_names import NO_NAMES, ClientNames
from resolver.flow.clients import NO_NETWORKS, Networks
from resolver.flow.forwarded import client_behind
from resolver.flow.proxies import NO_PROXIES, Proxies


@dataclass(frozen=True, slots=True)
class Identities:
    """What the settings say of it; by default everybody is who is connected, and has no name."""

    proxies: Proxies = NO_PROXIES
    """Who must send a head of the PROXY protocol."""
    names: ClientNames = NO_NAMES
    trusted_proxies: Networks = NO_NETWORKS
    """Whose `Forwarded` and `X-Forwarded-For` are believed."""

    def client_behind(
        self, peer: bytes, forwarded: Sequence[bytes], x_forwarded_for: Sequence[bytes]
    ) -> bytes:
        """See `forwarded.client_behind`."""
        return client_behind(peer, forwarded, x_forwarded_for, self.trusted_proxies)


PLAIN = Identities()
"""Where nobody speaks for another, and nobody has a name."""
