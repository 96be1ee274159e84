"""What clients may connect to, and which connections are open: part of the read model.

Knows: the words for these numbers.  Does not know: who counts them, who shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

STREAM_TRANSPORTS: Final = ("tcp", "tls", "https")
"""Over which clients have connections."""

LISTENING: Final = tuple(
    (transport, engine) for transport in ("udp", *STREAM_TRANSPORTS) for engine in ("native", "python")
)
"""What an address may be listened on over, and which engine may serve it."""


@dataclass(slots=True, frozen=True)
class ConnectionFacts:
    """Connections of clients that are open now."""

    tcp: int = 0
    """Over TCP, TLS and HTTPS."""
    tcp_octets: int = 0
    """Octets that they hold, as last noted."""
    http: int = 0
    by_transport: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STREAM_TRANSPORTS, 0))
    """Those of `tcp`, each transport apart."""
    addresses: Mapping[tuple[str, str], int] = field(default_factory=lambda: dict.fromkeys(LISTENING, 0))
    """Listened on now: one of `LISTENING` -> how many."""
