"""Who asks, and over what.

Knows: the transports, and what the gates need to know of each.  Does not know: sockets, what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    has_keepalive: bool
    """Whether its clients may ask how long a quiet connection is kept (RFC 7828): HTTP and QUIC have words of
    their own for that (RFC 9250 §5.5.2)."""

    UDP = 0, "udp", False, False
    TCP = 1, "tcp", True, True
    TLS = 2, "tls", True, True
    HTTPS = 3, "https", True, False
    QUIC = 4, "quic", True, False
    H3 = 5, "h3", True, False

    def __new__(cls, number: int, label: str, is_stream: bool, has_keepalive: bool) -> Transport:
        member = int.__new__(cls, number)
        member._value_ = number
        member.label = label
        member.is_stream = is_stream
        member.has_keepalive = has_keepalive
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
    is_stream: bool = field(init=False)
    """The transport's; every query asks for it, and a slot is read in a third of the time."""

    def __post_init__(self) -> None:
        self.is_stream = self.transport.is_stream
