"""The native plane of a scene: the real flow, cache and listener, with scripted upstreams and a clock that obeys.

Knows: what a thread of the plane does with a query, a datagram, a timer that is due; `resolver.plane`.  Does
not know: plays, what an answer should be.
Real: `resolver_native.Core`, `Cache` and `testing.Steps`, `NativeListener`, the sharing of upstreams.  Scripted: sockets,
threads, time.  What happens is passed on at once, so a play needs no turns of a loop.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, cast

from resolver.cache import NativeCache
from resolver.clock import Clock, TimerHandle
from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.waiting import WAITING_MAX
from resolver.forwarding.deadlines import Deadlines, Timed
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.network import Network, SendError, Ticket
from resolver.forwarding.plan import ForwardPlan
from resolver.forwarding.sharing import Authorities, SharedUpstreams
from resolver.forwarding.upstream import RESPONSE_SECONDS_BOUNDS, Upstream
from resolver.listeners.native import NativeListener
from resolver.listeners.reporter import Reporter
from resolver.observe.clients import HIDDEN
from resolver.observe.query_log import lines_of
from resolver.observe.records import RecordBuffer
from resolver.observe.tally import OTHER, RCODE_LABELS, Tallies, hits_of
from resolver.plane import (
    ASK,
    DROP,
    DROP_AND_CLOSE,
    PUNT,
    RESPOND,
    QuestionFields,
    UpstreamReport,
    UpstreamServerFields,
    UpstreamSetFields,
    WaitingFields,
)
from resolver.policy.policy import Policy
from tests.support.encrypted_upstreams import authority
from tests.support.engines import testing_of
from tests.support.fake_plane import FakeLoop
from tests.support.scenario_play import PlaySettings

QueriesLogged = Literal["none", "blocked", "all"]
"""What is recorded for the query log."""

SEED = bytes(range(32))
TOKEN_OCTETS = 8


@dataclass(slots=True, frozen=True)
class Ending:
    """What became of one query, as it is counted."""

    rcode: str | None = None
    """The metric label; None: it was dropped."""
    source: str | None = None
    reason: str | None = None
    close: bool = False
    hits: tuple[str, ...] = ()
    """`KIND LABEL ACTION MODE`, the enforced one first."""


def ending_of(outcome: Respond | Drop) -> Ending:
    """The ending that the Python service's outcome is."""
    hits = tuple(" ".join(hit) for hit in hits_of(outcome.verdict) if hit)
    if isinstance(outcome, Drop):
        return Ending(reason=outcome.reason, close=outcome.close, hits=hits)
    return Ending(RCODE_LABELS.get(outcome.rcode, OTHER), outcome.source.value, hits=hits)


