"""Many deadlines on one timer.

Knows: a clock, and items with a due time.  Does not know: what is due.
Theory: buckets `TICK_S` apart, each a dict used as a set that keeps its order, so that adding and
removing cost a hash each and a question answered in time leaves nothing behind.  One timer of the clock
is armed for the earliest bucket; it may outlive the items it was armed for, and then fires for nothing.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Protocol

from resolver.clock import Clock, TimerHandle

TICK_S = 0.01
"""Deadlines are met up to this much late, never early."""

STALL_S = 0.05
"""A timer this late means that the event loop was stalled: what has come in meanwhile is read first."""

YIELD_S = 0.001
"""How long reading gets then; longer than 0, so that the loop looks at its sockets."""

_TICKS_PER_S = 100.0
_NONE = 0


class Timed(Protocol):
    """Something that can be due.  A protocol, so that a class with slots and another base can be it."""

    _bucket: int = 0
    """Belongs to `Deadlines`: which bucket holds it."""

    @abstractmethod
    def on_due(self, now: float) -> None:
        """Its deadline has come; it is no longer held.  May come for an item discarded in the same tick."""


class Deadlines:
    """Holds items until they are due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, dict[Timed, None]] = {}
        self._timer: TimerHandle | None = None
        self._armed_for = _NONE
        self._has_yielded = False
        self.stalls = 0
        """Times the timer came late, a plain counter."""

    def set(self, item: Timed, due_at: float) -> None:
        """Hold `item` until `due_at`, replacing any deadline it had."""
        # The tiny shift keeps a due time that is a whole tick, but for rounding, on that tick.
        bucket = int(due_at * _TICKS_PER_S - 1e-6) + 1
        if item._bucket:
            if item._bucket == bucket:
                return
            self.discard(item)
        item._bucket = bucket
        held = self._buckets.get(bucket)
        if held is None:
            self._buckets[bucket] = {item: None}
            if self._timer is None or bucket < self._armed_for:
                self._arm(bucket)
        else:
            held[item] = None

    def discard(self, item: Timed) -> None:
        """Forget `item`, if held."""
        bucket = item._bucket
        if bucket:
            item._bucket = _NONE
            self._buckets[bucket].pop(item, None)

    def close(self) -> None:
        """Forget everything and the timer."""
        for held in self._buckets.values():
            for item in held:
                item._bucket = _NONE
        self._buckets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, bucket: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = bucket
        self._timer = self._clock.call_later(max(bucket / _TICKS_PER_S - self._clock.now(), 0.0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.now()
        if now - self._armed_for / _TICKS_PER_S > STALL_S and not self._has_yielded:
            # Or else answers that lie in the sockets would be called late and asked for again.
            self.stalls += 1
            self._has_yielded = True
            self._timer = self._clock.call_later(YIELD_S, self._tick)
            return
        self._has_yielded = False
        reached = math.floor(now * _TICKS_PER_S + 1e-6)
        for bucket in sorted(b for b in self._buckets if b <= reached):
            items = list(self._buckets.pop(bucket))
            for item in items:
                item._bucket = _NONE
            for item in items:
                if item._bucket == _NONE:
                    item.on_due(now)
        self._buckets = {bucket: held for bucket, held in self._buckets.items() if held}
        if self._buckets:
            # An item's own `set` may have armed a timer above, perhaps for a later bucket.
            self._arm(min(self._buckets))
