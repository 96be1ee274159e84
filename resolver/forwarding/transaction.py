"""The whole life of one question to the upstreams, as decisions without I/O.

Knows: whom to ask next, for how long to wait, what a reply means for the next step.  Does not
know: sockets, the clock (`now` is an argument), who waits for the answer.

Theory of operation.  Each event (`start`, `on_octets`, `on_error`, `on_timer`) returns one step:
an `Attempt` to send, `WAIT`, or the end of it, `Answered` or `Failed`.  After every step but the last the
shell calls `on_timer` at `wake_at`.

* An attempt that stays silent too long is not given up: the next upstream in line (or the same one, if
  there is no other) is asked as well, and whoever answers first wins.
* A bad packet is dropped and its attempt keeps listening, for a good one may follow.  If it looks like a
  forgery (RFC 5452), the question also goes to the same upstream over TCP, and from then on UDP's answer
  is only held, for the case that TCP fails.  After `BAD_PACKETS_MAX` the attempt listens no more.
* TC=1 goes to TCP.  FORMERR and the like to our EDNS: once more without.  Any other failure code: the
  upstream is out for this question, and the next one is asked at once.
* Whatever happens, at most `PACKETS_PER_QUESTION_MAX` queries leave.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from resolver.forwarding.upstream import Upstream
from resolver.wire.encode import encode_question
from resolver.wire.numbers import ExtendedError, Qclass, Rcode
from resolver.wire.question import Question
from resolver.wire.response import (
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
    accept_response,
)

PACKETS_PER_QUESTION_MAX = 8
"""Queries sent upstream for one question, retries, failover, TCP and probes included."""

DATAGRAM_COST = 1
STREAM_COST = 2
"""A TCP attempt may be sent twice: a reused connection that breaks is replaced once."""

BAD_PACKETS_MAX = 8
"""Bad packets that one attempt reads before it stops listening: a forger gets no more guesses."""

ABANDONED = "abandoned"
"""Why an attempt is lost that nothing can be held against: its upstream is asked again, none the worse."""

TIMER_SLACK_S = 1e-6
"""A timer may fire this much early, by rounding."""

_IN = int(Qclass.IN)
_TYPE_CLASS = struct.Struct("!HH").pack


class RandomSource(Protocol):
    """What a transaction needs to be unpredictable (`entropy.Entropy` in a server)."""

    def query_id(self) -> int: ...

    def mix_case(self, qname: bytes) -> bytes: ...


class Closable(Protocol):
    """What the shell keeps for an attempt that is out."""

    def close(self) -> None: ...


class Attempt(SentQuery):
    """One query to one upstream; as a step: send it, and if that is impossible, call `on_error`.

    It is what was sent, and its own receiver (see `network.Receiver`): it passes what it hears to its
    transaction.  That makes it, field by field: each further object, and each call of an `__init__`,
    shows in the cost of a miss.
    """

    __slots__ = (
        "bad_packets",
        "due_at",
        "is_late",
        "is_over",
        "octets",
        "sent_at",
        "ticket",
        "transaction",
        "upstream",
        "verifier",
    )

    transaction: Transaction
    upstream: Upstream
    octets: bytes
    """The whole message."""
    sent_at: float
    due_at: float
    """When its upstream is thought too slow; the attempt goes on listening."""
    is_over: bool
    """Nothing it receives counts any more."""
    is_late: bool
    bad_packets: int
    verifier: Attempt | None
    """The TCP attempt that a near miss on this one started."""
    ticket: Closable | None
    """The shell's; None when not sent or given up."""

    def on_octets(self, octets: bytes) -> None:
        """See `network.Receiver`."""
        self.transaction.hear(self, octets)

    def on_error(self, reason: str) -> None:
        """See `network.Receiver`."""
        self.transaction.lose(self, reason)


@dataclass(slots=True)
class Wait:
    """Nothing to send now."""


@dataclass(slots=True)
class Answered:
    """An upstream gave a usable answer."""

    response: Response
    upstream: Upstream
    kept: Any = None
    """What the keeper made of it; carried for those who wait, never read here."""