class Ledger:
    """Reads what the core counted, one query at a time."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._seen: Counter[tuple[Any, ...]] = Counter()

    def take(self, messages: list[bytes | None], close: bool = False) -> list[Ending]:
        """The endings of these queries, which are all that ended since the last time; None: it was dropped."""
        now = Counter({tuple(row[:7]): row[7] for row in self._core.tallies()})
        rows = list((now - self._seen).elements())
        self._seen = now
        assert len(rows) == len(messages), f"{len(messages)} queries ended, {len(rows)} were counted"
        # Those of a crowd may end in different ways; which is whose is told by the rcode.
        return [_ending_of_row(rows.pop(_place_of(rows, message)), close) for message in messages]


def _place_of(rows: list[tuple[Any, ...]], message: bytes | None) -> int:
    for place, (_, _, rcode, *_) in enumerate(rows):
        if (rcode is None) is (message is None) and _is_rcode_of(rcode, message):
            return place
    raise AssertionError(f"an answer was counted as something else: {rows}")


def _is_rcode_of(label: str | None, message: bytes | None) -> bool:
    if label is None or message is None or label == OTHER:
        return True
    number = next(number for number, name in RCODE_LABELS.items() if name == label)
    return number & 15 == message[3] & 15


def _ending_of_row(row: tuple[Any, ...], close: bool) -> Ending:
    _, _, rcode, source, reason, enforced, shadow = row
    hits = tuple(" ".join(hit) for hit in (enforced, shadow) if hit)
    return Ending(rcode, source, reason, close if rcode is None else False, hits)


Tell = Callable[[int, bytes | None, Ending], None]
"""Told the number of a client, what it is sent (None: nothing), and what became of its query."""


class _Attempt(Timed):
    """One query that the plane has out: what hears of it, and its deadline."""

    def __init__(self, plane: ScriptedPlane, number: int, upstream: int, due_at: float) -> None:
        self._plane = plane
        self.number = number
        self.upstream = upstream
        self.due_at = due_at
        self.sent_at = plane.clock.now()
        self.is_handed_over = False
        self.ticket: Ticket | None = None

    def on_octets(self, octets: bytes) -> None:
        """See `network.Receiver`."""
        self._plane.on_octets(self, octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        """See `network.Receiver`."""
        self._plane.on_error(self, reason, sends)

    def on_due(self, now: float) -> None:
        """See `Timed`."""
        self._plane.on_due(self)


@dataclass(slots=True)
class _Report:
    queries: int = 0
    times_s: list[float] = field(default_factory=list)

    def fields(self, number: int) -> UpstreamReport:
        buckets = [0] * (len(RESPONSE_SECONDS_BOUNDS) + 1)
        for time_s in self.times_s:
            buckets[bisect_left(RESPONSE_SECONDS_BOUNDS, time_s)] += 1
        sum_s = sum(self.times_s)
        mean_s = sum_s / len(self.times_s) if self.times_s else 0.0
        return number, self.queries, len(self.times_s), sum_s, buckets, mean_s, (0, 0, 0), None


class ScriptedPlane:
    """`resolver.plane.Plane` over a core, without sockets or threads."""

    def __init__(
        self,
        core: Any,
        steps: Any,
        plan: ForwardPlan,
        network: Network,
        clock: Clock,
        tell: Tell,
        reporter: Hearsay,
    ) -> None:
        """`steps`: `resolver_native.testing.Steps` over `core`."""
        self.core = core
        self._steps = steps
        self.clock = clock
        self.coalesced = 0
        self.on_event: Callable[[], None] = lambda: None
        self.before_event: Callable[[], None] = lambda: None
        self._plan = plan
        self._network = network
        self._tell = tell
        self._reporter = reporter
        self._ledger = Ledger(core)
        self.upstreams: Sequence[Upstream] = ()
        """By their number; it grows."""
        self._reports: defaultdict[int, _Report] = defaultdict(_Report)
        # A thread's own wheel turns by the same ticks.
        self._deadlines = Deadlines(clock)
        self._sets: list[UpstreamSetFields] = []
        self._events: list[Any] = []
        self._attempts: dict[int, _Attempt] = {}
        self._clients: dict[int, tuple[bytes, bytes, Transport]] = {}

    # What a thread does.

    def receive(self, token: int, octets: bytes, address: bytes, transport: Transport) -> None:
        """A datagram, or a message over a stream, came from client number `token`."""
        self.before_event()
        now = self.clock.now()
        self._clients[token] = (octets, address, transport)
        [(word, message)] = self._steps.answer_batch([(octets, address)], now, transport=int(transport))
        if word == ASK:
            self._ask(token, now)
        elif word == PUNT:
            self._punt(token)
        else:
            self._end(token, word, message)

    def _end(self, token: int, word: int, octets: bytes) -> None:
        message = octets if word == RESPOND else None
        self._tell(token, message, self._ledger.take([message], close=word == DROP_AND_CLOSE)[0])

    def _punt(self, token: int) -> None:
        octets, address, transport = self._clients[token]
        self._push("query", octets, address, _route(token), int(transport))

    def _ask(self, token: int, now: float) -> None:
        octets, address, transport = self._clients[token]
        word, *fields = self._steps.ask(octets, address, now, token, transport=int(transport))
        if word == "send":
            number, upstream, message = fields
            self._send(number, upstream, message, now)
        elif word == "joined":
            self.coalesced += 1
        elif word == "reply":
            self._end(token, RESPOND, fields[0])
        elif word == "drop":
            self._end(token, DROP, b"")
        else:
            self._punt(token)

    def _send(self, number: int, upstream: int, message: bytes, now: float) -> None:
        qname = message[12 : message.index(0, 12) + 1].lower()
        timeout_s = self._sets[self._plan.set_for(qname).index][4]
        attempt = self._attempts[number] = _Attempt(self, number, upstream, now + timeout_s)
        self._reports[upstream].queries += 1
        asked = self.upstreams[upstream]
        carry = self._network.ask_stream if asked.is_stream else self._network.send_datagram
        ticket = carry(asked, message, attempt)
        if isinstance(ticket, SendError):
            self._hand_over(attempt, ticket.reason)
            return
        attempt.ticket = ticket
        self._deadlines.set(attempt, attempt.due_at)

    def on_octets(self, attempt: _Attempt, octets: bytes) -> None:
        """A datagram came for an attempt."""
        self.before_event()
        if attempt.is_handed_over:
            self._push("late", attempt.number, octets)
            return
        now = self.clock.now()
        word, *fields = self._steps.on_response(attempt.number, octets, now)
        if word == "handover":
            self._take_over(attempt, fields[0])
            return
        self._reports[attempt.upstream].times_s.append(now - attempt.sent_at)
        self._forget(attempt.number)
        told, punts = fields
        endings = self._ledger.take([message for _, message in told], close=True)
        for (token, message), ending in zip(told, endings, strict=True):
            self._tell(token, message, ending)
        for token in punts:
            self._punt(token)

    def on_error(self, attempt: _Attempt, reason: str, sends: int | None) -> None:
        """The socket of an attempt broke."""
        self.before_event()
        if attempt.is_handed_over:
            self._push("broken", attempt.number, reason, sends)
        else:
            self._hand_over(attempt, reason, sends)

    def on_due(self, attempt: _Attempt) -> None:
        """The time of an attempt is up."""
        self.before_event()
        self._hand_over(attempt, "timeout")

    def _hand_over(self, attempt: _Attempt, reason: str, sends: int | None = None) -> None:
        # The core knows no other way to give an attempt up than that its time is over.
        fields = self._steps.overdue(attempt.number, max(self.clock.now(), attempt.due_at))
        self._take_over(attempt, (*fields[:10], reason, sends, *fields[12:]))

    def _take_over(self, attempt: _Attempt, fields: tuple[Any, ...]) -> None:
        *facts, waiters = fields
        self._deadlines.discard(attempt)
        attempt.is_handed_over = True
        self._push("handover", (*facts, _routed(waiters)))

    def _forget(self, number: int) -> None:
        attempt = self._attempts.pop(number)
        self._deadlines.discard(attempt)
        if attempt.ticket is not None:
            attempt.ticket.close()

    def _push(self, *event: Any) -> None:
        self._events.append(event)
        self.on_event()

    @property
    def has_events(self) -> bool:
        """Whether Python has something to do."""
        return bool(self._events)

    def publish_upstreams(self, servers: list[UpstreamServerFields], sets: list[UpstreamSetFields]) -> None:
        """See `resolver.plane.Core`."""
        self._sets = sets
        self.core.publish_upstreams(servers, sets)

    # See `resolver.plane.Plane`.

    def start(self) -> None: ...

    def stop_reading(self) -> None: ...

    def hand_over_all(self) -> None:
        for attempt in list(self._attempts.values()):
            if not attempt.is_handed_over:
                self._hand_over(attempt, "recalled")

    def close(self) -> None: ...

    def fileno(self) -> int:
        return 0

    def drain(self, max: int = 256) -> list[Any]:  # noqa: A002 -- the module's own word
        taken, self._events = self._events[:max], self._events[max:]
        return taken

    def send(self, route: bytes, octets: bytes) -> bool:
        token = int.from_bytes(route, "big")
        self._tell(token, octets, self._reporter.last_ending(octets))
        return True

    def drop(self, route: bytes, *, close: bool = True) -> None:
        """Whoever dropped the query has said so to the reporter."""

    def claim(self, question: QuestionFields) -> list[WaitingFields] | None:
        waiters = self._steps.claim(question)
        return None if waiters is None else _routed(waiters)

    def release(self, question: QuestionFields) -> None:
        self._steps.release(question)

    def close_ticket(self, ticket: int) -> None:
        self._steps.close_ticket(ticket)
        self._forget(ticket)

    def upstream_reports(self) -> list[UpstreamReport]:
        reports, self._reports = self._reports, defaultdict(_Report)
        return [report.fields(number) for number, report in sorted(reports.items())]

    def counters(self) -> dict[str, int]:
        return {}


def _route(token: int) -> bytes:
    return token.to_bytes(TOKEN_OCTETS, "big")


def _routed(
    waiters: list[tuple[bytes, bytes, int, float, int, str]],
) -> list[WaitingFields]:
    return [
        (octets, address, _route(token), asked_at, transport, name)
        for octets, address, token, asked_at, transport, name in waiters
    ]


class Hearsay(Reporter):
    """Counts as every reporter, and passes on what became of each query."""

    def __init__(self, tell_drop: Callable[[bytes, Ending], None], records: RecordBuffer | None) -> None:
        super().__init__(Tallies(), records)
        self._tell_drop = tell_drop
        self._last = (b"", Ending())

    def settle(
        self, transport: Transport, peer: Peer, octets: bytes, outcome: Respond | Drop, seconds: float
    ) -> None:
        """See `Reporter`."""
        super().settle(transport, peer, octets, outcome, seconds)
        self._last = (octets, ending_of(outcome))
        if isinstance(outcome, Drop):
            self._tell_drop(*self._last)

    def last_ending(self, message: bytes) -> Ending:
        """What was settled last, which must be the query that this message answers."""
        octets, ending = self._last
        assert octets[:2] == message[:2], "an answer was sent that was not counted"
        return ending


class _SlowClock:
    """A clock whose one timer fires when it is looked at, not by itself: a play may last days."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self._due_at = float("inf")
        self._callback: Callable[[], object] = lambda: None

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """See `Clock`."""
        self._due_at, self._callback = self.now() + delay_s, callback
        return self

    def cancel(self) -> None:
        """See `TimerHandle`."""
        self._due_at = float("inf")

    def catch_up(self) -> None:
        """Fire if it is time."""
        if self.now() >= self._due_at:
            self._callback()


