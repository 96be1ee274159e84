"""Whom a question asks next: the upstreams in line, what each may be sent, and when that is over.

Knows: the line, packets and time that are left.  Does not know: what a reply means (`transaction`, which is
this with events), sockets, the clock (`now` is an argument).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from resolver.forwarding.bounds import (
    ABANDONED_MAX,
    AGAIN_S,
    ANSWERS_LATELY_S,
    DATAGRAM_COST,
    GIVEN_BACK_MAX,
    GONE_FOR_LONG_S,
    PACKETS_PER_QUESTION_MAX,
    STREAM_COST,
    TIMER_SLACK_S,
)
from resolver.forwarding.oddities import Trial
from resolver.forwarding.patience import attempt_patience_s
from resolver.forwarding.steps import (
    EXPLANATIONS,
    WAIT,
    Answered,
    Attempt,
    Failed,
    RandomSource,
    Step,
    new_attempt,
)
from resolver.forwarding.upstream import Upstream
from resolver.wire.question import Question

_NEVER = float("inf")
_IN_LOWER_CASE = ("compared", "lowered")


class Line:
    """One question, and those that it may ask."""

    __slots__ = (
        "_again",
        "_broken_answers",
        "_candidates",
        "_chance",
        "_deadline",
        "_given_back",
        "_held",
        "_out",
        "_packets_max",
        "_spared",
        "_turn",
        "_why",
        "attempts",
        "hedge_at",
        "is_finished",
        "packets",
        "question",
        "race",
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
        self._again: tuple[Upstream, ...] = ()
        """Those to which a connection broke, for another round."""
        self._spared: tuple[Upstream, ...] = ()
        """Those of them that work and are encrypted: nobody in clear text is asked instead."""
        self._broken_answers = 0
        self._given_back = 0
        self._turn = 0
        self._why = "timeout"
        self.attempts: list[Attempt] = []
        self.packets = 0
        self.wake_at = deadline
        self.is_finished = False
        self.race = 1
        """How many upstreams are still to be asked at the start, the next one included."""
        self.hedge_at = _NEVER
        """When the next upstream is asked, too, though the first is not late yet."""

    @abstractmethod
    def hear(self, attempt: Attempt, octets: bytes) -> None:
        """The shell's: call `on_octets` and carry out what follows."""

    @abstractmethod
    def lose(self, attempt: Attempt, reason: str, sends: int | None) -> None:
        """The shell's: call `on_error` and carry out what follows."""

    def may_hedge(self) -> bool:
        """The shell's: whether this question may be asked twice; uses the leave up."""
        return False

    def race_on(self, now: float) -> Step:
        """After `start`: ask the next of those that are asked at once, or wait."""
        self.race -= 1
        return WAIT if self.race < 1 or self.is_finished else self._send_beside(now)

    def _on_abandoned(self, attempt: Attempt, now: float) -> Step:
        """Nothing can be held against the upstream of `attempt`, which is over."""
        if attempt.is_stream:
            self._why = "network"
        if self._earliest_due() is not None:
            return WAIT
        if self._is_abandoned_again(attempt):
            self._spare(attempt.upstream, now)
            return self._give_up_on(attempt, now)
        step = self._send(attempt.upstream, attempt.edns, attempt.is_stream, now, attempt.trial)
        if step is not None:
            self._pass_on_check(attempt, step)
            return step
        return self._finish(self._held) if self._held is not None else self._advance(now)

    def _is_abandoned_again(self, attempt: Attempt) -> bool:
        """Whether connections broke under this question twice, and somebody else is there to ask.

        One that answers a little on each and closes it would use up all that a question may cost.
        """
        upstream = attempt.upstream
        tries = sum(1 for other in self.attempts if other.upstream is upstream and other.is_stream)
        if not attempt.is_stream or tries < ABANDONED_MAX:
            return False
        return any(
            other.is_up and other is not upstream and other not in self._out for other in self._candidates
        )

    def _end_doubted(self, check: Attempt) -> None:
        """TCP said no: what UDP may still say of it is worth less."""
        for other in self.attempts:
            if other.verifier is check:
                other.is_over = True

    def _pass_on_check(self, attempt: Attempt, step: Attempt) -> None:
        """`step` decides from now on what `attempt` was to decide."""
        for other in self.attempts:
            if other.verifier is attempt:
                other.verifier = step

    def _give_up_on(self, attempt: Attempt, now: float) -> Step:
        """`attempt` is over without an answer: what is left of this question?"""
        upstream = attempt.upstream
        for other in self.attempts:
            if other.verifier is attempt:
                if self._held is not None:
                    return self._finish(self._held)
                if not other.is_over:
                    if other.is_case_changed:
                        return self._advance(now)
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
        for attempt in self.attempts:
            if attempt.is_case_changed and not attempt.is_over:
                # TCP could not say whether that was forged: a question that has no case to change.
                attempt.is_over = True
                step = self._send(attempt.upstream, attempt.edns, False, now, "lowered")
                if step is not None:
                    return step
        candidates = self._candidates
        for _ in candidates:
            upstream = candidates[self._turn % len(candidates)]
            self._turn += 1
            if upstream not in self._out and not (upstream.is_plain and self._is_in_good_hands(now)):
                step = self._send_first(upstream, now)
                if step is not None:
                    return step
        if any(not attempt.is_over for attempt in self.attempts):
            if not self._spared or self._next_round(now) is None:
                self.wake_at = self._deadline
            return WAIT
        return self._next_round(now) or self._end()

    def _next_round(self, now: float) -> Step | None:
        """Ask those once more, in a moment, to which no more than a connection broke; None: nobody is left.

        Connections to all upstreams break at once when the way of this machine does.
        """
        again, self._again, self._spared = self._again, (), ()
        if not again or self.packets + STREAM_COST > self._packets_max or now + AGAIN_S >= self._deadline:
            return None
        if not any(upstream.is_up or upstream.backoff_s < GONE_FOR_LONG_S for upstream in again):
            return None
        self._out = tuple(upstream for upstream in self._out if upstream not in again)
        self.wake_at = now + AGAIN_S
        return WAIT

    def _send_first(self, upstream: Upstream, now: float) -> Attempt | None:
        """An attempt as `upstream` normally gets it."""
        return self._send(upstream, now >= upstream.oddities.edns_refused_until, upstream.is_stream, now)

    def _send(
        self, upstream: Upstream, edns: bool, is_stream: bool, now: float, trial: Trial = ""
    ) -> Attempt | None:
        """A new attempt, unless packets or time have run out."""
        cost = STREAM_COST if is_stream else DATAGRAM_COST
        packets = self.packets + cost
        if packets > self._packets_max or now + TIMER_SLACK_S >= self._deadline:
            return None
        self.packets = packets
        # 0x20: a forger must also guess the case of every letter.  A stream has no need of it: nobody off the
        # path can write into it, and into TLS nobody at all.
        qname = self.question.qname
        if not (is_stream or now < upstream.oddities.lower_case_until or trial in _IN_LOWER_CASE):
            qname = self._chance.mix_case(qname)
        query_id = self._chance.query_id()
        attempt = new_attempt(self, upstream, self.question, query_id, qname, edns, is_stream, trial)
        attempt.sent_at = now
        timeout_s = attempt_patience_s(upstream, is_stream)
        attempts = self.attempts
        if attempts:
            # Each round is twice as patient: a slow answer must not meet a storm.
            timeout_s *= 2 ** sum(1 for a in attempts if a.upstream is upstream and a.is_late)
        attempt.due_at = due_at = now + timeout_s
        attempts.append(attempt)
        upstream.queries += 1
        self.wake_at = due_at if due_at < self._deadline else self._deadline
        return attempt

    def _give_back(self, attempt: Attempt, sends: int) -> None:
        """`attempt` is over, and left `sends` times: the rest of what it cost may be spent again."""
        cost = STREAM_COST if attempt.is_stream else DATAGRAM_COST
        if sends < cost and self._given_back < GIVEN_BACK_MAX:
            self._given_back += 1
            self.packets -= cost - sends

    def _send_beside(self, now: float) -> Step:
        """Ask the next upstream in line although those asked are in time; whoever answers first wins."""
        step, turn = None, self._turn
        is_secret = any(attempt.upstream.is_encrypted for attempt in self.attempts)
        waiting = self._candidates[turn:]
        chosen = next((other for other in waiting if not (is_secret and other.is_plain)), None)
        if chosen is not None and chosen.is_up:
            # Who is passed over stays in line, for the case that those asked fail.
            others = (other for other in waiting if other is not chosen)
            self._candidates = (*self._candidates[:turn], chosen, *others)
            step = self._send_first(chosen, now)
            self._turn += 1
        self.wake_at = min(self._earliest_due() or self._deadline, self._deadline)
        return step or WAIT

    def _spare(self, upstream: Upstream, now: float) -> None:
        """Nothing is held against `upstream`: if it works and is encrypted, it gets this in a moment."""
        if upstream.is_encrypted and upstream.is_up and now - upstream.answered_at < ANSWERS_LATELY_S:
            self._spared = (*self._spared, upstream)
            self._again = (*self._again, upstream)

    def _is_in_good_hands(self, now: float) -> bool:
        """Whether an encrypted upstream that works has this question or gets it in a moment.

        Nobody else needs to read it then.
        What it does not answer in time is a slow name or a lost packet.
        """
        return any(
            attempt.upstream.is_encrypted
            and attempt.upstream.is_up
            and (attempt.upstream not in self._out or attempt.upstream in self._spared)
            and now - attempt.upstream.answered_at < ANSWERS_LATELY_S
            for attempt in self.attempts
        )

    def _is_alone(self) -> bool:
        """Whether one attempt is out, in time and above suspicion."""
        [attempt] = self.attempts
        return not (attempt.is_over or attempt.is_late or attempt.bad_packets)

    def _earliest_due(self) -> float | None:
        """When the next attempt still given time will have used it up."""
        return min((a.due_at for a in self.attempts if not a.is_over and not a.is_late), default=None)

    def _is_being_verified(self) -> bool:
        return any(
            a.verifier is not None and not a.verifier.is_over and not a.verifier.is_late
            for a in self.attempts
        )

    def _end(self) -> Step:
        """Nothing more can be done or time is up."""
        return self._finish(self._held or Failed(self._why, EXPLANATIONS[self._why]))

    def _finish(self, step: Answered | Failed) -> Step:
        self.is_finished = True
        return step
