"""What counts have done lately: how much each rose within the last minutes.

Knows: numbers and monotonic seconds.  Does not know: what is counted.
Theory: facts count from the start of the process.  Whether something is wrong *now* is said by how much a
count rose, so a few copies of the counts that matter are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

KEPT_S: Final = 3_600.0
STEP_S: Final = 30.0
"""Copies are at least so far apart: 120 of some hundred numbers."""

Counts = Mapping[str, float]


class Trend:
    """Copies of counts over the last hour."""

    def __init__(self) -> None:
        self._copies: deque[tuple[float, Counts]] = deque()
        self._latest: tuple[float, Counts] | None = None

    def take(self, now: float, counts: Counts) -> None:
        """Look at counts, which only grow."""
        self._latest = now, counts
        if not self._copies or now - self._copies[-1][0] >= STEP_S:
            self._copies.append((now, counts))
        # The last one before the hour is what its rise is measured from.
        while len(self._copies) > 1 and now - self._copies[1][0] >= KEPT_S:
            self._copies.popleft()

    def rise(self, name: str, within_s: float) -> float:
        """By how much a count rose in the last `within_s` seconds, as far as copies go back.

        What was counted before the first copy rose then: of a process that has just started, all of it.
        """
        if self._latest is None:
            return 0.0
        now, counts = self._latest
        before: Counts = {}
        for at, copy in self._copies:
            if now - at < within_s:
                break
            before = copy
        return counts.get(name, 0.0) - before.get(name, 0.0)
