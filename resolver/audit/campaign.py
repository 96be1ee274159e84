"""The questions to one listener: what is sent when, what came of each, and when to slow down.

Knows: IDs, deadlines, rates, what answers a question.  Does not know: sockets, clocks (`now` is an
argument), what a right answer is.
Theory: questions go out at a bounded rate.  What is not answered, or refused, or cut off, tells nothing
of the policy: a resolver that limits rates looks just so.  So each such question is repeated, later,
alone on a socket of its own, with more patience; and when many go that way the rate is halved, as in TCP,
and grows again slowly.  Only a question that fails every time stays unanswered.  A listener that has
answered nothing at all after the first questions is asked no more; and where slowness does not help, what is
refused is refused, and the rest is asked once.
Silence that is meant proves something only of a listener that speaks: it counts once anything is heard of it
after the question.  Where nothing is, it is asked for the servers of the root, which no rule has.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from xxhash import xxh3_64_intdigest

from resolver.audit.results import Kind
from resolver.wire.encode import encode_query
from resolver.wire.message import Message, read_message
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query

Tag = TypeVar("Tag")

PATIENCE_S = (2.5, 4.0, 6.0)
"""How long each attempt is waited for; a stub resolver waits 5 s (resolv.conf(5))."""
SILENCE_S = 1.0
"""Where no answer is meant to come: long enough for one to be seen."""
LATE_S = 5.0
"""A slower answer reaches no client."""
PAUSES_S = (0.5, 2.0, 5.0, 10.0)
"""Before the second attempt and each further one."""
ATTEMPTS_MAX = 3
HASTY_ATTEMPTS_MAX = 5
"""Of a question that is refused: asked slowly enough it gets through, if that is why.  What is cut off goes
to TCP."""
UPSTREAM_ATTEMPTS_MAX = 2
OUTSTANDING_MAX = 512
"""Questions under way at once."""
LONELY_MAX = 32
"""Repeated questions under way at once, each on a socket of its own."""
CONTROL = encode_query(b"\0", int(Qtype.NS), id=0, dnssec_ok=False, checking_disabled=False, edns=True)
"""`. NS`: no rule is about the root."""
AGAIN_MAX = 5_000
"""Questions repeated: more of them say nothing new of the listener."""
DEAD_AFTER = 40
"""Questions that failed with nothing heard of the listener, before it counts as silent."""
DEAD_S = 30.0
"""How long nothing must have been heard of one that was heard before."""
FUTILE_AFTER = 40
"""Repeated questions that failed again, nearly all, before slowness counts as no help."""
FUTILE_SHARE = 0.95
RATE_MIN_QPS = 5.0
WINDOW = 50
"""Outcomes between two looks at the rate."""
BAD_SHARE_MAX = 0.1
GROWTH = 1.25
PAUSE_S = 1.0
"""Without a question, after too many failed."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Tag]):
    """What came of one question."""

    tag: Tag
    octets: bytes
    """The query's."""
    message: Message | None
    """What answered it; None: nothing did."""
    failure: Kind | None = None
    """Why nothing did."""
    seconds: float = 0.0
    """From the last attempt to the answer."""
    attempts: int = 1


class Send(NamedTuple):
    """One query to send."""

    id: int
    octets: bytes
    is_lonely: bool
    """On a socket, or a connection, of its own."""
    deadline: float


class Asked(NamedTuple, Generic[Tag]):
    """One question for a campaign."""

    tag: Tag
    octets: bytes
    """The query; its ID is set anew for every attempt."""
    is_silence: bool = False
    """No answer is meant to come: wait shortly, and take silence for one, where the listener speaks."""
    takes: frozenset[Kind] = frozenset()
    """Of TRUNCATED, REFUSED and SERVFAIL what is an answer here, and no reason to ask again."""
    like: tuple[bool, int] | None = None
    """TC and rcode of what is prescribed: such a message is an answer, too."""
    is_upstreams: bool = False
    """An upstream must be asked: that it fails or is slow says nothing of the listener; two attempts do."""


@dataclass(slots=True)
class _Pending(Generic[Tag]):
    asked: Asked[Tag]
    query: Query
    attempts: int = 0
    sent_at: float = 0.0
    deadline: float = 0.0
    is_lonely: bool = False
    trouble: Kind | None = None
    last: Message | None = None
    is_control: bool = False
    """Asked by the campaign itself, to hear whether the listener speaks; it has no outcome."""


