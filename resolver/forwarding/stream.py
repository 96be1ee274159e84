"""Connections to upstreams over TCP, TLS and HTTPS: shared, pipelined, kept for a while, bounded.

Knows: connections and who gets which, what carries them.  Does not know: why a question goes over a stream,
whether a reply is good, when a connection is overdue (`pipeline`), whom to trust (`tls_terms`).

Theory (RFC 7766): many queries share a connection and are answered in any order, matched by ID.  A
server may close a connection at any time, so when one that has served before breaks, its unanswered queries
are sent once more, on a new one.  When that breaks, too, they are abandoned: whoever asked may ask again.
Some servers give a few answers on a connection and close it, however many queries have come: how many is
learnt, further connections get no more than that, and who finds none free waits for one.
A handshake that lost a packet holds nobody: the connection that opens first takes those that wait for others.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.bounds import ANSWERS_LATELY_S
from resolver.forwarding.connection import Connection
from resolver.forwarding.dialling import dial
from resolver.forwarding.https_connection import HttpsConnection
from resolver.forwarding.network import ABANDONED, HELD_BACK, MALFORMED, SendError, Ticket
from resolver.forwarding.network import Receiver as Receiver
from resolver.forwarding.oddities import ANSWERS_UNLIMITED
from resolver.forwarding.openings import Openings
from resolver.forwarding.pipeline import Holder, StreamTicket
from resolver.forwarding.tls_terms import TlsBook
from resolver.forwarding.tls_transport import TlsTransport
from resolver.forwarding.upstream import Upstream

CONNECTIONS_PER_UPSTREAM_MAX = 8
ALONE_PER_UPSTREAM_MAX = 4
"""Connections to one upstream, up to which a question is given one of its own."""

OVERDUE_PER_UPSTREAM_MAX = 8
"""Connections kept besides, because somebody still waits for a slow answer there."""

QUERIES_BEFORE_NEW_CONNECTION = 16
"""A connection with this many unanswered queries is joined only if no other may be opened."""

QUEUED_MAX = 1024
"""Queries that wait for a connection to an upstream that gives few answers on each; more fail at once."""

SENDS_MAX = 2
"""How often one query is sent, in all: `bounds.STREAM_COST` counts on it."""

BROKEN_WAYS = ("stream", "tls")
"""How connections end that may do better when they are opened again."""

PATIENCE_FACTOR = 2
"""A query over TCP has so many times the time of one over UDP: a connection may have to be opened first."""

PATIENCE_S_MAX = 1.0
"""And no more than this, as `bounds.STREAM_TIMEOUT_S_MAX`: who asks again must find another one."""


class AddressBook(Protocol):
    """Knows where upstreams are that are named by a host name alone (`bootstrap.Bootstrap`)."""

    async def find(self, upstream: Upstream) -> bool:
        """Wait until `upstream.addresses` has some; False: there are none for now."""
        ...


class StreamCounts:
    """Counters of all connections, plain ints."""

    __slots__ = ("broken", "held_back", "opened", "retried", "reused", "unexpected")

    def __init__(self) -> None:
        self.opened = 0
        self.reused = 0
        """Queries that found an open connection."""
        self.broken = 0
        """Connections that failed, fell silent or were closed while queries waited."""
        self.held_back = 0
        """Queries that were not sent, for connections came to nothing just now."""
        self.retried = 0
        self.unexpected = 0
        """Messages that match no query of their connection."""


class Streams:
    """The connections to all upstreams."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, tls: TlsBook | None = None) -> None:
        self._loop = loop
        self.clock = clock
        self.tls = tls or TlsBook()
        self.address_book: AddressBook | None = None
        """None: nobody resolves host names of upstreams."""
        self.on_ready: list[Callable[[Connection], None]] = []
        """Called with each connection on which queries can be sent."""
        self.counts = StreamCounts()
        self._pools: dict[Upstream, _Pool] = {}
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        """Connections open or opening."""
        return sum(len(pool.connections) for pool in self._pools.values())

    @property
    def queued(self) -> int:
        """Queries that wait for a connection."""
        return sum(len(pool.queue) for pool in self._pools.values())

    def ask(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """See `network.Network.ask_stream`."""
        ticket = StreamTicket(octets, receiver)
        pool = self._pools.get(upstream)
        if pool is None:
            pool = self._pools[upstream] = _Pool(self, upstream)
        if not self._is_closed and pool.place(ticket):
            return ticket
        if pool.is_pausing:
            self.counts.held_back += 1
            return SendError(HELD_BACK)
        return SendError("stream")

    def close(self) -> None:
        """Close every connection; receivers hear nothing."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def dial(self, connection: Connection) -> asyncio.Task[None]:
        """Begin to open a connection."""
        return self._loop.create_task(self._dial(connection))

    def open_connections_to(self, upstream: Upstream) -> int:
        """Connections to this upstream, open or opening."""
        pool = self._pools.get(upstream)
        return 0 if pool is None else len(pool.connections)

    async def _dial(self, connection: Connection) -> None:
        upstream = connection.upstream
        if not upstream.addresses and (
            self.address_book is None or not await self.address_book.find(upstream)
        ):
            connection.on_not_connected("bootstrap", f"no address of {upstream.host} was found")
            return
        try:
            if len(upstream.addresses) == 1:
                [connection.address] = upstream.addresses
                protocol = self._protocol_for(connection)
                await self._loop.create_connection(lambda: protocol, connection.address, upstream.port)
                return
            sock, connection.address = await dial(self._loop, upstream.addresses, upstream.port)
            upstream.prefer_address(connection.address)
            try:
                protocol = self._protocol_for(connection)
                await self._loop.create_connection(lambda: protocol, sock=sock)
            except BaseException:
                sock.close()
                raise
        except ssl.SSLError as error:
            connection.on_not_connected("tls", f"the authorities cannot be read: {error.reason}")
        except OSError:
            connection.on_not_connected()

    def _protocol_for(self, connection: Connection) -> asyncio.Protocol:
        """What the socket of `connection` talks to."""
        upstream = connection.upstream
        if not upstream.is_encrypted:
            return connection
        return TlsTransport(connection, self.tls.terms_of(upstream), connection.address, self.clock)


class _Pool(Holder):
    """The connections to one upstream; see `connection.Owner`."""

    def __init__(self, streams: Streams, upstream: Upstream) -> None:
        self.streams = streams
        self.upstream = upstream
        self.clock = streams.clock
        self.counts = streams.counts
        self.bodies_octets = 0
        self.connections: list[Connection] = []
        self.queue: dict[StreamTicket, None] = {}
        """In the order they came."""
        self._answers_before = 0
        """Given on the last connection that ended with queries left."""
        self._openings = Openings()
        self.is_pausing = False
        """Whether the last connection that was wanted was not begun, because others came to nothing."""
        self._after_pause: TimerHandle | None = None
        self._ending: set[Connection] = set()
        """They make room for others in a moment."""
        self._is_closed = False

    def place(self, ticket: StreamTicket, *, on_new: bool = False, alone: bool = False) -> bool:
        """Send a query, or let it wait for a connection; False: there is no room."""
        now = self.clock.now()
        self.is_pausing = False
        if alone or not self.queue:
            connection = self._open_for_one(now) if alone else self._choose(ticket.query_id, now, on_new)
            if connection is not None:
                self._give(connection, ticket, now)
                return True
            if alone or self._limit(now) == ANSWERS_UNLIMITED or self.is_pausing:
                return False
        if len(self.queue) >= QUEUED_MAX or self._is_closed:
            return False
        self.queue[ticket] = None
        ticket.pipeline = self
        self.on_room()
        return True

    def give_up(self, ticket: StreamTicket) -> None:
        """See `Holder`: it waited for a connection."""
        self.queue.pop(ticket, None)

    def close(self) -> None:
        """Close every connection; receivers hear nothing."""
        self._is_closed = True
        self.queue.clear()
        if self._after_pause is not None:
            self._after_pause.cancel()
        for connection in [*self.connections, *self._ending]:
            connection.take_all()
            connection.shut()

    # Connections say:

    def count_unexpected(self) -> None:
        """A message came that matches no query."""
        self.counts.unexpected += 1

    def on_first_answer(self) -> None:
        """See `connection.Owner`."""
        self._openings.come_to_something()

    def on_room(self) -> None:
        """A connection ended or has room again: those in the queue may have their turn."""
        while self.queue and not self._is_closed:
            now = self.clock.now()
            ticket = next(iter(self.queue))
            connection = self._choose(ticket.query_id, now, False)
            if connection is None:
                if self.is_pausing and not self.connections and self._after_pause is None:
                    # Nothing that ends will make room for those in the queue.
                    pause_s = self._openings.paused_until - now
                    self._after_pause = self.clock.call_later(max(pause_s, 0.0), self._on_pause_over)
                return
            del self.queue[ticket]
            self._give(connection, ticket, now)

    def _on_pause_over(self) -> None:
        self._after_pause = None
        self.on_room()

    def on_end(self, connection: Connection, reason: str, *, by_peer: bool) -> None:
        """It is closed; what it leaves unanswered goes elsewhere or fails for `reason`."""
        if connection in self.connections:
            self.connections.remove(connection)
        self._ending.discard(connection)
        now = self.clock.now()
        answers = connection.answers_lost() if by_peer else None
        if self.upstream.is_encrypted:
            answers = self._same_as_before(answers)
        if answers is not None:
            self.upstream.oddities.limit_answers(answers, now)
        # Whose garbage it is cannot be told where several waited: then each is asked again, alone.
        is_somebodys = reason == MALFORMED and connection.live > 1
        if is_somebodys:
            self.upstream.on_refusal(reason, now)
        is_blameless = is_somebodys or (
            reason != MALFORMED and (answers is not None or connection.answered > 0 or reason == ABANDONED)
        )
        is_broken = connection.is_overdue(now)
        if is_broken and not connection.answered:
            self.upstream.turn_addresses(bad=connection.address)
        came_to_nothing = connection.waiting or connection.ready_at < connection.began_at
        if came_to_nothing and not (connection.answered or reason == ABANDONED):
            self._openings.fail(connection.began_at, now)
        tickets = connection.take_all()
        if tickets or is_broken:
            self.counts.broken += 1
        # A new connection may break, too, for no fault of an upstream that has just answered on others.
        is_well = reason in BROKEN_WAYS and now - self.upstream.answered_at < ANSWERS_LATELY_S
        for ticket in tickets:
            once_more = is_blameless or is_well
            self.send_again(
                ticket, reason, is_blameless=is_blameless, once_more=once_more, alone=is_somebodys
            )
        self.on_room()

    def _same_as_before(self, answers: int | None) -> int | None:
        """`answers` if the connection before gave as many, else None: a break comes after any number.

        Whoever has TLS can be cut off with it, by a bad way or a middlebox, and looks as if it had closed.
        """
        before, self._answers_before = self._answers_before, answers or self._answers_before
        return answers if answers and answers == before else None

    def send_again(
        self,
        ticket: StreamTicket,
        reason: str,
        *,
        is_blameless: bool,
        once_more: bool,
        alone: bool = False,
    ) -> None:
        """A query that was not answered goes to another connection, or fails for `reason`.

        `alone`: to one of its own, or it has to come again when there is room for that.
        """
        receiver = ticket.receiver
        if receiver is None:
            return  # given up because of what another one heard just now
        if once_more and ticket.sends < SENDS_MAX and self.place(ticket, on_new=True, alone=alone):
            self.counts.retried += 1
            return
        ticket.receiver = None
        if alone:
            reason = HELD_BACK
        elif is_blameless:
            reason = ABANDONED
        receiver.on_error(reason, ticket.left)

    def on_ready(self, connection: Connection) -> None:
        """Queries can be sent on it, and those that wait for others to be open need wait no longer."""
        now = self.clock.now()
        room = QUERIES_BEFORE_NEW_CONNECTION - len(connection.waiting)
        for other in self.connections:
            if other.ready_at < other.began_at:
                for ticket in other.unsent_for(connection, room, now):
                    connection.add(ticket, now, self._patience_s())
                    room -= 1
        for tell in self.streams.on_ready:
            tell(connection)

    # Which connection.

    def _limit(self, now: float) -> int:
        return self.upstream.oddities.answers_per_connection(now)

    def _choose(self, query_id: int, now: float, on_new: bool) -> Connection | None:
        """The connection for one more query: an open one with few of them, a new one, or any with room."""
        limit = self._limit(now)
        usable = [c for c in self.connections if c.takes(query_id, now) and c.taken < limit]
        best = min(usable, key=lambda c: len(c.waiting), default=None)
        good = [c for c in usable if not c.is_late(now) and not (on_new and c.answered)]
        for chosen in sorted(good, key=lambda c: len(c.waiting))[:1]:
            if len(chosen.waiting) < QUERIES_BEFORE_NEW_CONNECTION:
                self.counts.reused += not on_new
                return chosen
        return self._open(now) or best

    def _open_for_one(self, now: float) -> Connection | None:
        """A connection that takes one query, while there are few: the others keep room for theirs."""
        return self._open(now, 1) if len(self.connections) < ALONE_PER_UPSTREAM_MAX else None

    def _open(self, now: float, answers_max: int | None = None) -> Connection | None:
        self.is_pausing = False
        if self._is_closed:
            return None
        opening = sum(1 for c in self.connections if c.ready_at < c.began_at and not c.is_late(now))
        if not self._openings.allow(opening, now):
            self.is_pausing = True
            return None
        overdue = [c for c in self.connections if c.is_overdue(now)]
        if len(self.connections) - len(overdue) >= CONNECTIONS_PER_UPSTREAM_MAX:
            return None
        if len(overdue) >= OVERDUE_PER_UPSTREAM_MAX:
            oldest = min(overdue, key=Connection.overdue_at)
            self.connections.remove(oldest)
            self._ending.add(oldest)
            # Not from inside `ask`: who waits there hears of it at once.
            self.clock.call_later(0.0, oldest.shut)
        kind = HttpsConnection if self.upstream.scheme == "https" else Connection
        connection = kind(self, answers_max or self._limit(now))
        self.connections.append(connection)
        self.counts.opened += 1
        connection.dialling = self.streams.dial(connection)
        return connection

    def _give(self, connection: Connection, ticket: StreamTicket, now: float) -> None:
        connection.send(ticket, now, self._patience_s())

    def _patience_s(self) -> float:
        return min(self.upstream.attempt_timeout_s() * PATIENCE_FACTOR, PATIENCE_S_MAX)
