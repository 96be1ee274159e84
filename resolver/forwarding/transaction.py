"""The whole life of one question to the upstreams, as decisions without I/O.

Knows: whom to ask next, for how long to wait, what a reply means for the next step.  Does not
know: sockets, the clock (`now` is an argument), who waits for the answer.

Theory of operation.  Each event (`start`, `on_octets`, `on_error`, `on_timer`) returns one step:
an `Attempt` to send, `WAIT`, or the end of it, `Answered` or `Failed`.  After every step but the last the
shell calls `on_timer` at `wake_at`.

* An attempt that stays silent too long is not given up: the next upstream in line (or the same one, if
  there is no other) is asked as well, and whoever answers first wins.  So it is from the start in a `race`,
  and from `hedge_at` on where the first is slower than it nearly ever is.
* A bad packet is dropped and its attempt keeps listening, for a good one may follow.  If it looks like a
  forgery (RFC 5452), the question also goes to the same upstream over TCP, and from then on UDP's answer
  is only held, for the case that TCP fails.  After `BAD_PACKETS_MAX` the attempt listens no more.
* What repeats ID and question letter by letter and cannot be read, or comes over TCP, was not guessed: the
  upstream is out for this question, and after `BROKEN_ANSWERS_MAX` of these nobody else is asked either.
* TC=1 goes to TCP.  FORMERR and the like to our EDNS: once more without.  Any other failure code: the
  upstream is out for this question, and the next one is asked at once.
* What an upstream cannot do (EDNS, mixed case) is found out by an attempt with a `trial`; see `oddities`.
* Whatever happens, at most `PACKETS_PER_QUESTION_MAX` queries leave.
"""

from __future__ import annotations

from resolver.forwarding.bounds import (
    AGAIN_S,
    BAD_PACKETS_MAX,
    BROKEN_ANSWERS_MAX,
    DATAGRAM_COST,
    STREAM_COST,
    TIMER_SLACK_S,
)
from resolver.forwarding.line import Line
from resolver.forwarding.network import ABANDONED, HELD_BACK, MALFORMED
from resolver.forwarding.oddities import Trial
from resolver.forwarding.patience import attempt_patience_s
from resolver.forwarding.steps import (
    RCODE_REASONS,
    WAIT,
    Answered,
    Attempt,
    Step,
    found_the_name,
)
from resolver.wire.numbers import Rcode
from resolver.wire.response import (
    BROKEN_REASONS,
    Refused,
    Response,
    Truncated,
    UpstreamFailure,
    accept_response,
)
from resolver.wire.walk import HEADER_OCTETS

BROKEN_WAYS = ("stream", "network", "tls")
"""What the way to an upstream can do to a connection, and do better a moment later."""
_NO_SUCH_ZONE = (int(Rcode.REFUSED), int(Rcode.NOTAUTH))
"""What servers say of names outside their zones."""


