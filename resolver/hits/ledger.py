"""Counts since the start of a process -> hits per minute that are still to be written.

Knows: what was counted at the last look, which minute a hit belongs to, what is not written yet.
Does not know: clocks (it is told the time), files, threads.
Theory: counts only grow, so what was added between two looks is counted once, whatever the clock does, and a
look that is left out loses no hit.  What was added belongs to the minute in which that stretch began.

A clock that goes back is not believed at once: its hits go into the latest minute there was, so no hour that
is over is opened again.  Steps of up to an hour are over by then.  One that is still behind after an hour is
believed, for it was ahead before; hours through which it then runs again say so in `covered_s`.  One that
leapt ahead within the last hour, and is back where it was, is believed at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from resolver.hits.figures import EXCHANGE, HOUR_S, LIST, MINUTE_S, ORDER, HitKey, Hits

DOUBT_S: Final = 3600.0
"""How long a clock that went back is not believed (monotonic seconds)."""

LEAP_S: Final = 120.0
"""A clock that gains so much between two looks was set, or the machine slept."""

WAITING_MINUTES_MAX: Final = 180
"""Minutes that wait to be written; of older ones only the hours wait."""

WAITING_ENTRIES_MAX: Final = 200_000
"""Entries that wait, about 100 octets each; beyond it the oldest hours are lost, and counted."""

Orders = Mapping[tuple[str, str], tuple[str, ...]]
"""(kind, label) of an exchange or a list -> the orders in force for it, `confidential` in place of those."""


@dataclass(slots=True, frozen=True)
class Look:
    """The counts at one moment."""

    at: float
    """Unix seconds."""
    now: float
    """Monotonic seconds."""
    counts: Hits
    """Of exchanges and lists, since the start of the process."""
    orders: Orders
    """As they were in the time before this moment."""


@dataclass(slots=True)
class Stretch:
    """What is to be added to one hour or one minute."""

    hits: Counter[HitKey] = field(default_factory=Counter)
    covered_s: float = 0.0

    def add(self, other: Stretch) -> None:
        """Take in what belongs here, too."""
        self.hits.update(other.hits)
        self.covered_s += other.covered_s


@dataclass(slots=True)
class Waiting:
    """What is to be added to the history."""

    minutes: dict[int, Stretch] = field(default_factory=dict)
    """Unix minute -> what is to be added to it, and to its hour."""
    hours: dict[int, Stretch] = field(default_factory=dict)
    """Unix hour -> what is to be added to it beside that."""

    @property
    def stretches(self) -> Iterator[Stretch]:
        """All of them, in no order; none has what another has."""
        yield from self.minutes.values()
        yield from self.hours.values()

    @property
    def hits(self) -> int:
        """Hits of exchanges and lists, which are what was counted."""
        return sum(map(_counted, self.stretches))

    @property
    def entries(self) -> int:
        """How much memory it takes, in lines."""
        return sum(len(stretch.hits) for stretch in self.stretches)

    def add_minute(self, minute: int, stretch: Stretch) -> None:
        """Add to a minute."""
        self.minutes.setdefault(minute, Stretch()).add(stretch)

    def add_hour(self, hour: int, stretch: Stretch) -> None:
        """Add to an hour and none of its minutes."""
        self.hours.setdefault(hour, Stretch()).add(stretch)

    def fold_oldest(self) -> None:
        """Forget of the oldest minute all but its hour."""
        minute = min(self.minutes)
        self.add_hour(minute * MINUTE_S // HOUR_S, self.minutes.pop(minute))

    def drop_oldest(self) -> int:
        """Forget the oldest hour that stands alone; the hits lost."""
        return _counted(self.hours.pop(min(self.hours)))


class Ledger:
    """What one process has counted, and not written yet."""

    def __init__(self, at: float, now: float) -> None:
        """`at`, `now`: when counting began, in Unix seconds and monotonic ones."""
        self.waiting = Waiting()
        self.lost = 0
        """Hits that found no room here."""
        self._counted: Hits = {}
        self._orders: Orders = {}
        self._minute = self._latest = int(at // MINUTE_S)
        self._now = now
        self._behind_since: float | None = None
        self._offset = at - now
        """Of the clock from the monotonic one, at the last look."""
        self._leapt: tuple[float, float, int] | None = None
        """When it leapt ahead (monotonic), its offset before, and the latest minute then."""

    def has_been(self, minute: int) -> None:
        """The history goes as far as this Unix minute: a clock that is behind it went back."""
        if minute > self._latest:
            self._minute = self._latest = minute
            self._behind_since = self._now

    @property
    def latest(self) -> int:
        """The Unix minute to which what comes now belongs: how far the history goes."""
        return self._minute

    def take(self, look: Look) -> None:
        """Note what came since the last look."""
        added = Stretch(self._added(look), max(0.0, look.now - self._now))
        self._now = look.now
        if added.hits or added.covered_s:
            self.waiting.add_minute(self._minute, added)
            self._bound()
        self._watch_leaps(look)
        self._minute = self._minute_of(look)

    def take_out(self) -> Waiting:
        """All that waits; it waits here no more."""
        taken, self.waiting = self.waiting, Waiting()
        return taken

    def put_back(self, taken: Waiting) -> None:
        """It was not written, and waits again."""
        for minute, stretch in taken.minutes.items():
            self.waiting.add_minute(minute, stretch)
        for hour, stretch in taken.hours.items():
            self.waiting.add_hour(hour, stretch)
        self._bound()

    def _added(self, look: Look) -> Counter[HitKey]:
        added: Counter[HitKey] = Counter()
        for key, count in look.counts.items():
            before = self._counted.get(key, 0)
            # A count that fell began anew.
            hits = count - before if count >= before else count
            if hits:
                added[key] += hits
                # What was answered by the policy before still counts for its orders.
                source = (key.kind, key.label)
                orders = look.orders.get(source, self._orders.get(source, ()))
                for order in orders if key.kind in (EXCHANGE, LIST) else ():
                    added[HitKey(ORDER, order, key.action, key.mode)] += hits
        self._counted = look.counts
        self._orders = look.orders
        return added

    def _minute_of(self, look: Look) -> int:
        """The minute to which what comes now belongs."""
        minute = int(look.at // MINUTE_S)
        if minute < self._latest and not self._is_back(look):
            if self._behind_since is None:
                self._behind_since = look.now
            if look.now - self._behind_since < DOUBT_S:
                return self._latest
        self._behind_since = None
        self._latest = minute
        return minute

    def _is_back(self, look: Look) -> bool:
        """Whether the clock is back where it was before it leapt ahead."""
        if self._leapt is None:
            return False
        leapt_at, offset, latest = self._leapt
        return (
            look.now - leapt_at < DOUBT_S
            and abs(look.at - look.now - offset) < LEAP_S
            and look.at // MINUTE_S >= latest
        )

    def _watch_leaps(self, look: Look) -> None:
        offset = look.at - look.now
        if offset - self._offset >= LEAP_S:
            self._leapt = (look.now, self._offset, self._latest)
        self._offset = offset

    def _bound(self) -> None:
        """Keep what waits small: of the oldest minutes only the hours; then the oldest hours go."""
        waiting = self.waiting
        while len(waiting.minutes) > WAITING_MINUTES_MAX:
            waiting.fold_oldest()
        while len(waiting.minutes) > 1 and waiting.entries > WAITING_ENTRIES_MAX:
            waiting.fold_oldest()
        while waiting.hours and waiting.entries > WAITING_ENTRIES_MAX:
            self.lost += waiting.drop_oldest()


def _counted(stretch: Stretch) -> int:
    return sum(hits for key, hits in stretch.hits.items() if key.kind != ORDER)
