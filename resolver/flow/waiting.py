"""One client that waits for upstreams, from its question to its one answer.

Knows: that whichever comes first settles it, that late answers are paced.  Does not know: what is answered,
who is asked.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Protocol

from resolver.clock import TimerHandle
from resolver.flow.outcome import Ask, Drop, Outcome, Respond
from resolver.flow.pacing import PACED_AFTER_S, HeldAnswers
from resolver.flow.shares import Entered, Places
from resolver.forwarding.forwarder import Answered, Failed

DEFECTS_LOGGED_MAX = 20
"""Defects shown in the log in full; later ones are only counted, so hostile packets cannot fill a disk."""

_log = logging.getLogger(__name__)

WAITING_MAX = 65_536
"""Clients that may wait for upstreams at one time: some 100 MB of memory at worst; more get SERVFAIL."""

_own_marks = itertools.count()
"""Below 2**63: from there on they are the native plane's (`flow/shares.rs`)."""
_MARK_BITS = (1 << 64) - 1

Deliver = Callable[[Ask, Respond | Drop], None]


class WaiterService(Protocol):
    """What a waiter needs of the service."""

    waiting: int
    overloads: int
    defects: int
    places: Places
    held: HeldAnswers

    def now(self) -> float:
        """Monotonic seconds."""

    def busy(self, ask: Ask, why: str) -> Respond:
        """SERVFAIL, because too many wait."""

    def finish(self, ask: Ask, result: Answered | Failed) -> Outcome:
        """What the client gets of a result; another `Ask` when that leads on to another name."""

    def answer_stale(self, ask: Ask) -> Outcome:
        """The stale answer that `ask` carries."""

    def servfail(self, ask: Ask) -> Respond:
        """SERVFAIL."""

    def ask_for_target(self, led: Ask, done: Callable[[Answered | Failed], None]) -> None:
        """Ask for the name that a rule leads to; `done` is called exactly once."""


def is_same_question(ask: Ask, other: Ask, generation: int) -> bool:
    """Whether the two asked the very same, octet for octet, over a stream or not, and under this policy."""
    return (
        other.generation == generation == ask.generation
        and other.peer.is_stream is ask.peer.is_stream
        and other.query.octets[2:] == ask.query.octets[2:]
    )


def mark_of(ask: Ask) -> int:
    """The same for the same query from the same address and port, sent again; streams carry none twice."""
    if ask.peer.is_stream or ask.route is None:
        return next(_own_marks)
    return hash((ask.route, ask.query.octets[:2], ask.question)) & _MARK_BITS


def why_not(service: WaiterService, ask: Ask, mark: int) -> Respond | Drop | None:
    """What a client gets that may not wait; None: it has a place."""
    if service.waiting >= WAITING_MAX:
        service.overloads += 1
        return service.busy(ask, "too many clients wait for upstreams")
    entered = service.places.enter(ask.peer.address, mark)
    if entered == Entered.YES:
        return None
    if entered == Entered.REPEAT:
        return Drop("repeat", qtype=ask.query.qtype, verdict=ask.verdict)
    if ask.peer.is_stream:
        # It is told: whoever asks over a stream does not ask again by himself.
        return service.busy(ask, "too many queries of this client wait for upstreams")
    return Drop("client_waits", qtype=ask.query.qtype, verdict=ask.verdict)


class Waiter:
    """One client that waits for an upstream: answered once, by whichever comes first."""

    __slots__ = ("_ask", "_deliver", "_following", "_mark", "_service", "patience")

    def __init__(self, service: WaiterService, ask: Ask, deliver: Deliver, mark: int) -> None:
        self._service = service
        self._ask = ask
        self._deliver: Deliver | None = deliver
        self._mark = mark
        self._following: Ask | None = ask if ask.redirect is not None else None
        self.patience: TimerHandle | None = None

    def on_impatience(self) -> None:
        """The upstreams take long and a stale answer lies ready; what they say yet is for the cache."""
        outcome: Outcome
        try:
            outcome = self._service.answer_stale(self._ask)
        except Exception:
            outcome = self._servfail(self._ask)
        if isinstance(outcome, Ask):
            self._follow(outcome)
        else:
            self._settle(outcome)

    def on_result(self, result: Answered | Failed, led: Ask | None = None) -> None:
        """The upstreams have spoken, of the name that was asked or of the one it was `led` to."""
        ask = self._ask if led is None else led
        if self._deliver is None or (self._following is not None and self._following is not ask):
            return  # A stale answer was sent, or led on, before.
        answer: Outcome
        try:
            answer = self._service.finish(ask, result)
        except Exception:
            answer = self._servfail(ask)
        if isinstance(answer, Ask):
            self._follow(answer)
        else:
            self._settle(answer)

    def _servfail(self, ask: Ask) -> Respond:
        """SERVFAIL instead of a defect of ours, which is counted and shown.  Call inside `except`."""
        service = self._service
        service.defects += 1
        if service.defects <= DEFECTS_LOGGED_MAX:
            _log.exception("defect while finishing a query")
            _log.debug("the query was %s", ask.query.octets[:300].hex())
        return service.servfail(ask)

    def _follow(self, led: Ask) -> None:
        """Go on with the name that a rule leads to: once, since no list judges that name."""
        if self._deliver is None:
            return
        self._following = led
        self._service.ask_for_target(led, lambda result: self.on_result(result, led))

    def _settle(self, answer: Respond | Drop) -> None:
        deliver, self._deliver = self._deliver, None
        if deliver is None:
            return
        if self.patience is not None:
            self.patience.cancel()
        ask, service = self._ask, self._service
        if ask.peer.is_stream or type(answer) is Drop or service.now() - ask.asked_at < PACED_AFTER_S:
            self._leave(deliver, answer)
        elif not service.held.put(ask.peer.address, ask.asked_at, lambda: self._leave(deliver, answer)):
            self._leave(deliver, Drop("pulse", qtype=answer.qtype, verdict=answer.verdict))

    def _leave(self, deliver: Deliver, answer: Respond | Drop) -> None:
        """Its place is free as soon as the answer leaves, and not before."""
        self._service.waiting -= 1
        self._service.places.leave(self._ask.peer.address, self._mark)
        deliver(self._ask, answer)