class Transaction(Line):
    """One question; see the module's docstring.

    The shell that carries out the steps is a subclass: one object, not two, for each question.
    """

    __slots__ = ()

    def start(self, now: float) -> Step:
        """The first step."""
        step = self._send_first(self._candidates[0], now)
        if step is None:
            return self._end()
        self._turn = 1
        if self.hedge_at < self.wake_at:
            self.wake_at = self.hedge_at
        return step

    def take_in(self, attempt: Attempt) -> None:
        """Go on from `attempt`, which was sent elsewhere, as if it had been sent from here."""
        attempt.transaction = self
        self.attempts.append(attempt)
        self.packets += STREAM_COST if attempt.is_stream else DATAGRAM_COST
        if self._turn == 0:
            self._turn = 1  # it was the first step
        self.wake_at = min(self.wake_at, attempt.due_at)

    def wait_for_the_first(self, now: float) -> None:
        """Send nothing yet: the first attempt is out already and will be taken in, unless it is lost."""
        first = self._candidates[0]
        self.wake_at = min(self.wake_at, now + attempt_patience_s(first, first.is_stream))

    def on_octets(self, attempt: Attempt, octets: bytes, now: float) -> Step:
        """Something came in for `attempt`."""
        if attempt.is_over or self.is_finished:
            return WAIT
        result = accept_response(octets, attempt)
        upstream = attempt.upstream
        # A TCP attempt to a UDP upstream says nothing of how it is normally reached.
        is_measured = attempt.is_stream is upstream.is_stream
        if type(result) is Response:
            upstream.on_answer(now - attempt.sent_at, now, is_measured)
            return self._on_response(attempt, result, now)
        if type(result) is Refused and not attempt.is_stream and result.reason not in BROKEN_REASONS:
            is_lowered = octets[HEADER_OCTETS : HEADER_OCTETS + len(attempt.name)] == attempt.name
            return self._on_bad_packet(attempt, result, is_lowered, now)
        if type(result) is UpstreamFailure and len(octets) == HEADER_OCTETS and not attempt.is_stream:
            return self._on_bare_stumble(attempt, now)
        upstream.on_answer(now - attempt.sent_at, now, is_measured, False)
        if type(result) is UpstreamFailure:
            return self._on_failure_code(attempt, result, now)
        if type(result) is Truncated and not attempt.is_stream:
            return self._on_truncated(attempt, now)
        # TC=1 over TCP makes no sense, either.
        return self._on_broken_answer(attempt, now)

    def on_error(self, attempt: Attempt, reason: str, now: float, sends: int | None = None) -> Step:
        """`attempt` could not be sent, or its socket broke; `ABANDONED`: whoever sent it can hear no more.

        `sends`: how often it left; None: as often as it may.
        """
        if attempt.is_over or self.is_finished:
            return WAIT
        attempt.is_over = True
        if sends is not None:
            self._give_back(attempt, sends)
        if reason == HELD_BACK:
            return self._on_held_back(attempt, now)
        if reason == ABANDONED:
            return self._on_abandoned(attempt, now)
        if reason == MALFORMED:
            return self._on_garbage(attempt, now)
        upstream = attempt.upstream
        upstream.on_failure(reason, now, attempt.is_stream is upstream.is_stream)
        self._why = "network"
        if upstream.is_stream and reason in BROKEN_WAYS:
            self._again = (*self._again, upstream)
        return self._give_up_on(attempt, now)

    def _on_garbage(self, attempt: Attempt, now: float) -> Step:
        """The connection brought what is no message: perhaps because of this question, perhaps of another's.

        So it may be asked again there if nobody else is left, as often as broken answers may come.
        """
        if attempt.upstream.is_stream:
            self._again = (*self._again, attempt.upstream)
        return self._on_broken_answer(attempt, now)

    def _on_held_back(self, attempt: Attempt, now: float) -> Step:
        """Nothing was sent, and nothing is held against its upstream: others are asked, or it in a moment."""
        upstream = attempt.upstream
        upstream.queries -= 1
        # Whoever only wanted to learn how it does has learnt nothing.
        upstream.probe_at = min(upstream.probe_at, now + AGAIN_S)
        self._why = "network"
        if upstream.is_stream and upstream.last_failure in (*BROKEN_WAYS, MALFORMED):
            self._again = (*self._again, upstream)
        self._spare(upstream, now)
        return self._give_up_on(attempt, now)

    def on_timer(self, now: float) -> Step:
        """`wake_at` has come."""
        if self.is_finished:
            return WAIT
        due = now + TIMER_SLACK_S
        for attempt in self.attempts:
            if attempt.due_at <= due and not attempt.is_late and not attempt.is_over:
                attempt.is_late = True
                self._why = "malformed"
                if not attempt.bad_packets:
                    # Whoever sends bad packets is there; those were counted when they came.
                    self._why = "timeout"
                    upstream = attempt.upstream
                    upstream.on_failure("timeout", now, attempt.is_stream is upstream.is_stream)
        if due >= self._deadline:
            return self._end()
        if due >= self.hedge_at:
            self.hedge_at = float("inf")
            if len(self.attempts) == 1 and self._is_alone() and self.may_hedge():
                return self._send_beside(now)
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
        oddities = upstream.oddities
        if not upstream.trust_ad:
            # An AD bit is worth what its sender is worth (RFC 4035 §3.2.3, §4.9.3).
            response.authentic_data = False
        answered = Answered(response, upstream)
        if now >= oddities.case_shown_until and attempt.qname != attempt.name:
            step = self._on_unproven_case(attempt, answered, now)
            if step is not None:
                return step
        if attempt.trial:
            # Only success shows what was the trouble; and a name that is not there either way shows nothing.
            if attempt.trial != "compared" or found_the_name(response):
                oddities.learn(attempt.trial, now)
        elif oddities.has_evidence:
            oddities.on_ordinary_answer(attempt.edns, attempt.qname != attempt.name)
        verifier = attempt.verifier
        if verifier is not None and not verifier.is_over and not verifier.is_late:
            attempt.is_over = True
            self._held = answered
            return WAIT
        self.is_finished = True
        return answered

    def _on_unproven_case(self, attempt: Attempt, answered: Answered, now: float) -> Step | None:
        """The first answers to names in mixed case: one that compares case denies them all."""
        upstream = attempt.upstream
        if found_the_name(answered.response):
            upstream.oddities.show_case(now)
            return None
        if attempt.verifier is not None:
            return None
        step = self._send(upstream, attempt.edns, False, now, "compared")
        if step is not None:
            attempt.is_over = True
            attempt.verifier = step
            self._held = answered
        return step

    def _on_bad_packet(self, attempt: Attempt, refused: Refused, is_lowered: bool, now: float) -> Step:
        """Octets over UDP that may be anybody's."""
        upstream = attempt.upstream
        upstream.failures["near_miss" if refused.near_miss else "malformed"] += 1
        self._why = "malformed"
        if refused.reason == "case" and is_lowered and not upstream.oddities.is_case_fixed:
            attempt.is_case_changed = True
        return self._on_doubt(attempt, refused.near_miss, now)

    def _on_doubt(self, attempt: Attempt, near_miss: bool, now: float) -> Step:
        """One more bad packet for `attempt`: TCP decides where it may be a forgery."""
        attempt.bad_packets += 1
        if attempt.bad_packets >= BAD_PACKETS_MAX:
            attempt.is_over = True
        if attempt.verifier is None and (near_miss or attempt.is_over):
            trial: Trial = "lowered" if attempt.is_case_changed else attempt.trial
            step = self._send(attempt.upstream, attempt.edns, True, now, trial)
            if step is not None:
                attempt.verifier = step
                return step
        if attempt.is_over and (attempt.verifier is None or attempt.verifier.is_over):
            return self._give_up_on(attempt, now)
        return WAIT

    def _on_bare_stumble(self, attempt: Attempt, now: float) -> Step:
        """An error without a question: a guess of ID and port may do that, so both are listened to."""
        attempt.upstream.failures["edns"] += 1
        self._why = "rcode"
        if attempt.verifier is None and not any(other.trial == "bare" for other in self.attempts):
            attempt.bad_packets += 1
            step = self._send(attempt.upstream, False, False, now, "bare")
            if step is not None:
                return step
        return self._on_doubt(attempt, True, now)

    def _on_broken_answer(self, attempt: Attempt, now: float) -> Step:
        """An answer that cannot be read, and that nobody guessed."""
        upstream = attempt.upstream
        upstream.on_refusal("malformed", now)
        self._why = "malformed"
        attempt.is_over = True
        self._broken_answers += 1
        if self._broken_answers >= BROKEN_ANSWERS_MAX:
            self._packets_max = 0
        if attempt.verifier is not None and not attempt.verifier.is_over:
            return WAIT
        if self._held is None:
            if attempt.is_stream:
                self._end_doubted(attempt)
            elif all(other is upstream or other in self._out for other in self._candidates):
                # Nobody else is left: perhaps UDP breaks it on the way.
                step = self._send(upstream, attempt.edns, True, now, attempt.trial)
                if step is not None:
                    self._out = (*self._out, upstream)
                    return step
        return self._give_up_on(attempt, now)

    def _on_truncated(self, attempt: Attempt, now: float) -> Step:
        attempt.is_over = True
        attempt.upstream.failures["truncated"] += 1
        for other in self.attempts:
            if other.is_stream and not other.is_over and other.upstream is attempt.upstream:
                return WAIT
        step = self._send(attempt.upstream, attempt.edns, True, now, attempt.trial)
        if step is None:
            return self._give_up_on(attempt, now)
        self._pass_on_check(attempt, step)
        return step

    def _on_failure_code(self, attempt: Attempt, failure: UpstreamFailure, now: float) -> Step:
        attempt.is_over = True
        upstream = attempt.upstream
        if attempt.verifier is not None and not attempt.verifier.is_over:
            return WAIT
        step = None
        if failure.edns_refused and attempt.edns:
            upstream.failures["edns"] += 1
            # RFC 6891 §7: FORMERR or NOTIMP may mean that it does not know EDNS.
            step = self._send(upstream, False, attempt.is_stream, now, "edns")
        elif failure.rcode in _NO_SUCH_ZONE and attempt.qname != attempt.name:
            if now >= upstream.oddities.case_shown_until:
                # It may have looked for the zone by case.
                step = self._send(upstream, attempt.edns, False, now, "compared")
        if step is not None:
            return step
        upstream.on_refusal(RCODE_REASONS.get(failure.rcode, "rcode"), now)
        self._why = "chain" if failure.has_endless_chain else "rcode"
        if attempt.is_stream and self._held is None:
            self._end_doubted(attempt)
        return self._give_up_on(attempt, now)
