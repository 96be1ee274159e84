"""Who asks, and over what.

Knows: the transports, and what the gates need to know of each.  Does not know: sockets, what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from resolver.flow.clients import UNKNOWN, Standing


class Transport(IntEnum):
    """How a query comes in; the native plane has the same numbers and labels."""

    label: str
    """The metric label."""
    is_stream: bool
    """Whether no datagram bounds its messages, and its clients have shown that their address is theirs.

    If not, answers are cut to what the client can take (TC=1), and clients are limited in rate.
    """

    UDP = 0, "udp", False
    TCP = 1, "tcp", True
    TLS = 2, "tls", True
    HTTPS = 3, "https", True
    QUIC = 4, "quic", True
    H3 = 5, "h3", True

    def __new__(cls, number: int, label: str, is_stream: bool) -> Transport:
        member = int.__new__(cls, number)
        member._value_ = number
        member.label = label
        member.is_stream = is_stream
        return member


@dataclass(slots=True, eq=False)
class Peer:
    """One client address on one transport, remembered by a listener between its queries.

    `standing` is `UNKNOWN` until the service looks it up.
    """

    address: bytes
    """Packed address: 4 or 16 octets."""
    transport: Transport
    standing: Standing = UNKNOWN
