"""Plain DNS over UDP: datagrams in, answers out.

Knows: one bound socket, its clients, how outcomes are counted.  Does not know: why an answer is what it is.
Theory: the loop says that datagrams wait; they are fetched in batches, each is answered at once if the
service can, and the batch's answers leave in one system call.  A question that must be asked elsewhere
leaves its sender's address behind and is answered in a later batch.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from resolver.clock import Clock
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.proxies import NO_PROXIES, PROXY_HEAD, Proxies
from resolver.flow.route import DatagramRoute
from resolver.flow.service import Service
from resolver.listeners.address import SocketAddress, bind_udp
from resolver.listeners.mmsg import BATCH_MAX, BatchSocket
from resolver.listeners.reporter import Reporter

BATCHES_PER_TURN_MAX = 4
"""Batches per turn of the loop: TCP, timers and upstream answers get their turn after 256 queries."""

PEERS_MAX = 65_536
"""Client addresses remembered with their standing; all are forgotten when full, and judged again."""


_UDP = Transport.UDP

_log = logging.getLogger(__name__)


class UdpListener:
    """One UDP socket, served in batches."""

    def __init__(
        self,
        address: SocketAddress,
        service: Service,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        sock: socket.socket | None = None,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        """`sock`: a socket bound to `address` already; it is closed with the listener.

        `proxies`: whose datagrams begin with a head.
        """
        self._proxies = proxies
        self._service = service
        self._reporter = reporter
        self._clock = clock
        self._loop = loop
        self._sock = bind_udp(address) if sock is None else sock
        self._batch = BatchSocket(self._sock, with_control=address.is_wildcard)
        self._peers: dict[bytes, Peer] = {}
        self._late: list[bytes] = []
        """Answers that had to wait for an upstream, and now wait to be sent."""
        self._late_routes: list[DatagramRoute] = []
        """Where to."""
        self._late_answers: list[Respond] = []
        """Of what kinds, for the counts."""
        self._late_asked_at: list[float] = []
        """Since when they were waited for."""
        self.is_reading = False

    @property
    def bound_to(self) -> tuple[str, int]:
        """The address and port it really listens on."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    @property
    def sock(self) -> socket.socket:
        """Its socket."""
        return self._sock

    def start(self) -> None:
        """Begin to answer."""
        self.is_reading = True
        self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def stop_reading(self) -> None:
        """Take no more queries; late answers still leave.  `start` begins again."""
        self.is_reading = False
        self._loop.remove_reader(self._sock.fileno())

    def close(self) -> None:
        """Send what is queued and release the socket."""
        self._send_late()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _on_readable(self) -> None:
        for _ in range(BATCHES_PER_TURN_MAX):
            try:
                lengths = self._batch.receive()
            except OSError as error:
                # ICMP errors of earlier answers, ENOBUFS, ENOMEM: the next turn tries again.
                self._reporter.count_drop(f"receive_{errno_word(error)}")
                return
            if lengths:
                self._answer_batch(lengths)
            if len(lengths) < BATCH_MAX:
                return

    def _answer_batch(self, lengths: list[int]) -> None:
        now = self._clock.now()
        batch = self._batch
        peers = self._peers
        answer_now = self._service.answer_now
        records = self._reporter.records
        answers: list[Respond] = []
        messages: list[bytes] = []
        unanswered: list[int] = []
        datagrams, addresses = batch.datagrams(lengths), batch.addresses(len(lengths))
        slots: Sequence[int] = range(len(lengths))
        if self._proxies:
            slots, datagrams, addresses = self._without_heads(datagrams, addresses, unanswered)
        for slot, octets, address in zip(slots, datagrams, addresses, strict=True):
            peer = peers.get(address) or self._peer_of(address)
            try:
                outcome = answer_now(octets, peer, now)
            except Exception:
                # A defect of ours must cost one query, not the batch; it is counted and shown.
                self._reporter.count_defect(_log, "answer_now", octets)
                unanswered.append(slot)
                continue
            if type(outcome) is Respond:
                answers.append(outcome)
                messages.append(octets[:2] + outcome.tail)
                if records is not None:
                    records.note(peer, octets, outcome)
                continue
            unanswered.append(slot)
            if type(outcome) is Ask:
                outcome.route = batch.route(slot)
                self._service.resolve(outcome, self._on_resolved)
            else:
                assert type(outcome) is Drop
                self._reporter.settle(_UDP, peer, octets, outcome, 0.0)
        if answers:
            slots = range(len(lengths))
            if unanswered:
                slots = sorted({*slots}.difference(unanswered))
            batch.put(messages, slots)
            self._send(len(messages))
            self._reporter.count_batch(_UDP, answers, self._clock.now() - now)

    def _without_heads(
        self, datagrams: list[bytes], addresses: list[bytes], unanswered: list[int]
    ) -> tuple[list[int], list[bytes], list[bytes]]:
        """Slots, queries and clients of those whose heads can be taken; the others get no answer."""
        slots, queries, clients = [], [], []
        for slot, sender in enumerate(map(self._proxies.sender_of, addresses, datagrams)):
            if sender is None:
                unanswered.append(slot)
                self._reporter.count_drop(PROXY_HEAD)
            else:
                slots.append(slot)
                clients.append(sender[0])
                queries.append(sender[1])
        return slots, queries, clients

    def _on_resolved(self, ask: Ask, outcome: Respond | Drop) -> None:
        octets = ask.query.octets
        if type(outcome) is not Respond:
            self._reporter.settle(_UDP, ask.peer, octets, outcome, self._clock.now() - ask.asked_at)
            return
        if self._reporter.records is not None:
            self._reporter.records.note(ask.peer, octets, outcome)
        late = self._late
        late.append(octets[:2] + outcome.tail)
        assert isinstance(ask.route, DatagramRoute)
        self._late_routes.append(ask.route)
        self._late_answers.append(outcome)
        self._late_asked_at.append(ask.asked_at)
        waiting = len(late)
        if waiting == 1:
            # Answers of one turn of the loop leave together.
            self._loop.call_soon(self._send_late)
        elif waiting == BATCH_MAX:
            self._send_late()

    def _send_late(self) -> None:
        late, routes = self._late, self._late_routes
        answers, asked_at = self._late_answers, self._late_asked_at
        if not late:
            return  # a full batch left already
        # Whatever becomes of these, the next ones start afresh.
        self._late, self._late_routes = [], []
        self._late_answers, self._late_asked_at = [], []
        self._batch.put_late(late, routes)
        self._send(len(late))
        self._reporter.count_late(_UDP, answers, asked_at, self._clock.now())

    def _send(self, count: int) -> None:
        lost = self._batch.send(count)
        if lost:
            self._reporter.count_drop("send_failed", lost)

    def _peer_of(self, address: bytes) -> Peer:
        if len(self._peers) >= PEERS_MAX:
            self._peers.clear()
        peer = self._peers[address] = Peer(address, _UDP)
        return peer


def errno_word(error: OSError) -> str:
    """Why receiving failed, in a word fit for a metric label; of a closed set."""
    return {105: "nobufs", 12: "nomem", 111: "refused"}.get(error.errno or 0, "error")
