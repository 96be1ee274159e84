"""Asks the upstreams, has what came of it kept, and tells all who wait.

Knows: transactions and how to carry out their steps; which questions are in flight.  Does not
know: sockets (see `network`), policy, the cache (`keep` is given).

A flight keeps, then tells: its result is kept once, however many wait for it, and also if nobody does.
Callbacks instead of tasks: a miss costs one transaction, one table entry and one slot in the
deadline wheel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from resolver.clock import Clock
from resolver.forwarding.adoption import adopted_attempt
from resolver.forwarding.bounds import DATAGRAM_COST, PACKETS_PER_QUESTION_MAX, STREAM_COST
from resolver.forwarding.change_log import ChangeLog, note_oddity
from resolver.forwarding.deadlines import Deadlines
from resolver.forwarding.network import Network, SendError
from resolver.forwarding.plan import ForwardPlan, UpstreamSet
from resolver.forwarding.steps import EXPLANATIONS, Answered, Attempt, Failed, RandomSource, Step, Wait
from resolver.forwarding.transaction import Transaction
from resolver.forwarding.upstream import Upstream
from resolver.plane import Handover
from resolver.wire.numbers import ExtendedError
from resolver.wire.question import Question

__all__ = ["Answered", "Done", "Failed", "Forwarder", "Keep"]

Done = Callable[[Answered | Failed], None]
"""Called with what became of a question; must not raise."""

Keep = Callable[[Question, Answered | Failed, float], Any]
"""Keeps what upstreams said of a question, at a monotonic time; its value goes into `Answered.kept`."""

IN_FLIGHT_MAX = 4096
"""Default bound on questions in flight; at 20,000 misses a second, 200 ms of upstream delay."""

LOST_IN_FLIGHT_MAX = 256
"""Questions that are on their way while all upstreams that are for them are down; further ones fail at once.
As many as find one that is back, and few enough to leave the others some of this core."""

WAITERS_MAX = 16_384
"""Askers that share one question: a whole network that comes back from an outage asks for the same few
names at once.  What all questions together may hold is bounded by the service."""

SLOW_S = 0.2
"""A question in flight for longer gives its place up when the table is full (as in Unbound's jostle list)."""

TOLD_AT_ONCE_MAX = 256
"""Waiters told in one turn of the loop, at most: of small answers some 4 ms of work."""

TELLING_S_MAX = 0.001
"""A turn in which so much has passed ends sooner: an answer of 64 kB takes longer than a small one."""

TOLD_UNTIMED = 16
"""Waiters told between two looks at the clock."""

DEFECTS_LOGGED_MAX = 20
"""Defects shown in the log; later ones are only counted."""

_log = logging.getLogger(__name__)

_OVERLOAD = Failed("overload", (ExtendedError.NETWORK_ERROR, "too many questions in flight"))
_YIELDED = Failed("overload", (ExtendedError.NETWORK_ERROR, "gave its place to a newer question"))
_CLOSED = Failed("closed", (ExtendedError.NOT_READY, "the resolver is shutting down"))

_Key = tuple[Question, int]
"""The question and the number of the set of upstreams that is asked."""


class NativeClaims(Protocol):
    """Another plane that asks the same upstreams; no question is to be out twice."""

    def claim(self, question: Question) -> Sequence[Any] | None:
        """We ask this question ourselves, until `release`.

        Those who wait for it there, for join_waiters, if it has been asked: its attempt is then handed over
        (see `adopt`) whatever becomes of it.  None: it has not.
        """

    def join_waiters(self, waiters: Sequence[Any]) -> None:
        """Let them `ask`: the question is in flight here now."""

    def release(self, question: Question) -> None:
        """We are done with this question."""


class Asks(Protocol):
    """What the flow needs of a forwarder."""

    def covers(self, qname: bytes) -> bool:
        """Whether a `forward` suffix is at or above `qname`."""
        ...

    def ask(self, question: Question, done: Done) -> None:
        """Ask; `done` is called exactly once."""
        ...


class Forwarder:
    """Asks the upstreams of `plan` over `network`.

    Counters, plain ints: `asked`, `coalesced` (joined a question in flight), `overloads`
    (failed because a table was full), `defects` (`keep` or a `done` raised); per upstream see `Upstream`.
    """

    def __init__(
        self,
        plan: ForwardPlan,
        network: Network,
        clock: Clock,
        entropy: RandomSource,
        *,
        keep: Keep,
        timeout_s: float = 2.0,
        in_flight_max: int = IN_FLIGHT_MAX,
        waiters_max: int = WAITERS_MAX,
    ) -> None:
        self.plan = plan
        self.upstreams = plan.upstreams
        self.covers = plan.covers
        self._network = network
        self._now = clock.now
        self._call_later = clock.call_later
        self._entropy = entropy
        self._keep = keep
        self._timeout_s = timeout_s
        self._in_flight_max = in_flight_max
        self._waiters_max = waiters_max
        self._in_flight: dict[_Key, _Flight] = {}
        self._probes: set[_Flight] = set()
        self._deadlines = Deadlines(clock)
        self._changes = ChangeLog(clock, plan.zones)
        self._is_closed = False
        self.other_plane: NativeClaims | None = None
        self.asked = 0
        self.coalesced = 0
        self.overloads = 0
        self.defects = 0
        for upstream in plan.upstreams:
            upstream.on_change.append(self._changes.note)
            upstream.oddities.on_learnt.append(partial(note_oddity, upstream))

    @property
    def pending(self) -> int:
        """Questions in flight."""
        return len(self._in_flight)

    @property
    def probing(self) -> int:
        """Probes in flight: copies of questions, whose answers are neither kept nor waited for."""
        return len(self._probes)

    @property
    def hedges(self) -> int:
        """Questions that a second upstream was asked because the first was slow."""
        return self.plan.hedges

    @property
    def stalls(self) -> int:
        """Times a deadline's timer came so late that the event loop must have been stalled."""
        return self._deadlines.stalls

    def ask(self, question: Question, done: Done | None = None) -> None:
        """Ask the upstreams that are for this name.

        `done` is called exactly once, after the result was kept: later, from the event loop; or before `ask`
        returns, if the question fails at once (too many in flight, no upstream can be sent to, closed).
        Without `done` nobody waits: the result is kept, and that is all.
        """
        self.asked += 1
        plan = self.plan
        upstreams = plan.set_for(question.qname) if plan.suffixes else plan.default
        key = (question, upstreams.index)
        flight = self._in_flight.get(key)
        if flight is not None:
            if done is None:
                self.coalesced += 1
            elif len(flight.waiters) >= self._waiters_max:
                self.overloads += 1
                done(_OVERLOAD)
            else:
                self.coalesced += 1
                flight.waiters.append(done)
            return
        refusal = self._refusal(upstreams)
        if refusal is not None:
            if done is not None:
                done(refusal)
            return
        now = self._now()
        packets_max = PACKETS_PER_QUESTION_MAX
        if now >= upstreams.probe_at:
            packets_max -= self._probe(upstreams, question, now)
        line = upstreams.line_for_one(now, self._entropy)
        flight = self._new_flight(question, line, now + self._timeout_s, packets_max)
        flight.key = key
        flight.upstreams = upstreams
        flight.race = upstreams.race
        hedge_s = upstreams.hedge_after_s(line[0], now)
        if hedge_s is not None:
            flight.hedge_at = now + hedge_s
        if done is not None:
            flight.waiters.append(done)
        self._in_flight[key] = flight
        if self.other_plane is not None and self._is_asked_by(self.other_plane, flight):
            return
        self._follow(flight, flight.start(now))

    def _refusal(self, upstreams: UpstreamSet) -> Failed | None:
        """Why one more question is not asked; None: it is."""
        if self._is_closed:
            return _CLOSED
        in_flight = len(self._in_flight)
        if in_flight >= self._in_flight_max and not self._makes_room():
            self.overloads += 1
            return _OVERLOAD
        if in_flight >= LOST_IN_FLIGHT_MAX:
            word = upstreams.failure
            if word is not None and not self._makes_room(upstreams.index):
                self.overloads += 1
                return Failed(word, EXPLANATIONS[word])
        return None

    def _makes_room(self, index: int | None = None) -> bool:
        """Whether the oldest question gives its place up: if it is slow, as in Unbound's jostle list.

        With `index` only one to these upstreams does.
        """
        key, oldest = next(iter(self._in_flight.items()), (None, None))
        if key is None or oldest is None or (index is not None and key[1] != index):
            return False
        if self._now() < oldest._deadline - self._timeout_s + SLOW_S:
            return False
        self.overloads += 1
        oldest.is_finished = True
        self._finish(oldest, _YIELDED)
        return True

    def ask_one(self, upstream: Upstream, question: Question, done: Done) -> None:
        """Ask this upstream alone, be it up or down; `done` is called exactly once, and nothing is kept."""
        self.ask_these((upstream,), question, done)

    def ask_these(self, upstreams: Sequence[Upstream], question: Question, done: Done) -> None:
        """Ask these, whoever else there is; `done` is called exactly once, and nothing is kept."""
        if self._is_closed:
            done(_CLOSED)
            return
        now = self._now()
        flight = self._new_flight(question, upstreams, now + self._timeout_s, PACKETS_PER_QUESTION_MAX)
        flight.waiters.append(done)
        self._probes.add(flight)
        self._follow(flight, flight.start(now))

    def _is_asked_by(self, other_plane: NativeClaims, flight: _Flight) -> bool:
        """Whether `flight` waits for the attempt of the other plane, which knows of it in any case."""
        flight.is_wanted = True
        waiters = other_plane.claim(flight.question)
        if waiters is None:
            return False
        # Should the attempt get lost on its way here, the question is asked after all.
        flight.wait_for_the_first(self._now())
        self._deadlines.set(flight, flight.wake_at)
        other_plane.join_waiters(waiters)
        return True

    def adopt(self, handover: Handover, upstream: Upstream, done: Done) -> Attempt | None:
        """Take over a question that another plane has asked `upstream` first; None: there is no room.

        The caller gives the attempt its ticket, lets those who wait `ask` (they join it), then says `go_on`.
        `done` is called with what became of the question, as theirs are.
        """
        question = Question(*handover.question)
        upstreams = self.plan.set_for(question.qname)
        key = (question, upstreams.index)
        flight = self._in_flight.get(key)
        if flight is None:
            if self._is_closed or (len(self._in_flight) >= self._in_flight_max and not self._makes_room()):
                return None
            others = [other for other in upstreams.order(self._now()) if other is not upstream]
            deadline = handover.sent_at + self._timeout_s
            flight = self._new_flight(question, (upstream, *others), deadline, PACKETS_PER_QUESTION_MAX)
            flight.key = key
            flight.upstreams = upstreams
            self._in_flight[key] = flight
        # From here on the ticket holds the other plane's mark: two who let go of it might free another's.
        flight.is_wanted = False
        flight.waiters.append(done)
        attempt = adopted_attempt(handover, upstream, self._timeout_s)
        if attempt.due_at > handover.due_at:
            flight.hedge_at = handover.due_at  # the other plane was told to wait no longer than that
        flight.take_in(attempt)
        self._deadlines.set(flight, flight.wake_at)
        return attempt

    def go_on(self, attempt: Attempt, octets: bytes | None, reason: str, sends: int | None = None) -> None:
        """An adopted attempt received `octets`, or ended for `reason`, or is due, or goes on as it is."""
        if octets is not None:
            attempt.on_octets(octets)
        elif reason == "timeout":
            if isinstance(attempt.transaction, _Flight):
                attempt.transaction.on_due(self._now())
        elif reason != "recalled":
            attempt.on_error(reason, sends)

    async def close(self) -> None:
        """Fail what is in flight and close the network."""
        self._is_closed = True
        for flight in [*self._in_flight.values(), *self._probes]:
            flight.is_finished = True
            self._finish(flight, _CLOSED)
        self._deadlines.close()
        self._changes.close()
        self._network.close()

    def _probe(self, upstreams: UpstreamSet, question: Question, now: float) -> int:
        """Send a copy of a question to an upstream we want to hear from; returns the packets it may take.

        What comes of it is not kept: the question itself is in flight beside it, and its own result is.
        """
        target = upstreams.probe_target(now)
        if target is None or len(self._probes) >= len(self.upstreams):
            return 0
        cost = STREAM_COST if target.is_stream else DATAGRAM_COST
        timeout_s = target.attempt_timeout_s() * cost
        question = upstreams.probe_question(target, question)
        flight = self._new_flight(question, (target,), now + timeout_s, cost)
        self._probes.add(flight)
        self._follow(flight, flight.start(now))
        return cost

    def _new_flight(
        self, question: Question, candidates: Sequence[Upstream], deadline: float, packets_max: int
    ) -> _Flight:
        """A flight that nobody waits for and that is in no table yet."""
        flight = _Flight(question, candidates, self._entropy, deadline, packets_max)
        flight._bucket = 0
        flight.forwarder = self
        flight.key = None
        flight.upstreams = None
        flight.waiters = []
        flight.is_wanted = False
        return flight

    def _follow(self, flight: _Flight, step: Step) -> None:
        """Carry out `step` and those that follow from it at once."""
        while True:
            if type(step) is Attempt:
                carry = self._network.ask_stream if step.is_stream else self._network.send_datagram
                ticket = carry(step.upstream, step.octets, step)
                if type(ticket) is SendError:
                    step = flight.on_error(step, ticket.reason, self._now(), 0)
                    continue
                step.ticket = ticket  # type: ignore[assignment]
            elif type(step) is not Wait:
                self._finish(flight, step)  # type: ignore[arg-type]
                return
            if flight.race > 1:
                step = flight.race_on(self._now())
                if type(step) is Attempt:
                    continue
            self._deadlines.set(flight, flight.wake_at)
            if len(flight.attempts) > 1:
                flight.close_those_over()
            return

    def _finish(self, flight: _Flight, result: Answered | Failed) -> None:
        """Release everything first, then keep, then tell: a waiter may ask again at once."""
        self._deadlines.discard(flight)
        for attempt in flight.release():
            ticket = attempt.ticket
            if ticket is not None:
                attempt.ticket = None
                ticket.close()
        if flight.key is None:
            self._probes.discard(flight)
            self._tell(flight.waiters, result)
            return
        del self._in_flight[flight.key]
        if result is not _CLOSED and result is not _YIELDED:  # they say nothing of the question
            self._keep_result(flight.question, result)
        if flight.is_wanted and self.other_plane is not None:
            # Not before it is kept, or the other plane might ask once more.
            self.other_plane.release(flight.question)
        waiters = flight.waiters
        if len(waiters) <= TOLD_UNTIMED or self._is_closed:
            self._tell(waiters, result)
        else:
            self._tell_in_turns(waiters, result)

    def _keep_result(self, question: Question, result: Answered | Failed) -> None:
        try:
            kept = self._keep(question, result, self._now())
        except Exception:
            # What cannot be kept can still be told.
            self._on_defect("what an upstream said could not be kept")
            return
        if type(result) is Answered:
            result.kept = kept

    def _tell_in_turns(self, waiters: list[Done], result: Answered | Failed, first: int = 0) -> None:
        """Tell a crowd a part at a time: others' questions are answered in between."""
        began = self._now()
        last = first + TOLD_AT_ONCE_MAX
        while first < min(last, len(waiters)):
            self._tell(waiters[first : first + TOLD_UNTIMED], result)
            first += TOLD_UNTIMED
            if self._now() - began >= TELLING_S_MAX:
                break
        if first < len(waiters):
            self._call_later(0.0, lambda: self._tell_in_turns(waiters, result, first))

    def _tell(self, waiters: list[Done], result: Answered | Failed) -> None:
        for done in waiters:
            try:
                done(result)
            except Exception:
                # One waiter's defect must not rob the others of their answer.
                self._on_defect("a waiter for an upstream answer raised")

    def _on_defect(self, what: str) -> None:
        """Count a defect of ours, and show the first ones.  Call inside `except`."""
        self.defects += 1
        if self.defects <= DEFECTS_LOGGED_MAX:
            _log.exception(what)


class _Flight(Transaction):
    """One question in flight: a transaction with its waiters."""

    __slots__ = ("_bucket", "forwarder", "is_wanted", "key", "upstreams", "waiters")

    _bucket: int
    """See `deadlines.Timed`."""
    forwarder: Forwarder
    key: _Key | None
    """Its place in the table of those in flight; None: it has none, for what comes of it is not kept."""
    is_wanted: bool
    """Whether the other plane knows that we ask it."""
    upstreams: UpstreamSet | None
    """Whom it is asked of; None: of one upstream alone."""
    waiters: list[Done]

    def may_hedge(self) -> bool:
        """See `Transaction`."""
        return self.upstreams is not None and self.upstreams.take_hedge(self.attempts[0].upstream)

    def hear(self, attempt: Attempt, octets: bytes) -> None:
        """See `Transaction`."""
        if self.is_finished:
            return
        forwarder = self.forwarder
        step = self.on_octets(attempt, octets, forwarder._now())
        if type(step) is Answered:
            forwarder._finish(self, step)
        else:
            forwarder._follow(self, step)

    def lose(self, attempt: Attempt, reason: str, sends: int | None) -> None:
        """See `Transaction`."""
        if not self.is_finished:
            forwarder = self.forwarder
            forwarder._follow(self, self.on_error(attempt, reason, forwarder._now(), sends))

    def on_due(self, now: float) -> None:
        """See `Timed`."""
        if not self.is_finished:
            self.forwarder._follow(self, self.on_timer(now))

    def close_those_over(self) -> None:
        """Give up the tickets of attempts that no longer count."""
        for attempt in self.attempts:
            if attempt.is_over and attempt.ticket is not None:
                attempt.ticket.close()
                attempt.ticket = None
