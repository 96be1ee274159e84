"""When the host of this machine let others run, so that what waited then is not held against who was asked.

Knows: /proc/stat.  Does not know: what was waited for.
The kernel counts stolen time in hundredths of a second and notes it with its next tick, so a moment in which
some was taken is known to a tenth of a second, and a few milliseconds may be missed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from benchmarks.measure import stolen_s

LOOK_S = 0.02
AROUND_S = 0.1
"""Before and after a look that found time taken."""


class TakenTimes:
    """Moments, in seconds since 1970, in which the host took time."""

    def __init__(self) -> None:
        self.moments: list[tuple[float, float]] = []
        """Looks between which some was taken: from, until; in order."""

    def touches(self, begin_s: float, end_s: float) -> bool:
        """Whether some was taken around this time."""
        return any(begin_s <= until + AROUND_S and end_s >= since - AROUND_S for since, until in self.moments)

    def look(self, since_s: float, had_s: float) -> tuple[float, float]:
        """Note what was taken since the last look; this look's time and count."""
        has_s, now_s = stolen_s(), time.time()
        if has_s > had_s:
            self.moments.append((since_s, now_s))
        return now_s, has_s


@contextlib.contextmanager
def watching_the_host() -> Iterator[TakenTimes]:
    """Look at the count again and again, in a thread."""
    taken, is_over = TakenTimes(), threading.Event()

    def watch() -> None:
        at = time.time(), stolen_s()
        while not is_over.wait(LOOK_S):
            at = taken.look(*at)
        taken.look(*at)

    thread = threading.Thread(target=watch, name="host")
    thread.start()
    try:
        yield taken
    finally:
        is_over.set()
        thread.join()
