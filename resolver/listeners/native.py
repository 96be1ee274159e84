"""The native plane's sockets: what it cannot decide comes here, and the answers go back through it.

Knows: the plane's events, the clients behind them.  Does not know: why an answer is what it is; threads.
Theory: the plane reads and answers on threads of its own.  A query that it leaves to Python, and a
question whose first attempt came to no simple end, wait as events behind one readable descriptor.
They are drained in bounded turns.  While one of its threads is down, ordinary listeners serve
that thread's sockets.  A client on a stream is told in any case what became of its query, and be it nothing:
its connection counts the queries that wait.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from resolver.clock import Clock
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import TRANSPORTS, Peer, Transport
from resolver.flow.proxies import NO_PROXIES, Proxies
from resolver.flow.route import NativeRoute
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.steps import Attempt
from resolver.forwarding.upstream import Upstream
from resolver.listeners.address import SocketAddress
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.listeners.udp import PEERS_MAX, UdpListener
from resolver.plane import Handover, Plane, Waiting, WaitingFields
from resolver.wire.question import Question

EVENTS_PER_TURN_MAX = 256
"""Events per turn of the loop: TCP, timers and upstream answers get their turn after them."""

WAITERS_PER_TURN_MAX = 256
"""Clients of one question taken over per turn: some 5 ms of work."""

LAST_TURNS_MAX = 64
"""Turns spent on events that wait when the listener closes."""

_UDP = Transport.UDP

_log = logging.getLogger(__name__)


class BoundSocket(NamedTuple):
    """One bound socket of one of the plane's threads."""

    address: SocketAddress
    sock: socket.socket

    @property
    def fields(self) -> tuple[int, bool, bool]:
        """What the plane gets: descriptor, whether it is IPv6, whether to carry the address asked."""
        return self.sock.fileno(), self.sock.family == socket.AF_INET6, self.address.is_wildcard


