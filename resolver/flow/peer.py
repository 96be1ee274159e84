"""Who asks, and over what.

Knows: the transports, and what the gates need to know of each.  Does not know: sockets, what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from resolver.flow.clients import UNKNOWN, Clients, Standing


class Transport(IntEnum):
    """How a query comes in; the native plane has the same numbers and labels."""

    label: str
    """The metric label."""
    is_stream: bool
    """Whether no datagram bounds its messages, and its clients have shown that their address is theirs.

    If not, answers are cut to what the client can take (TC=1), and clients are limited in rate.
    """
    is_encrypted: bool
    """Whether nobody reads along, so that padding hides something (RFC 8467 §3)."""
    has_keepalive: bool
    """Whether the message tells how long its connection may rest (RFC 7828 §3.2, RFC 9250 §5.5.2)."""

    UDP = 0, "udp", False, False, False
    TCP = 1, "tcp", True, False, True
    TLS = 2, "tls", True, True, True
    HTTPS = 3, "https", True, True, False
    QUIC = 4, "quic", True, True, False
    H3 = 5, "h3", True, True, False

    def __new__(
        cls, number: int, label: str, is_stream: bool, is_encrypted: bool, has_keepalive: bool
    ) -> Transport:
        member = int.__new__(cls, number)
        member._value_ = number
        member.label = label
        member.is_stream = is_stream
        member.is_encrypted = is_encrypted
        member.has_keepalive = has_keepalive
        return member


TRANSPORTS: Final = tuple(Transport)
"""By their numbers."""


@dataclass(slots=True, eq=False)
class Peer:
    """One client address on one transport, remembered by a listener between its queries.

    `standing` is `UNKNOWN` until the service looks it up.
    """

    address: bytes
    """Packed address: 4 or 16 octets."""
    transport: Transport
    standing: Standing = UNKNOWN
    name: str = ""
    """The one it gave itself (`client_names`): an identity for people, of which nobody has proof."""
    is_stream: bool = field(init=False)
    """The transport's; every query asks for it, and a slot is read in a third of the time."""

    def __post_init__(self) -> None:
        self.is_stream = self.transport.is_stream

    def recognise(self, clients: Clients) -> None:
        """Look up its standing.  Who may not ask has no name: it would fill the logs with made-up ones."""
        self.standing = clients.standing(self.address)
        if not self.standing.is_allowed:
            self.name = ""
