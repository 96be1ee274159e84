"""Many connected UDP sockets per upstream, so that no forger knows which port to aim at.

Knows: sockets, IDs in use on each socket.  Does not know: what the octets say beyond the
ID; whether a reply is good (the receiver judges that); which ports there are.

Theory: each query leaves from a socket picked at random among the pool's window, of `base` sockets
(RFC 5452 §9.2); connected, so the kernel drops whatever comes from elsewhere.  The window moves on by one
socket in every `QUERIES_PER_REST` queries: the oldest goes to rest, and one that rested for `REST_STEPS_MIN`
steps comes in, or a fresh one while none has.  Where there may be no more sockets, the oldest is closed
instead.  So 100,000 queries leave from 20,000 ports and more, and most of them cost no more than a window
that stands still.  A pool that is asked much stocks up on fresh ones beforehand.  All sockets sit in one
epoll set, itself one readable descriptor in the event loop: a raw `send` and `recv` cost a third of an
asyncio transport.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from resolver.forwarding.network import Receiver, SendError, Ticket
from resolver.forwarding.source_ports import ANY_PORTS, SourcePorts
from resolver.forwarding.upstream import Upstream

if TYPE_CHECKING:
    from resolver.clock import Clock
    from resolver.forwarding.entropy import Entropy

QUERIES_PER_REST = 5
"""Queries from one step of the window to the next, where the step brought in a socket that had rested."""

QUERIES_PER_FRESH = 4
"""The same where it brought in a fresh one: chance gives some a port that was used not long ago."""

REST_STEPS_MIN = 19_400
"""Steps that a socket rests at least."""

REST_MORE_PART = 5
"""The more by one step for each so many that the pool has fewer."""

STEPS_PER_LOOK = 1024
"""Steps after which a pool looks how much it is asked."""

CLOSED_PER_STEP_MAX = 8
"""Old sockets closed in one step, at most."""

SOCKET_AGE_S_MAX = 300.0
RECEIVE_OCTETS = 4096
"""We advertise 1232; an upstream that ignores it still gets through."""

EVENTS_PER_WAKE_MAX = 256
"""Sockets read per event loop round: others have work to do, too."""

DATAGRAMS_PER_EVENT_MAX = 8
"""Datagrams read from one socket before the next socket's turn."""

ORPHANS_PER_SOCKET_MAX = 16
"""IDs remembered per socket whose reply may still come late."""

BIND_TRIES = 16
"""Random ports tried before the kernel chooses."""

