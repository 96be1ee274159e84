"""How soon another connection may be begun to an upstream where they come to nothing.

Knows: how many came to nothing in a row, when the last one did (`now` is an argument).  Does not know:
sockets, which query waits, whether the upstream counts as down (`upstream`).

Theory: a handshake costs both sides a thousand times what a query does, and an upstream that refuses, fails
in TLS or breaks each connection gets one for every miss.  So after a few in a row there is a pause, twice as
long each time, and then two are begun, which all who ask meanwhile join.  One alone would hold everybody
where it loses a packet or breaks.  The pause stays short: twenty connections in a second cost nobody
anything, and an upstream that is back answers before questions give up.
The first answer on a connection ends it.  Later ones do not: a connection that lives on says nothing of those
that cannot be opened beside it.  `tests/vectors/openings.yaml` has the rule for both engines.
"""

from __future__ import annotations

from typing import Final

FREE: Final = 3
"""Connections that may come to nothing in a row before there is a pause: `upstream.DOWN_AFTER_FAILURES`."""

OPENING_MAX: Final = 2
"""Connections under way at once behind a pause."""

OPENING_PAUSE_S_MIN: Final = 0.05
OPENING_PAUSE_S_MAX: Final = 0.1


class Openings:
    """Of one upstream."""

    __slots__ = ("_failures", "paused_until")

    def __init__(self) -> None:
        self._failures = 0
        self.paused_until = float("-inf")
        """Until then none is begun."""

    def come_to_something(self) -> None:
        """A connection brought its first answer."""
        self._failures = 0
        self.paused_until = float("-inf")

    def fail(self, began_at: float, now: float) -> None:
        """One that began then came to nothing."""
        if began_at < self.paused_until and now < self.paused_until:
            return  # several that were begun together are one failure
        self._failures += 1
        if self._failures >= FREE:
            pause_s = OPENING_PAUSE_S_MIN * 2.0 ** min(self._failures - FREE, 16)
            self.paused_until = now + min(pause_s, OPENING_PAUSE_S_MAX)

    def allow(self, opening: int, now: float) -> bool:
        """Whether another may be begun, while so many are under way."""
        return self._failures < FREE or (now >= self.paused_until and opening < OPENING_MAX)
