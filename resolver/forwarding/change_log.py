"""Says in the log which upstreams went down or up, and when none is left, without letting anyone fill it.

Knows: what was last said about each upstream and each set of them.  Does not know: when one counts as down.
Theory: whoever asks for names that an upstream refuses can make it look down and up again many times
a minute.  The first change is said at once; those within `LINE_EVERY_S` of a line are counted, and what
has become of them is one more line at the end of that time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from resolver.clock import Clock, TimerHandle
from resolver.forwarding.plan import UpstreamSet
from resolver.forwarding.upstream import Upstream
from resolver.wire.names import name_to_text

LINE_EVERY_S = 30.0
"""At most one line in this time for each upstream, and for each set of them."""

_ROOT = b"\0"

_log = logging.getLogger(__name__)


class _State(NamedTuple):
    """What there is to say now."""

    text: str
    level: int = logging.WARNING


@dataclass(slots=True, eq=False)
class _Subject:
    """What lines are about, and what the log has of it."""

    state: Callable[[], _State]
    at: float = float("-inf")
    """When something was last said."""
    unsaid: int = 0
    """Changes since."""
    timer: TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _Zone:
    """The upstreams of some names."""

    upstreams: UpstreamSet
    subject: _Subject
    is_lost: bool = False


class ChangeLog:
    """Writes the changes of all upstreams of a forwarder; `note` is for `Upstream.on_change`."""

    def __init__(self, clock: Clock, zones: Iterable[tuple[bytes, UpstreamSet]] = ()) -> None:
        """`zones`: the sets of upstreams and the names (wire form) that they are for."""
        self._clock = clock
        self._subjects: dict[Upstream, _Subject] = {}
        self._zones = [
            _Zone(upstreams, _Subject(partial(_state_of_zone, zone, upstreams))) for zone, upstreams in zones
        ]

    def note(self, upstream: Upstream) -> None:
        """Say that it changed, now or a little later."""
        subject = self._subjects.get(upstream)
        if subject is None:
            subject = self._subjects[upstream] = _Subject(partial(_state_of_upstream, upstream))
        self._note(subject)
        for zone in self._zones:
            is_lost = zone.upstreams.is_lost
            if is_lost != zone.is_lost:
                zone.is_lost = is_lost
                self._note(zone.subject)

    def close(self) -> None:
        """Forget what is unsaid."""
        for subject in [*self._subjects.values(), *(zone.subject for zone in self._zones)]:
            if subject.timer is not None:
                subject.timer.cancel()
                subject.timer = None

    def _note(self, subject: _Subject) -> None:
        now = self._clock.now()
        if now - subject.at >= LINE_EVERY_S:
            subject.at = now
            state = subject.state()
            _log.log(state.level, "%s", state.text)
            return
        subject.unsaid += 1
        if subject.timer is None:
            subject.timer = self._clock.call_later(
                subject.at + LINE_EVERY_S - now, lambda: self._say_the_rest(subject)
            )

    def _say_the_rest(self, subject: _Subject) -> None:
        changes, subject.unsaid = subject.unsaid, 0
        subject.at, subject.timer = self._clock.now(), None
        state = subject.state()
        _log.log(state.level, "%s after %d changes in %d seconds", state.text, changes, LINE_EVERY_S)


def note_oddity(upstream: Upstream, news: str) -> None:
    """Say what is given up for an upstream; that is rare by itself, for it is believed for long."""
    _log.info("upstream %s %s for now", upstream.name, news)


def words_of_lost(zone: bytes) -> str:
    """That nobody answers for the names of `zone` (wire form)."""
    return f"no upstream is left{_for_names(zone)}"


def _state_of_upstream(upstream: Upstream) -> _State:
    return _State(f"upstream {upstream.name} is {upstream.state}")


def _state_of_zone(zone: bytes, upstreams: UpstreamSet) -> _State:
    if upstreams.is_lost:
        return _State(words_of_lost(zone), logging.ERROR)
    return _State(f"an upstream is back{_for_names(zone)}")


def _for_names(zone: bytes) -> str:
    return "" if zone == _ROOT else f" for {name_to_text(zone)}"