class NativeStage:
    """The native plane of one scene, put together as the server does it."""

    def __init__(
        self,
        module: ModuleType,
        settings: PlaySettings,
        plan: ForwardPlan,
        network: Network,
        clock: Clock,
        tell: Tell,
        tell_drop: Callable[[bytes, Ending], None],
        *,
        with_cache: bool,
        logs: QueriesLogged,
        audit_secret: bytes | None,
        access: list[Any],
        records: list[tuple[bytes, list[bytes]]],
    ) -> None:
        limits = {
            name: getattr(settings, name)
            for name in ("ttl_min_s", "ttl_max_s", "negative_ttl_max_s", "stale_max_s")
        }
        self.cache = NativeCache(module.Cache(settings.cache_octets if with_cache else 0, **limits))
        self.core = module.Core(
            self.cache.core,
            allow=[(network.network_address.packed, network.prefixlen) for network in access],
            rate_limit_qps=settings.rate_limit_qps,
            records=records,
            tcp_idle_s=10.0,
            rotate_addresses=settings.rotate_addresses,
            in_flight_max=settings.in_flight_max,
            waiters_max=settings.waiters_max,
            waiting_max=WAITING_MAX,
            query_records=logs,
            audit_secret=audit_secret,
        )
        self._look = module.RecordLook("json", "hidden")
        steps = testing_of(module).Steps(self.core, seed=SEED)
        self._records = None
        if logs != "none":
            self._records = RecordBuffer(only_blocked=logs == "blocked", now=clock.now)
        self.reporter = Hearsay(tell_drop, self._records)
        self.logged: Counter[Ending] = Counter()
        """What became of the queries that are in the log."""
        self.plane = ScriptedPlane(self.core, steps, plan, network, clock, tell, self.reporter)
        self._clock = clock
        self._slow = _SlowClock(clock)
        self._shared = SharedUpstreams(
            plan,
            cast(Clock, self._slow),
            timeout_s=settings.timeout_s,
            publish=self.plane.publish_upstreams,
            read_reports=self.plane.upstream_reports,
            # Nobody is connected to, but the plane wants some that could be of use.
            authorities=Authorities(authority().pem, is_private=True),
        )
        self.plane.upstreams = self._shared.numbered
        self._loop = FakeLoop()
        self._is_in_turn = False

    def publish(self, policy: Policy) -> None:
        """Judge by `policy` from now on."""
        made_at, prefixes = policy.made_at, policy.nat64_prefixes
        self.core.publish(str(policy.image.path), policy.generation, *made_at, prefixes)

    def start(self, service: Service, forwarder: Forwarder) -> None:
        """Let Python serve what the plane leaves to it."""
        listener = NativeListener(
            self.plane,
            [[]],
            service,
            forwarder,
            self._shared.numbered,
            self.reporter,
            self._clock,
            cast(asyncio.AbstractEventLoop, self._loop),
            before_handovers=self._shared.listen,
            after_turn=self._shared.tell,
        )
        self._shared.start()
        listener.start()
        self.plane.before_event = self._slow.catch_up
        self.plane.on_event = self._turn

    def _turn(self) -> None:
        if self._is_in_turn:
            return
        self._is_in_turn = True
        try:
            while self.plane.has_events or self._loop.soon:
                self._loop.turn()
        finally:
            self._is_in_turn = False

    def note(self, octets: bytes, transport: Transport, outcome: Respond | Drop) -> None:
        """Record what Python answered over a stream, as its listener would."""
        if self._records is not None:
            self._records.note(Peer(bytes(4), transport), octets, outcome)

    def read_records(self) -> None:
        """Put what was recorded into the log."""
        while taken := self.core.take_records():
            self._log(taken.written(self._look, 0.0)[0])
        while self._records is not None and (records := self._records.take()):
            self._log(lines_of(records, "json", HIDDEN, 0.0))
        assert self.core.records_lost(only_blocked=False) == 0

    def _log(self, lines: bytes) -> None:
        for line in lines.splitlines():
            fields = json.loads(line)
            hits = tuple(
                " ".join((kind, fields[prefix + kind], fields[prefix + "action"], mode))
                for prefix, mode in (("", "enforce"), ("shadow_", "shadow"))
                for kind in ("exchange", "list")
                if prefix + kind in fields
            )
            ending = Ending(fields.get("rcode"), fields.get("source"), fields.get("dropped"), hits=hits)
            self.logged[ending] += 1

    @property
    def defects(self) -> int:
        """Exceptions that should not have been."""
        return self.reporter.drops["defect"]