@dataclass(slots=True)
class Counts:
    """How a listener bore it."""

    sent: int = 0
    answered: int = 0
    repeated: int = 0
    unanswered: int = 0
    truncated: int = 0
    refused: int = 0
    servfail: int = 0
    """Questions that ended in SERVFAIL, each time."""
    broken: int = 0
    silent_as_meant: int = 0
    asked_qps: float = 0.0
    """The bound of the rate."""
    lowest_qps: float = 0.0
    is_dead: bool = False
    seconds: list[float] = field(default_factory=list)
    """Of answers, to the first attempt or a later one."""


class Campaign(Generic[Tag]):
    """All questions to one listener."""

    def __init__(
        self,
        asked: Iterator[Asked[Tag]],
        *,
        qps: float,
        seed: int,
        patience_s: tuple[float, ...] = PATIENCE_S,
        silence_s: float = SILENCE_S,
        pauses_s: tuple[float, ...] | None = None,
        control: bytes = CONTROL,
    ) -> None:
        """Ask `asked`, at most `qps` a second.  `seed`: of the IDs.

        `control`: a query that any listener that speaks answers somehow.  `pauses_s`: None is `PAUSES_S`.
        """
        self._asked = asked
        self._limit_qps = qps
        self._qps = qps
        self._patience_s = patience_s
        self._silence_s = silence_s
        self._pauses_s = pauses_s or PAUSES_S
        self._seed = seed
        self._control = control
        self._out: dict[int, _Pending[Tag]] = {}
        self._held: list[_Pending[Tag]] = []
        """Silent as meant, and nothing was heard of the listener since they were asked."""
        self._deadlines: list[tuple[float, int, int]] = []
        self._again: list[tuple[float, int, _Pending[Tag]]] = []
        self._again_count = 0
        self._serial = 0
        self._id_count = 0
        self._next_at = 0.0
        self._lonely = 0
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._repeats: deque[bool] = deque(maxlen=FUTILE_AFTER)
        """Of the last repeated questions whether they failed again."""
        self._is_futile = False
        self._heard_at: float | None = None
        self._vain = 0
        """Failures since then."""
        self._is_exhausted = False
        self.counts = Counts(asked_qps=qps, lowest_qps=qps)
        self.outcomes: deque[Outcome[Tag]] = deque()
        """To be taken from the left."""

    @property
    def is_over(self) -> bool:
        """Whether everything has its outcome."""
        return self._is_exhausted and not self._out and not self._again and not self._held

    def due(self, now: float) -> tuple[list[Send], float]:
        """What is to be sent now, and when to come again at the latest (seconds on the same clock)."""
        self._expire(now)
        sends: list[Send] = []
        # What was missed is not made up for: a burst would be what the bound is against.
        self._next_at = max(self._next_at, now - 0.05)
        while self._next_at <= now and len(self._out) < OUTSTANDING_MAX:
            pending = self._take(now)
            if pending is None:
                break
            sends.append(self._send(pending, now))
            self._next_at += 1 / self._qps
        return sends, self._wake_at(now)

    def on_message(self, octets: bytes, now: float, lonely_id: int | None = None) -> None:
        """Something came; `lonely_id`: on the socket of that question alone."""
        self._heard_at, self._vain = now, 0
        self._release()
        message = read_message(octets)
        query_id = int.from_bytes(octets[:2], "big") if len(octets) >= 2 else -1
        pending = self._out.get(query_id)
        if message is not None and pending is not None and _answers(message, pending.query):
            self._answered(query_id, pending, message, now)
            return
        self.counts.broken += 1
        if message is None:
            self._suspect(pending, lonely_id, Kind.GARBAGE)
            return
        if pending is not None:
            self._suspect(pending, lonely_id, Kind.GARBAGE)
            return
        # The right question under another ID, perhaps.
        meant = self._out.get(lonely_id) if lonely_id is not None else self._asked_the_same(message)
        if meant is not None:
            meant.trouble = Kind.WRONG_ID if _answers(message, meant.query) else Kind.GARBAGE

    def on_failure(self, query_id: int, kind: Kind, now: float, *, was_open: bool = True) -> None:
        """A question could not be sent, or its stream was closed; `was_open`: it could be opened before."""
        pending = self._out.pop(query_id, None)
        if pending is not None:
            if pending.asked.is_silence and kind is Kind.CLOSED and was_open:
                self._silent(pending)
            else:
                self._failed(pending, pending.trouble or kind, now)

    def stop(self, kind: Kind = Kind.NOT_ASKED) -> None:
        """Give up: whatever has no outcome yet gets this one."""
        under_way = [*self._out.values(), *(entry[2] for entry in self._again), *self._held]
        self._out.clear()
        self._again.clear()
        self._held.clear()
        for pending in under_way:
            self._end(pending, kind)
        for asked in self._asked:
            self.counts.unanswered += 1
            self.outcomes.append(Outcome(asked.tag, asked.octets, None, kind, attempts=0))
        self._is_exhausted = True

    # Inside.

    def _take(self, now: float) -> _Pending[Tag] | None:
        if self._again and self._again[0][0] <= now and self._lonely < LONELY_MAX:
            return heapq.heappop(self._again)[2]
        if self._is_exhausted:
            return self._control_of_held() if self._is_control_due else None
        asked = next(self._asked, None)
        if asked is None:
            self._is_exhausted = True
            return self._take(now)
        query = parse_query(asked.octets)
        assert isinstance(query, Query)
        return _Pending(asked, query)

    @property
    def _is_control_due(self) -> bool:
        """Whether nothing that is to come yet can tell of what is held."""
        return self._is_exhausted and bool(self._held) and not self._out and not self._again

    def _control_of_held(self) -> _Pending[Tag]:
        query = parse_query(self._control)
        assert isinstance(query, Query)
        asked = Asked(self._held[0].asked.tag, self._control, takes=frozenset(Kind))
        return _Pending(asked, query, is_control=True)

    def _send(self, pending: _Pending[Tag], now: float) -> Send:
        query_id = self._fresh_id()
        # What is to end in silence may take its stream with it; what failed must not be mixed with others.
        pending.is_lonely = pending.attempts > 0 or pending.asked.is_silence
        wait_s = (
            self._silence_s
            if pending.asked.is_silence
            else self._patience_s[min(pending.attempts, len(self._patience_s) - 1)]
        )
        pending.attempts += 1
        pending.sent_at, pending.deadline = now, now + wait_s
        pending.trouble = None
        self._out[query_id] = pending
        self._lonely += pending.is_lonely
        self._serial += 1
        heapq.heappush(self._deadlines, (pending.deadline, self._serial, query_id))
        self.counts.sent += 1
        self.counts.repeated += pending.attempts > 1
        return Send(
            query_id,
            query_id.to_bytes(2, "big") + pending.asked.octets[2:],
            pending.is_lonely,
            pending.deadline,
        )

    def _fresh_id(self) -> int:
        """One that nobody can tell beforehand and no question under way has."""
        while True:
            self._id_count += 1
            query_id = xxh3_64_intdigest(self._id_count.to_bytes(8, "big"), self._seed) & 0xFFFF
            if query_id not in self._out:
                return query_id

    def _expire(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, _, query_id = heapq.heappop(self._deadlines)
            pending = self._out.get(query_id)
            if pending is None or pending.deadline != deadline:
                continue
            del self._out[query_id]
            if pending.asked.is_silence:
                self._silent(pending)
            else:
                self._failed(pending, pending.trouble or Kind.NO_ANSWER, now)

    def _answered(self, query_id: int, pending: _Pending[Tag], message: Message, now: float) -> None:
        del self._out[query_id]
        kind = _haste_of(message)
        if kind is not None and not _takes(pending.asked, message, kind):
            self.counts.truncated += kind is Kind.TRUNCATED
            self.counts.refused += kind is Kind.REFUSED
            pending.last = message
            pending.trouble = kind
            self._failed(pending, kind, now)
            return
        self._lonely -= pending.is_lonely
        if pending.attempts > 1:
            self._repeats.append(False)
            self._is_futile = False
        seconds = now - pending.sent_at
        self.counts.answered += 1
        self.counts.seconds.append(seconds)
        self._note(is_bad=False, now=now)
        if pending.is_control:
            return
        self.outcomes.append(
            Outcome(pending.asked.tag, pending.query.octets, message, None, seconds, pending.attempts)
        )

    def _silent(self, pending: _Pending[Tag]) -> None:
        """No answer came, as it is meant; a listener that is not there is as silent."""
        self._lonely -= pending.is_lonely
        self._held.append(pending)
        if self._heard_at is not None and self._heard_at >= pending.sent_at:
            self._release()

    def _release(self) -> None:
        """The listener speaks, so it has chosen to be silent."""
        for pending in self._held:
            self.counts.silent_as_meant += 1
            self.outcomes.append(
                Outcome(pending.asked.tag, pending.query.octets, None, None, 0.0, pending.attempts)
            )
        self._held.clear()

    def _failed(self, pending: _Pending[Tag], kind: Kind, now: float) -> None:
        self._lonely -= pending.is_lonely
        # Of repeated questions, which come slowly, of upstreams' failures and of connections that others'
        # questions have ended nothing is learnt of the rate.
        is_telling = pending.attempts == 1 and not pending.asked.is_upstreams and kind is not Kind.CLOSED
        self._note(is_bad=is_telling, now=now)
        pending.trouble = kind
        self._vain += 1
        if self._is_silent(now):
            self.counts.is_dead = True
            self._end(pending, kind)
            self.stop()
            return
        if pending.attempts > 1:
            self._repeats.append(True)
            if len(self._repeats) == FUTILE_AFTER and sum(self._repeats) >= FUTILE_SHARE * FUTILE_AFTER:
                # It is no haste: ask the rest once, and not at a crawl.
                self._is_futile = True
                self._qps = max(self._qps, self._limit_qps / 4)
        is_last = pending.attempts >= self._attempts_max(pending, kind) or self._is_futile
        if is_last or (pending.attempts == 1 and self._again_count >= AGAIN_MAX):
            self._end(pending, kind)
            return
        self._again_count += pending.attempts == 1
        self._serial += 1
        pause_s = self._pauses_s[min(pending.attempts, len(self._pauses_s)) - 1]
        heapq.heappush(self._again, (now + pause_s, self._serial, pending))

    def _is_silent(self, now: float) -> bool:
        """Whether nothing is to be hoped for: a listener that never spoke, or not for long."""
        if self._vain < DEAD_AFTER:
            return False
        return self._heard_at is None or now - self._heard_at > DEAD_S

    def _attempts_max(self, pending: _Pending[Tag], kind: Kind) -> int:
        if pending.asked.is_upstreams:
            return UPSTREAM_ATTEMPTS_MAX
        return HASTY_ATTEMPTS_MAX if kind in _HASTE else ATTEMPTS_MAX

    def _end(self, pending: _Pending[Tag], kind: Kind) -> None:
        if pending.is_control:
            held, self._held = self._held, []
            for one in held:
                self._end(one, Kind.NO_ANSWER)
            return
        self.counts.servfail += kind is Kind.SERVFAIL
        self.counts.unanswered += kind is not Kind.SERVFAIL
        self.outcomes.append(
            Outcome(
                pending.asked.tag,
                pending.query.octets,
                pending.last,
                pending.trouble or kind,
                0.0,
                pending.attempts,
            )
        )

    def _note(self, *, is_bad: bool, now: float) -> None:
        """Slow down where many fail, and come back slowly where none does."""
        self._window.append(is_bad)
        if len(self._window) < WINDOW:
            return
        share = sum(self._window) / WINDOW
        if share > BAD_SHARE_MAX and not self._is_futile:
            self._qps = max(RATE_MIN_QPS, self._qps / 2)
            self._next_at = max(self._next_at, now) + PAUSE_S
            self.counts.lowest_qps = min(self.counts.lowest_qps, self._qps)
            self._window.clear()
        elif not share:
            self._qps = min(self._limit_qps, self._qps * GROWTH)
            self._window.clear()

    def _suspect(self, pending: _Pending[Tag] | None, lonely_id: int | None, kind: Kind) -> None:
        pending = pending or (self._out.get(lonely_id) if lonely_id is not None else None)
        if pending is not None:
            pending.trouble = kind

    def _asked_the_same(self, message: Message) -> _Pending[Tag] | None:
        return next((one for one in self._out.values() if _answers(message, one.query)), None)

    def _wake_at(self, now: float) -> float:
        wake_at = now + 1.0
        if self._deadlines:
            wake_at = min(wake_at, self._deadlines[0][0])
        if self._is_control_due or (not self._is_exhausted and len(self._out) < OUTSTANDING_MAX):
            wake_at = min(wake_at, self._next_at)
        if self._again and self._lonely < LONELY_MAX:
            wake_at = min(wake_at, max(self._again[0][0], self._next_at))
        return wake_at


_HASTE = (Kind.REFUSED, Kind.SERVFAIL)


def _answers(message: Message, query: Query) -> bool:
    """Whether it is a response to this question, in whatever case it repeats the name."""
    if not message.flags & 0x8000:
        return False
    if not message.questions:
        # RFC 1035 asks for the question; some servers leave it out when they refuse or cannot read.
        return message.rcode in (1, 4, 5) and not message.answer
    (qname, qtype, qclass), *others = message.questions
    return not others and qname.lower() == query.qname and (qtype, qclass) == (query.qtype, query.qclass)


def _takes(asked: Asked[Tag], message: Message, kind: Kind) -> bool:
    if asked.is_silence or kind in asked.takes:
        return True
    return (bool(message.flags & 0x0200), message.rcode) == asked.like


def _haste_of(message: Message) -> Kind | None:
    """What a resolver says that limits rates; it may mean something else, too."""
    if message.flags & 0x0200 and not message.answer:
        return Kind.TRUNCATED
    if message.rcode == 5:
        return Kind.REFUSED
    if message.rcode == 2:
        return Kind.SERVFAIL
    return None