PICK_TRIES = 8
"""Sockets tried for one on which the query's ID is not in use already."""

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""The machine's trouble, not the upstream's."""

_NONE: dict[int, Any] = {}
"""Never written to: most sockets rest, and have no use for tables of their own."""


class UdpCounts:
    """Counters of all pools, plain ints."""

    __slots__ = ("late", "open_failures", "opened", "send_drops", "unexpected")

    def __init__(self) -> None:
        self.opened = self.open_failures = 0
        self.late = 0
        """Replies to queries no longer waited for."""
        self.unexpected = 0
        """Datagrams that match no query of their socket: forgeries, or a broken upstream."""
        self.send_drops = 0
        """Queries the kernel had no room for; they count as lost on the way."""


class _Slot:
    """One connected socket and the queries waiting on it."""

    __slots__ = ("_all", "fd", "is_retired", "orphans", "pending", "retire_at", "sock")

    def __init__(self, slots: dict[int, _Slot], sock: socket.socket, retire_at: float) -> None:
        self._all = slots
        self.sock = sock
        self.fd = sock.fileno()
        self.retire_at = retire_at
        self.is_retired = False
        """No longer picked; closed when nobody waits here."""
        self.pending: dict[int, _DatagramTicket] = _NONE
        self.orphans: dict[int, None] = _NONE
        """IDs given up before their reply came, oldest first."""

    def dispatch(self, octets: bytes, counts: UdpCounts) -> None:
        """Hand a datagram to whom its ID names, or else to all who wait here: one of them is under attack."""
        query_id = (octets[0] << 8 | octets[1]) if len(octets) >= 2 else -1
        ticket = self.pending.get(query_id)
        if ticket is not None:
            ticket.is_heard = True
            ticket.receiver.on_octets(octets)
        elif query_id in self.orphans:
            del self.orphans[query_id]
            counts.late += 1
        else:
            counts.unexpected += 1
            for ticket in list(self.pending.values()):
                ticket.receiver.on_octets(octets)

    def break_all(self, reason: str) -> None:
        """Tell everyone who waits here that nothing will come."""
        tickets = list(self.pending.values())
        self.pending = _NONE
        for ticket in tickets:
            ticket.receiver.on_error(reason)
        if self.is_retired:
            self.shut()

    def retire(self) -> None:
        """Take no more queries; close when the last one has gone."""
        self.is_retired = True
        if not self.pending:
            self.shut()

    def shut(self) -> None:
        """Close the socket."""
        if self._all.pop(self.fd, None) is not None:
            self.sock.close()


class _DatagramTicket:
    """See `network.Ticket`."""

    __slots__ = ("is_heard", "query_id", "receiver", "slot")

    # Filled in by `UdpPool.send`, once per query: a call of `__init__` would cost more than the fields.
    slot: _Slot
    query_id: int
    receiver: Receiver
    is_heard: bool

    def close(self) -> None:
        slot = self.slot
        pending = slot.pending
        if pending.get(self.query_id) is self:
            del pending[self.query_id]
            if not pending:
                slot.pending = _NONE
            if not self.is_heard:
                # Its late reply must not look like an attack on the socket's next query.
                orphans = slot.orphans = slot.orphans or {}
                orphans[self.query_id] = None
                if len(orphans) > ORPHANS_PER_SOCKET_MAX:
                    del orphans[next(iter(orphans))]
            if slot.is_retired and not pending:
                slot.shut()


class UdpPools:
    """The pools of all upstreams, and the one epoll set they share."""

    def __init__(self, clock: Clock, entropy: Entropy, ports: SourcePorts = ANY_PORTS) -> None:
        self._clock = clock
        self._entropy = entropy
        self._ports = ports
        self._pools: dict[Upstream, UdpPool] = {}
        self._slots: dict[int, _Slot] = {}
        self._epoll = select.epoll()
        self.on_demand: Callable[[], None] = lambda: None
        """Called when `stock_up` has something to do."""
        self.counts = UdpCounts()

    def fileno(self) -> int:
        """Readable when any socket is."""
        return self._epoll.fileno()

    @property
    def open_sockets(self) -> int:
        """Sockets open now, retired ones that still wait included."""
        return len(self._slots)

    def send(self, upstream: Upstream, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """See `network.Network.send_datagram`."""
        pool = self._pools.get(upstream)
        if pool is None:
            if upstream.is_encrypted:
                return SendError("network")  # nothing of it may leave in clear text, whoever asks for that
            pool = self._pools[upstream] = UdpPool(
                upstream,
                self._slots,
                self._epoll,
                self.counts,
                self._clock,
                self._entropy,
                self._ports,
                self.on_demand,
            )
        return pool.send(octets, receiver)

    def stock_up(self, count: int) -> bool:
        """Open sockets that pools can use soon, at most `count` for each; whether they can use still more."""
        wants_more = False
        for pool in self._pools.values():
            wants_more |= pool.stock_up(count)
        return wants_more

    def on_readable(self) -> None:
        """Read what has come; whatever is left makes the descriptor readable again."""
        slots = self._slots
        counts = self.counts
        for fd, _ in self._epoll.poll(0, EVENTS_PER_WAKE_MAX):
            slot = slots.get(fd)
            if slot is None:
                continue
            for _ in range(DATAGRAMS_PER_EVENT_MAX):
                try:
                    octets = slot.sock.recv(RECEIVE_OCTETS)
                except BlockingIOError:
                    break
                except OSError:
                    # An ICMP error for an earlier query (RFC 1122 §4.1.3.3).
                    slot.break_all("network")
                    break
                slot.dispatch(octets, counts)
                if not slot.pending:
                    # Nobody waits here: leave the rest, if any, to the next round.
                    break

    def close(self) -> None:
        """Close every socket."""
        for slot in list(self._slots.values()):
            slot.pending = _NONE
            slot.sock.close()
        self._slots.clear()
        self._pools.clear()
        self._epoll.close()


class UdpPool:
    """The sockets connected to one upstream."""

    def __init__(
        self,
        upstream: Upstream,
        slots: dict[int, _Slot],
        epoll: select.epoll,
        counts: UdpCounts,
        clock: Clock,
        entropy: Entropy,
        ports: SourcePorts,
        on_demand: Callable[[], None],
    ) -> None:
        self._all = slots
        self._epoll = epoll
        self._counts = counts
        self._now = clock.now
        self._entropy = entropy
        self._ports = ports
        self._on_demand = on_demand
        self._window: list[_Slot] = []
        """Those that queries leave from."""
        self._oldest = 0
        """The one there longest."""
        self._resting: deque[tuple[_Slot, int]] = deque()
        """Those that rest, the longest first, and until which step."""
        self._steps = self.stock = 0
        self._looked_at = 0.0
        """`stock`: sockets at rest that it can use while they are young."""
        self._queries_to_step = QUERIES_PER_FRESH
        self._is_ipv6 = ":" in upstream.address
        self._peer = _socket_address(upstream)

    def send(self, octets: bytes, receiver: Receiver) -> Ticket | SendError:
        """Send from a random socket."""
        query_id = octets[0] << 8 | octets[1]
        window = self._window
        if len(window) < self._ports.base:
            picked = self._grow(query_id)
        else:
            self._queries_to_step -= 1
            if not self._queries_to_step:
                self._step()
            index = self._entropy.below(len(window))
            picked = window[index]
            if query_id in picked.pending or picked.orphans or self._now() >= picked.retire_at:
                picked = self._pick(query_id, index)
        if type(picked) is SendError:
            return picked
        slot: _Slot = picked  # type: ignore[assignment]
        try:
            slot.sock.send(octets)
        except BlockingIOError:
            self._counts.send_drops += 1
        except OSError as error:
            reason = self._try_again(slot, octets, error)
            if reason is not None:
                return SendError(reason)
        ticket = _DatagramTicket()
        ticket.slot = slot
        ticket.query_id = query_id
        ticket.receiver = receiver
        ticket.is_heard = False
        if slot.pending:
            slot.pending[query_id] = ticket
        else:
            slot.pending = {query_id: ticket}
        return ticket

    def _try_again(self, slot: _Slot, octets: bytes, error: OSError) -> str | None:
        """The first error may belong to an earlier query of this socket; a second one is ours."""
        for _ in range(2):
            if error.errno in (errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN):
                # No room in the kernel: the same as lost on the way.
                self._counts.send_drops += 1
                return None
            try:
                slot.sock.send(octets)
                return None
            except OSError as again:
                error = again
        return "network"

    def _grow(self, query_id: int) -> _Slot | SendError:
        """A new socket while the window is not full; without one, what there is."""
        window = self._window
        if window and len(self._all) >= self._ports.sockets_max:
            return self._pick(query_id, self._entropy.below(len(window)))
        slot = self._open()
        if type(slot) is _Slot:
            if not window:
                self._looked_at = self._now()
            window.append(slot)
            if len(window) == self._ports.base:
                self._look(len(window) // QUERIES_PER_REST)
        elif window:
            return self._pick(query_id, self._entropy.below(len(window)))
        return slot

    def _look(self, steps: int) -> None:
        """`steps` more were taken, or would have been: how many sockets are of use while they are young?"""
        now = self._now()
        in_their_age = steps * SOCKET_AGE_S_MAX / max(now - self._looked_at, 1.0)
        self.stock = int(min(in_their_age, REST_STEPS_MIN))
        self._looked_at = now
        if self.wants_stock:
            self._on_demand()

    @property
    def wants_stock(self) -> bool:
        """Whether it has fewer sockets at rest than it can use."""
        return len(self._resting) < self.stock and len(self._all) < self._ports.sockets_max

    def stock_up(self, count: int) -> bool:
        """Open sockets that it can use, at most `count`; whether it can use still more."""
        for _ in range(count):
            if not self.wants_stock:
                break
            fresh = self._open()
            if type(fresh) is not _Slot:
                self.stock = 0  # Not again before it looks again.
                break
            self._resting.appendleft((fresh, 0))
        return self.wants_stock

    def _step(self) -> None:
        """Let the window move on by one socket."""
        self._steps += 1
        if not self._steps % STEPS_PER_LOOK:
            self._look(STEPS_PER_LOOK)
        self._queries_to_step = QUERIES_PER_FRESH
        entering: _Slot | SendError | None = self._take_rested()
        has_rested = entering is not None
        if has_rested:
            self._queries_to_step = QUERIES_PER_REST
        else:
            entering = self._open()
            if type(entering) is SendError:
                # No descriptor, most likely: better one that rested too little than none.
                entering = self._resting.popleft()[0] if self._resting else None
        if type(entering) is not _Slot:
            return
        window, oldest = self._window, self._oldest
        self._oldest = (oldest + 1) % len(window)
        leaving, window[oldest] = window[oldest], entering
        if self._now() >= leaving.retire_at or not (has_rested or len(self._all) < self._ports.sockets_max):
            leaving.retire()
        else:
            # Where fewer rest, more are fresh, and chance gives some of those a port used not long ago.
            short = max(REST_STEPS_MIN - len(self._resting), 0)
            self._resting.append((leaving, self._steps + REST_STEPS_MIN + short // REST_MORE_PART))

    def _take_rested(self) -> _Slot | None:
        """One that has rested long enough; those that are too old are closed on the way."""
        resting = self._resting
        for _ in range(CLOSED_PER_STEP_MAX):
            if not resting:
                break
            slot, until = resting[0]
            is_old = self._now() >= slot.retire_at
            if not is_old and until > self._steps:
                break
            resting.popleft()
            if not is_old:
                slot.orphans = _NONE
                return slot
            slot.retire()
        return None

    def _pick(self, query_id: int, index: int) -> _Slot | SendError:
        """The socket at `index`, renewed if it is old, or another one if `query_id` waits there already."""
        window = self._window
        now = self._now()
        for _ in range(PICK_TRIES):
            picked = window[index]
            if now >= picked.retire_at:
                fresh = self._open()
                if type(fresh) is _Slot:
                    window[index] = fresh
                    picked.retire()
                    picked = fresh
            if query_id not in picked.pending:
                if picked.orphans:
                    picked.orphans.pop(query_id, None)
                return picked
            index = self._entropy.below(len(window))
        # Only tiny pools come here: the ID is taken wherever chance looked.
        for slot in window:
            if query_id not in slot.pending:
                return slot
        extra = self._open()
        if type(extra) is _Slot:
            window.append(extra)
        return extra

    def _open(self) -> _Slot | SendError:
        """A new socket on a random port, or why there is none."""
        sock = None
        try:
            sock = socket.socket(
                socket.AF_INET6 if self._is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            )
            if self._is_ipv6:
                # Its ports are not those of IPv4.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            usable = self._ports.usable
            for _ in range(BIND_TRIES if usable else 0):
                try:
                    sock.bind(("", usable[self._entropy.below(len(usable))]))
                    break
                except OSError as error:
                    # Somebody's, or not for us: take another.
                    if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                        raise
            sock.connect(self._peer)
            _empty(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        except OSError as error:
            self._counts.open_failures += 1
            if sock is not None:
                sock.close()
            return SendError("no_socket" if error.errno in _EXHAUSTED else "network")
        self._counts.opened += 1
        slot = _Slot(self._all, sock, self._now() + SOCKET_AGE_S_MAX)
        self._all[slot.fd] = slot
        return slot


def _empty(sock: socket.socket) -> None:
    """Throw away what anybody could send between bind and connect."""
    try:
        for _ in range(64):
            sock.recv(1)
    except OSError:
        return


def _socket_address(upstream: Upstream) -> tuple[object, ...]:
    """The address for `connect`; numeric, so that nothing is resolved."""
    found = socket.getaddrinfo(
        upstream.address,
        upstream.port,
        type=socket.SOCK_DGRAM,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
    return tuple(found[0][4])