@dataclass(slots=True)
class Failed:
    """No usable answer.  `reason`: timeout, network, rcode, chain, malformed, overload or closed."""

    reason: str
    ede: tuple[int, str]
    """What to tell the client (RFC 8914): code and text."""


Step = Attempt | Wait | Answered | Failed

WAIT = Wait()

_EXPLANATIONS: dict[str, tuple[int, str]] = {
    "timeout": (ExtendedError.NO_REACHABLE_AUTHORITY, "no upstream answered in time"),
    "network": (ExtendedError.NETWORK_ERROR, "no upstream can be reached"),
    "rcode": (ExtendedError.OTHER, "the upstreams answered with a failure"),
    "chain": (ExtendedError.OTHER, "the chain of CNAMEs is too long or runs in a circle"),
    "malformed": (ExtendedError.INVALID_DATA, "the upstreams sent no valid answer"),
}

_RCODE_REASONS: dict[int, str] = {Rcode.SERVFAIL: "servfail", Rcode.REFUSED: "refused"}


class Transaction:
    """One question; see the module's docstring.

    The shell that carries out the steps is a subclass: one object, not two, for each question.
    """

    __slots__ = (
        "_candidates",
        "_chance",
        "_deadline",
        "_held",
        "_out",
        "_packets_max",
        "_turn",
        "_why",
        "attempts",
        "is_finished",
        "packets",
        "question",
        "wake_at",
    )

    def __init__(
        self,
        question: Question,
        candidates: Sequence[Upstream],
        chance: RandomSource,
        deadline: float,
        packets_max: int = PACKETS_PER_QUESTION_MAX,
    ) -> None:
        self.question = question
        self._candidates = candidates
        self._chance = chance
        self._deadline = deadline
        self._packets_max = packets_max
        self._out: tuple[Upstream, ...] = ()
        self._held: Answered | None = None
        self._turn = 0
        self._why = "timeout"
        self.attempts: list[Attempt] = []
        self.packets = 0
        self.wake_at = deadline
        self.is_finished = False

    @abstractmethod
    def hear(self, attempt: Attempt, octets: bytes) -> None:
        """The shell's: call `on_octets` and carry out what follows."""

    @abstractmethod
    def lose(self, attempt: Attempt, reason: str) -> None:
        """The shell's: call `on_error` and carry out what follows."""

    def start(self, now: float) -> Step:
        """The first step."""
        upstream = self._candidates[0]
        step = self._send(upstream, now >= upstream.edns_refused_until, upstream.is_stream, now)
        if step is None:
            return self._end()
        self._turn = 1
        return step

    def take_in(self, attempt: Attempt) -> None:
        """Go on from `attempt`, which was sent elsewhere, as if it had been sent from here."""
        attempt.transaction = self
        self.attempts.append(attempt)
        self.packets += DATAGRAM_COST
        if self._turn == 0:
            self._turn = 1  # it was the first step
        self.wake_at = min(self.wake_at, attempt.due_at)

    def wait_for_the_first(self, now: float) -> None:
        """Send nothing yet: the first attempt is out already and will be taken in, unless it is lost."""
        self.wake_at = min(self.wake_at, now + self._candidates[0].attempt_timeout_s())

    def on_octets(self, attempt: Attempt, octets: bytes, now: float) -> Step:
        """Something came in for `attempt`."""
        if attempt.is_over or self.is_finished:
            return WAIT
        result = accept_response(octets, attempt)
        if type(result) is Refused:
            return self._on_bad_packet(attempt, result, now)
        upstream = attempt.upstream
        # A TCP attempt to a UDP upstream says nothing of how it is normally reached.
        is_measured = attempt.is_stream is upstream.is_stream
        if type(result) is Response:
            upstream.on_answer(now - attempt.sent_at, now, is_measured)
            return self._on_response(attempt, result, now)
        upstream.on_answer(now - attempt.sent_at, now, is_measured, False)
        if type(result) is Truncated:
            return self._on_truncated(attempt, now)
        assert isinstance(result, UpstreamFailure)
        return self._on_failure_code(attempt, result, now)

    def on_error(self, attempt: Attempt, reason: str, now: float) -> Step:
        """`attempt` could not be sent, or its socket broke; `ABANDONED`: whoever sent it can hear no more."""
        if attempt.is_over or self.is_finished:
            return WAIT
        attempt.is_over = True
        if reason == ABANDONED:
            if self._earliest_due() is not None:
                return WAIT
            return self._send(attempt.upstream, attempt.edns, attempt.is_stream, now) or self._advance(now)
        attempt.upstream.on_failure(reason, now)
        self._why = "network"
        return self._give_up_on(attempt, now)

    def on_timer(self, now: float) -> Step:
        """`wake_at` has come."""
        if self.is_finished:
            return WAIT
        due = now + TIMER_SLACK_S
        for attempt in self.attempts:
            if attempt.due_at <= due and not attempt.is_late and not attempt.is_over:
                attempt.is_late = True
                attempt.upstream.on_failure("timeout", now)
                self._why = "timeout"
        if due >= self._deadline:
            return self._end()
        if self._held is not None and not self._is_being_verified():
            return self._finish(self._held)
        patient = self._earliest_due()
        if patient is not None:
            self.wake_at = min(patient, self._deadline)
            return WAIT
        return self._advance(now)

    def release(self) -> list[Attempt]:
        """Hand over the attempts of a finished transaction; without this it would be garbage in a ring."""
        attempts = self.attempts
        self.attempts = []
        return attempts

    # What a reply means.

    def _on_response(self, attempt: Attempt, response: Response, now: float) -> Step:
        upstream = attempt.upstream
        if not attempt.edns and now >= upstream.edns_refused_until:
            # Only success without EDNS shows that EDNS was the trouble, not the question.
            upstream.refuse_edns(now)
        if not upstream.trust_ad:
            # An AD bit is worth what its sender is worth (RFC 4035 §3.2.3, §4.9.3).
            response.authentic_data = False
        answered = Answered(response, upstream)
        verifier = attempt.verifier
        if verifier is not None and not verifier.is_over and not verifier.is_late:
            attempt.is_over = True
            self._held = answered
            return WAIT
        self.is_finished = True
        return answered

    def _on_bad_packet(self, attempt: Attempt, refused: Refused, now: float) -> Step:
        upstream = attempt.upstream
        upstream.failures["near_miss" if refused.near_miss else "malformed"] += 1
        self._why = "malformed"
        if attempt.is_stream:
            # Nobody can slip a forged message into our connection: this upstream is broken.
            attempt.is_over = True
            return self._give_up_on(attempt, now)
        attempt.bad_packets += 1
        if attempt.bad_packets >= BAD_PACKETS_MAX:
            attempt.is_over = True
        if attempt.verifier is None and (refused.near_miss or attempt.is_over):
            step = self._send(upstream, attempt.edns, True, now)
            if step is not None:
                attempt.verifier = step
                return step
        if attempt.is_over and (attempt.verifier is None or attempt.verifier.is_over):
            return self._give_up_on(attempt, now)
        return WAIT

    def _on_truncated(self, attempt: Attempt, now: float) -> Step:
        attempt.is_over = True
        if attempt.is_stream:
            # TC=1 over TCP makes no sense; do not go round in circles.
            attempt.upstream.on_refusal("malformed", now)
            self._why = "malformed"
            return self._give_up_on(attempt, now)
        attempt.upstream.failures["truncated"] += 1
        for other in self.attempts:
            if other.is_stream and not other.is_over and other.upstream is attempt.upstream:
                return WAIT
        return self._send(attempt.upstream, attempt.edns, True, now) or self._give_up_on(attempt, now)

    def _on_failure_code(self, attempt: Attempt, failure: UpstreamFailure, now: float) -> Step:
        attempt.is_over = True
        upstream = attempt.upstream
        if attempt.verifier is not None and not attempt.verifier.is_over:
            return WAIT
        if failure.edns_refused and attempt.edns:
            upstream.failures["edns"] += 1
            # RFC 6891 §7: FORMERR or NOTIMP may mean that it does not know EDNS.
            step = self._send(upstream, False, attempt.is_stream, now)
            if step is not None:
                return step
        upstream.on_refusal(_RCODE_REASONS.get(failure.rcode, "rcode"), now)
        self._why = "chain" if failure.has_endless_chain else "rcode"
        return self._give_up_on(attempt, now)

    # Where to go next.

    def _give_up_on(self, attempt: Attempt, now: float) -> Step:
        """`attempt` is over without an answer: what is left of this question?"""
        upstream = attempt.upstream
        for other in self.attempts:
            if other.verifier is attempt:
                if self._held is not None:
                    return self._finish(self._held)
                if not other.is_over:
                    # TCP does not work there: go on listening to UDP for a while.
                    other.due_at = max(other.due_at, now + upstream.attempt_timeout_s())
                    self.wake_at = min(other.due_at, self._deadline)
                    return WAIT
        self._out = (*self._out, upstream)
        for other in self.attempts:
            if other.upstream is upstream:
                other.is_over = True
        if self._earliest_due() is not None:
            return WAIT
        return self._advance(now)

    def _advance(self, now: float) -> Step:
        """Ask the next upstream in line; with none left, wait for those asked, or end."""
        candidates = self._candidates
        for _ in candidates:
            upstream = candidates[self._turn % len(candidates)]
            self._turn += 1
            if upstream not in self._out:
                step = self._send(upstream, now >= upstream.edns_refused_until, upstream.is_stream, now)
                if step is not None:
                    return step
        for attempt in self.attempts:
            if not attempt.is_over:
                self.wake_at = self._deadline
                return WAIT
        return self._end()

    def _send(self, upstream: Upstream, edns: bool, is_stream: bool, now: float) -> Attempt | None:
        """A new attempt, unless packets or time have run out."""
        cost = STREAM_COST if is_stream else DATAGRAM_COST
        packets = self.packets + cost
        if packets > self._packets_max or now + TIMER_SLACK_S >= self._deadline:
            return None
        self.packets = packets
        attempt = Attempt.__new__(Attempt)
        attempt.transaction = self
        attempt.upstream = upstream
        attempt.id = query_id = self._chance.query_id()
        # 0x20: a forger must also guess the case of every letter.  TCP has no need of it.
        name, qtype, dnssec_ok, checking_disabled = self.question
        attempt.name = name
        attempt.qname = qname = name if is_stream else self._chance.mix_case(name)
        attempt.qtype = qtype
        attempt.qclass = _IN
        attempt.edns = edns
        attempt.dnssec_ok = dnssec_ok = dnssec_ok and edns
        attempt.is_stream = is_stream
        attempt.question_octets = octets = qname + _TYPE_CLASS(qtype, _IN)
        attempt.octets = encode_question(query_id, octets, dnssec_ok, checking_disabled, edns)
        attempt.sent_at = now
        timeout_s = upstream.attempt_timeout_s() * cost
        attempts = self.attempts
        if attempts:
            # Each round is twice as patient: a slow answer must not meet a storm.
            timeout_s *= 2 ** sum(1 for a in attempts if a.upstream is upstream and a.is_late)
        attempt.due_at = due_at = now + timeout_s
        attempt.is_over = attempt.is_late = False
        attempt.bad_packets = 0
        attempt.verifier = attempt.ticket = None
        attempts.append(attempt)
        upstream.queries += 1
        self.wake_at = due_at if due_at < self._deadline else self._deadline
        return attempt

    def _earliest_due(self) -> float | None:
        """When the next attempt still given time will have used it up."""
        dues = [a.due_at for a in self.attempts if not a.is_over and not a.is_late]
        return min(dues) if dues else None

    def _is_being_verified(self) -> bool:
        return any(
            a.verifier is not None and not a.verifier.is_over and not a.verifier.is_late
            for a in self.attempts
        )

    def _end(self) -> Step:
        """Nothing more can be done or time is up."""
        return self._finish(self._held or Failed(self._why, _EXPLANATIONS[self._why]))

    def _finish(self, step: Answered | Failed) -> Step:
        self.is_finished = True
        return step