class NativeListener:
    """Serves what `plane` leaves to Python.

    `bound_sockets`: the plane's sockets, worker by worker; they stay the caller's.
    `streams`: for each of its threads with streams the listeners of the same sockets, which do not accept;
    they stay the caller's.
    `upstreams`: by their number.
    `before_handovers` and `after_turn` are called around a turn's work, `on_handover` with the number of the
    upstream and the reason of each, for the exchange of what each plane knows of the upstreams.
    """

    def __init__(
        self,
        plane: Plane,
        bound_sockets: Sequence[Sequence[BoundSocket]],
        service: Service,
        forwarder: Forwarder,
        upstreams: Sequence[Upstream],
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        streams: Sequence[Sequence[StreamListener]] = (),
        before_handovers: Callable[[], None] = lambda: None,
        on_handover: Callable[[int, str], None] = lambda number, reason: None,
        after_turn: Callable[[], None] = lambda: None,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        self._proxies = proxies
        self._plane = plane
        self._bound_sockets = bound_sockets
        self._service = service
        self._forwarder = forwarder
        self._upstreams = upstreams
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._before_handovers = before_handovers
        self._tell_handover = on_handover
        self._after_turn = after_turn
        self._peers: list[dict[bytes, Peer]] = [{} for _ in Transport]
        """By transport and address."""
        self._tickets: dict[int, Attempt] = {}
        self._covers: dict[int, list[UdpListener]] = {}
        self._streams = streams
        self._starting: set[asyncio.Task[None]] = set()
        self._is_stopping = self._is_closed = self._is_alone = False
        self._fd = -1
        self._events: dict[str, Callable[..., None]] = {
            "query": self._on_query,
            "handover": self._on_handover,
            "late": self._on_late,
            "broken": self._on_broken,
            "down": self._on_down,
            "up": self._on_up,
            "stream_down": self._on_stream_down,
            "stream_up": self._on_stream_up,
        }
        self.taken_over = 0
        """Clients taken over with their question."""

    @property
    def covered(self) -> int:
        """Threads of the plane that Python stands in for now."""
        covered = sum(1 for covers in self._covers.values() if covers and covers[0].is_reading)
        return covered + sum(any(cover.is_accepting for cover in covers) for covers in self._streams)

    def start(self) -> None:
        """Let the plane begin to answer, and read its events."""
        self._plane.start()
        self._forwarder.other_plane = self
        self._fd = self._plane.fileno()
        self._loop.add_reader(self._fd, self._on_readable)

    def stop_reading(self) -> None:
        """Take no more queries; who waits is still answered."""
        self._is_stopping = True
        self._plane.stop_reading()
        for covers in self._covers.values():
            for cover in covers:
                cover.stop_reading()

    def close(self) -> None:
        """Answer what waits here, then end the plane's threads and close what Python opened for them."""
        self._is_closed = True
        self._forwarder.other_plane = None
        self._loop.remove_reader(self._fd)
        try:
            for _ in range(LAST_TURNS_MAX):
                if not self._turn():
                    break
        finally:
            self._plane.close()
            for covers in self._covers.values():
                for cover in covers:
                    cover.close()
            self._tickets.clear()

    def serve_all_sockets(self) -> None:
        """Serve every socket from Python for good, beside the plane or in its place."""
        self._is_alone = True
        for worker in range(len(self._bound_sockets)):
            self._on_down(worker)
        for thread in range(len(self._streams)):
            self._on_stream_down(thread)

    def _on_readable(self) -> None:
        if self._turn() == EVENTS_PER_TURN_MAX:
            # There may be more, and the descriptor need not say so twice.
            self._loop.call_soon(self._on_readable_again)

    def _on_readable_again(self) -> None:
        if not self._is_closed:
            self._on_readable()

    def _turn(self) -> int:
        """Work off the events that wait, a bounded number of them; how many there were."""
        events = self._plane.drain(EVENTS_PER_TURN_MAX)
        if any(event[0] == "handover" for event in events):
            # What succeeded up to now says how much a failure means.
            self._before_handovers()
        for word, *fields in events:
            try:
                self._events[word](*fields)
            except Exception:
                # A defect of ours must cost one event, not the turn; it is counted and shown.
                octets = fields[0] if fields and isinstance(fields[0], bytes) else b""
                self._reporter.count_defect(_log, f"native event {word!r}", octets)
                if word == "query":
                    self._drop(fields[2], TRANSPORTS[fields[3]], close=False)
        self._after_turn()
        return len(events)

    # Queries that the plane leaves to Python.

    def _on_query(
        self, octets: bytes, address: bytes, route: NativeRoute, transport: int, name: str = ""
    ) -> None:
        now = self._clock.now()
        peer = self._peers[transport].get(address) or self._peer_of(address, transport)
        if name:
            peer = Peer(address, TRANSPORTS[transport], name=name)
        if self._is_alone:
            # What the plane's threads still read until they see the signal, they leave to us unseen.
            outcome = self._service.answer_now(octets, peer, now)
        else:
            outcome = self._service.answer_punted(octets, peer, now, now)
        self._dispose(outcome, peer, octets, route, now)

    def _dispose(
        self, outcome: Respond | Drop | Ask, peer: Peer, octets: bytes, route: NativeRoute, asked_at: float
    ) -> None:
        if type(outcome) is Ask:
            outcome.route = route
            self._service.resolve(outcome, self._on_resolved)
        else:
            assert not isinstance(outcome, Ask)
            self._settle(outcome, peer, octets, route, asked_at)

    def _on_resolved(self, ask: Ask, outcome: Respond | Drop) -> None:
        assert isinstance(ask.route, NativeRoute)
        self._settle(outcome, ask.peer, ask.query.octets, ask.route, ask.asked_at)

    def _settle(
        self, outcome: Respond | Drop, peer: Peer, octets: bytes, route: NativeRoute, asked_at: float
    ) -> None:
        self._reporter.settle(peer.transport, peer, octets, outcome, self._clock.now() - asked_at)
        if type(outcome) is Respond:
            self._plane.send(route, octets[:2] + outcome.tail)
        elif type(outcome) is Drop:
            self._drop(route, peer.transport, close=outcome.close)

    def _drop(self, route: NativeRoute, transport: Transport, *, close: bool) -> None:
        if transport is not _UDP:
            self._plane.drop(route, close=close)

    def _peer_of(self, address: bytes, transport: int) -> Peer:
        peers = self._peers[transport]
        if len(peers) >= PEERS_MAX:
            peers.clear()
        peer = peers[address] = Peer(address, TRANSPORTS[transport])
        return peer

    # Questions that the plane has asked.

    def _on_handover(self, fields: tuple[Any, ...]) -> None:
        handover = Handover(*fields)
        ticket = handover.ticket
        self._tell_handover(handover.upstream, handover.reason)

        def release(_: object) -> None:
            # Until now the plane sends whoever asks the same to us, and so no second query leaves.
            self._plane.close_ticket(ticket)

        attempt = self._forwarder.adopt(handover, self._upstreams[handover.upstream], release)
        if attempt is None:
            self._plane.close_ticket(ticket)
        else:
            attempt.ticket = _PlaneTicket(self._tickets, ticket)
            self._tickets[ticket] = attempt
        self._take_over(handover.waiters, lambda: self._go_on(handover, attempt))

    def _go_on(self, handover: Handover, attempt: Attempt | None) -> None:
        if attempt is not None:
            self._forwarder.go_on(attempt, handover.octets, handover.reason, handover.sends)

    def _take_over(self, waiters: Sequence[WaitingFields], then: Callable[[], None], start: int = 0) -> None:
        """Let those who wait join the question from number `start` on, a crowd in turns; then call `then`."""
        # When it closes there are no more turns.
        end = len(waiters) if self._is_closed else start + WAITERS_PER_TURN_MAX
        forwarder = self._forwarder
        coalesced = forwarder.coalesced
        for fields in waiters[start:end]:
            self._join_waiter(Waiting(*fields))
        forwarder.coalesced = coalesced  # The plane counted those who joined when they did.
        if end < len(waiters):
            self._clock.call_later(0.0, lambda: self._take_over(waiters, then, end))
        else:
            then()

    def _join_waiter(self, waiting: Waiting) -> None:
        octets, address, route, asked_at, transport, name = waiting
        self.taken_over += 1
        try:
            peer = self._peers[transport].get(address) or self._peer_of(address, transport)
            if name:
                peer = Peer(address, TRANSPORTS[transport], name=name)
            outcome = self._service.answer_punted(octets, peer, asked_at, self._clock.now())
            self._dispose(outcome, peer, octets, route, asked_at)
        except Exception:
            # One client's defect must not rob the others of their answer.
            self._reporter.count_defect(_log, "answer_punted", octets)
            self._drop(route, TRANSPORTS[transport], close=False)

    def _on_late(self, ticket: int, octets: bytes) -> None:
        attempt = self._tickets.get(ticket)
        if attempt is not None:
            attempt.on_octets(octets)

    def _on_broken(self, ticket: int, reason: str, sends: int | None) -> None:
        attempt = self._tickets.pop(ticket, None)
        if attempt is not None:
            attempt.on_error(reason, sends)

    # Questions that Python asks by itself; see `forwarder.NativeClaims`.

    def claim(self, question: Question) -> Sequence[WaitingFields] | None:
        return self._plane.claim(question)

    def join_waiters(self, waiters: Sequence[WaitingFields]) -> None:
        self._take_over(waiters, lambda: None)

    def release(self, question: Question) -> None:
        self._plane.release(question)

    # Threads that are down.

    def _on_down(self, worker: int) -> None:
        if self._is_stopping:
            return
        covers = self._covers.get(worker)
        if covers is None:
            covers = self._covers[worker] = [
                UdpListener(
                    bound.address,
                    self._service,
                    self._reporter,
                    self._clock,
                    self._loop,
                    sock=bound.sock.dup(),
                    proxies=self._proxies,
                )
                for bound in self._bound_sockets[worker]
            ]
        for cover in covers:
            cover.start()

    def _on_up(self, worker: int) -> None:
        if self._is_alone:
            return  # a thread that began anew reads no more than it did
        # They stay open: answers that clients wait for still leave through them.
        for cover in self._covers.get(worker, ()):
            cover.stop_reading()

    def _on_stream_down(self, thread: int) -> None:
        if self._is_stopping:
            return
        for cover in self._streams[thread]:
            task = self._loop.create_task(cover.start(), name="cover-streams")
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _on_stream_up(self, thread: int) -> None:
        if self._is_alone:
            return
        # Who is connected here stays.
        for cover in self._streams[thread]:
            cover.stop_accepting()


class _PlaneTicket:
    """See `network.Ticket`: once closed, nothing that comes for its attempt counts."""

    __slots__ = ("_number", "_open")

    def __init__(self, tickets: dict[int, Attempt], number: int) -> None:
        self._open = tickets
        self._number = number

    def close(self) -> None:
        self._open.pop(self._number, None)
