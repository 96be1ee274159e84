"""Says in the log which upstreams went down or up, without letting anyone fill it.

Knows: what was last said about each upstream.  Does not know: why it changed.
Theory: whoever asks for names that an upstream refuses can make it look down and up again many times
a minute.  The first change is said at once; those within `LINE_EVERY_S` of a line are counted, and what
has become of them is one more line at the end of that time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.upstream import Upstream

LINE_EVERY_S = 30.0
"""At most one line in this time for each upstream."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Said:
    """What the log has of one upstream."""

    at: float
    unsaid: int = 0
    """Changes since."""
    timer: TimerHandle | None = None


class ChangeLog:
    """Writes the changes of all upstreams of a forwarder; `note` is for `Upstream.on_change`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[Upstream, _Said] = {}

    def note(self, upstream: Upstream) -> None:
        """Say that it changed, now or a little later."""
        now = self._clock.now()
        said = self._said.get(upstream)
        if said is None or now - said.at >= LINE_EVERY_S:
            self._said[upstream] = _Said(now)
            _log.warning("upstream %s is %s", upstream.name, _state(upstream))
            return
        said.unsaid += 1
        if said.timer is None:
            said.timer = self._clock.call_later(
                said.at + LINE_EVERY_S - now, lambda: self._say_the_rest(upstream, said)
            )

    def close(self) -> None:
        """Forget what is unsaid."""
        for said in self._said.values():
            if said.timer is not None:
                said.timer.cancel()
        self._said.clear()

    def _say_the_rest(self, upstream: Upstream, said: _Said) -> None:
        self._said[upstream] = _Said(self._clock.now())
        _log.warning(
            "upstream %s is %s after %d changes in %d seconds",
            upstream.name,
            _state(upstream),
            said.unsaid,
            LINE_EVERY_S,
        )


def _state(upstream: Upstream) -> str:
    return "up" if upstream.is_up else "down"
