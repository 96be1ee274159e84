"""Time that only moves when told to.

Knows: `resolver.clock.Clock`.  Does not know: what waits for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class FakeTimer:
    """A pending callback of a `FakeClock`."""

    __slots__ = ("callback", "due_at", "is_over")

    def __init__(self, due_at: float, callback: Callable[[], object]) -> None:
        self.due_at = due_at
        self.callback = callback
        self.is_over = False

    def cancel(self) -> None:
        """See `TimerHandle`."""
        self.is_over = True


class FakeClock:
    """A `Clock` whose seconds pass in `advance` alone; timers fire in order, each at its own time."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._count = 0

    def now(self) -> float:
        """See `Clock`."""
        return self._now

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> FakeTimer:
        """See `Clock`."""
        timer = FakeTimer(self._now + max(delay_s, 0.0), callback)
        self._count += 1
        heapq.heappush(self._timers, (timer.due_at, self._count, timer))
        return timer

    @property
    def pending(self) -> int:
        """Timers that will still fire."""
        return sum(not timer.is_over for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Let time pass, firing what comes due, timers set on the way included."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            due_at, _, timer = heapq.heappop(self._timers)
            if not timer.is_over:
                timer.is_over = True
                self._now = max(self._now, due_at)
                timer.callback()
        self._now = max(self._now, end)

    def spend(self, seconds: float) -> None:
        """Time passes while code runs: no timer fires meanwhile."""
        self._now += seconds
