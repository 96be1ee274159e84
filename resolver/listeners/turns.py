"""Shares the event loop's time out among connections: each has short turns, and all together short rounds.

Knows: whose turn it is, how long turns took.  Does not know: sockets, what is done in a turn.
Theory: a connection takes its turn at once while the others have used little time; that is the usual case and
costs an addition.  Once a round's time is used up, who has something to do stands in line, and the
loop looks after everything else (datagrams, upstreams, timers) before the next round.  The line goes round
by clients, so a hundred connections of one client wait for each other and not another client for them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

ROUND_S_MAX: Final = 0.002
"""Time that all connections take together before datagrams and upstreams are looked after: a batch of
datagrams takes as long.  The last turn of a round may go beyond it by its own TURN_S_MAX."""


class InLine(Protocol):
    """Who takes turns."""

    @property
    def client(self) -> bytes:
        """The client by which the line goes round."""
        ...

    def take_turn_in_line(self) -> None:
        """Do a bounded part of what there is to do; who has more to do stands in line again."""


class Turns:
    """One for all stream listeners of a server."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], now: Callable[[], float]) -> None:
        """`call_soon`: calls back after the loop has looked after everything else that is ready."""
        self._call_soon = call_soon
        self._now = now
        self._line: OrderedDict[bytes, deque[InLine]] = OrderedDict()
        self._spent_s = 0.0
        """Since the last round, or in the one that goes on."""
        self._is_round_due = False
        self.is_free = True
        """Whether somebody may take a turn at once: nobody stands in line, and there is time left."""

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return sum(map(len, self._line.values()))

    def spend(self, seconds: float) -> None:
        """A turn took so long."""
        self._spent_s += seconds
        if self._spent_s >= ROUND_S_MAX:
            self.is_free = False

    def stand_in_line(self, who: InLine) -> None:
        """Let `who` have a turn later.  Nobody stands in line twice: that is the caller's care."""
        self.is_free = False
        self._line.setdefault(who.client, deque()).append(who)
        if not self._is_round_due:
            self._is_round_due = True
            self._call_soon(self._go_round)

    def _go_round(self) -> None:
        self._spent_s = 0.0
        try:
            self._give_turns(self._now() + ROUND_S_MAX)
        finally:
            # Also after a defect in somebody's turn: the others must not wait for ever.
            line = self._line
            self._is_round_due = bool(line)
            self.is_free = not line and self._spent_s < ROUND_S_MAX
            if line:
                self._call_soon(self._go_round)

    def _give_turns(self, ends_at: float) -> None:
        line = self._line
        while line:
            client, waiting = line.popitem(last=False)
            who = waiting.popleft()
            # Behind the others, before its turn: it may stand in line again.
            if waiting:
                line[client] = waiting
            who.take_turn_in_line()
            if self._now() >= ends_at:
                break
