"""The one thing forwarding asks of the outside: carry octets to an upstream, and back.

Knows: the words.  Does not know: sockets, DNS beyond the two ID octets in front.

For whoever scripts a network (plays on a fake clock):

* `send_datagram(upstream, octets, receiver)` gets a whole DNS query, ID and mixed-case question
  included, and returns a ticket.  Any number of replies, good or bad, may then be handed to
  `receiver.on_octets(reply)`, at any later time until `ticket.close()`.  A reply after that is the
  network's to drop and count.  The forwarder judges every reply itself, so a script may hand over a
  wrong ID, garbage, a reply to an older question.  Each attempt has its own ticket: a reply "from another
  address or port" is one that the network must not hand over at all (sockets are connected).
* `ask_stream(upstream, octets, receiver)` is the same over TCP, without the length prefix: at most one
  reply, or `receiver.on_error(reason)`.
* Both may return `SendError(reason)` when it is known at once that nothing was sent.
* Never call a receiver from inside `send_datagram` or `ask_stream`; use the clock (delay 0 is fine).
* Reasons are words of `upstream.FAILURE_REASONS`: `network` (refused, unreachable), `stream` (closed or
  broken connection), `no_socket` (out of descriptors), `malformed` (what came is no DNS message); or
  `ABANDONED`; of a `SendError` also `HELD_BACK`.
  After `on_error` the ticket is dead; closing it again does nothing.
* A ticket never closed at the end of a play is a leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from resolver.forwarding.upstream import Upstream

ABANDONED = "abandoned"
"""Why an attempt is lost that nothing can be held against: its upstream is asked again, none the worse."""

MALFORMED = "malformed"
"""Why an attempt is lost whose connection brought octets that are no DNS message of its upstream's."""

HELD_BACK = "held_back"
"""Why nothing was sent: connections came to nothing, and none is begun for a moment (`openings`)."""


class Receiver(Protocol):
    """Who waits for the reply to one attempt."""

    def on_octets(self, octets: bytes) -> None:
        """A datagram or stream message came, which may be anything."""
        ...

    def on_error(self, reason: str, sends: int | None = None) -> None:
        """No reply can come any more.  `sends`: how often the query left; None: as often as it may."""
        ...


class Ticket(Protocol):
    """The right to a reply; `close()` gives it up, is idempotent, and frees the ID."""

    def close(self) -> None: ...


@dataclass(slots=True)
class SendError:
    """Nothing was sent, for `reason`."""

    reason: str


class Network(Protocol):
    """Carries queries to upstreams."""

    def send_datagram(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """Send one UDP query; its ID is unique among those waiting on the socket used."""
        ...

    def ask_stream(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """Send one query over TCP, on a connection that may be shared, reused or new."""
        ...

    def close(self) -> None:
        """Close every socket; receivers hear nothing more."""
        ...
