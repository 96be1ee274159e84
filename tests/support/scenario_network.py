"""Upstreams that say what a play tells them to.

Knows: `resolver.forwarding.network.Network`.  Does not know: DNS, the order of a play.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from resolver.forwarding.network import HELD_BACK, Receiver, SendError
from resolver.forwarding.upstream import Upstream


class Sent:
    """One query on its way to an upstream, and the ticket for its reply."""

    def __init__(self, upstream: Upstream, octets: bytes, receiver: Receiver, is_stream: bool) -> None:
        self.upstream = upstream
        self.octets = octets
        self.receiver = receiver
        self.is_stream = is_stream
        self.is_open = True

    def close(self) -> None:
        """See `Ticket`."""
        self.is_open = False


class ScriptedNetwork:
    """A `Network` without sockets: keeps what was sent until the play says what comes of it."""

    def __init__(self, unreachable: Collection[str] = ()) -> None:
        self._unreachable = frozenset(unreachable)
        self.unhandled: list[Sent] = []
        """In the order sent; the play takes them from here."""
        self.lost: bytes | None = None
        """What leaves and has this in it, in any case, is lost: no play has to handle it."""
        self.sent: list[Sent] = []
        """All of them."""
        self.held_back: set[str] = set()
        """Addresses to which no connection is begun."""
        self.dropped = 0
        """Replies that came when nobody waited for them any more, or from where nobody was asked."""

    def send_datagram(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Sent | SendError:
        """See `Network`."""
        return self._send(upstream, octets, receiver, is_stream=False)

    def ask_stream(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Sent | SendError:
        """See `Network`."""
        return self._send(upstream, octets, receiver, is_stream=True)

    def close(self) -> None:
        """See `Network`."""
        for sent in self.sent:
            sent.close()

    def deliver(self, sent: Sent, octets: bytes) -> bool:
        """Hand a reply to whoever waits for it; False if nobody does."""
        return self._hand_over(sent, lambda: sent.receiver.on_octets(octets))

    def fail(self, sent: Sent, reason: str, sends: int | None = None) -> bool:
        """Break the path to the upstream, to which it left so often; False if nobody cares."""
        return self._hand_over(sent, lambda: sent.receiver.on_error(reason, sends), ends=True)

    def _hand_over(self, sent: Sent, hand: Callable[[], None], *, ends: bool = False) -> bool:
        if not sent.is_open:
            self.dropped += 1
            return False
        # A stream carries one reply; a datagram socket hears whatever comes.
        if ends or sent.is_stream:
            sent.close()
        hand()
        return True

    def _send(
        self, upstream: Upstream, octets: bytes, receiver: Receiver, *, is_stream: bool
    ) -> Sent | SendError:
        if upstream.name in self._unreachable:
            return SendError("network")
        if is_stream and upstream.address in self.held_back:
            return SendError(HELD_BACK)
        sent = Sent(upstream, octets, receiver, is_stream)
        if self.lost is None or self.lost not in octets.lower():
            self.unhandled.append(sent)
        self.sent.append(sent)
        return sent
