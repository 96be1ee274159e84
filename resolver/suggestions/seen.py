"""Names that look like a listed exchange and were asked for: how often on which day, nothing of who asked.

Knows: counts per name and day, their limits, the file they are kept in.  Does not know: clients, clocks, what
looks alike.
Theory: a name that few queries were for may tell of one person, so it is not kept: it is counted in memory
only, and forgotten at the end of the day, until `queries_min` queries of one day have asked for it.  Both
tables are bounded, and so is what one registrable name may have in them.  In a full table a name that is
worth more takes the place of the one that is worth least: dismissed ones first, then the lowest score, then
the fewest queries.  What finds no room is counted as lost.
The file is replaced whole.  What cannot be read is no reason not to count: it is begun anew, and said.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from resolver.durable import replace_file
from resolver.portions import open_regular, read_up_to
from resolver.suggestions.names import registrable
from resolver.wire.names import name_from_text, name_to_text

FOLDER: Final = "suggestions"
SEEN_FILE: Final = "seen.json"
NAMES_MAX: Final = 2_000
"""Names that are kept, in memory and in the file."""
FRESH_MAX: Final = 5_000
"""Names of today that too few have asked for yet."""
OWNER_NAMES_MAX: Final = 8
"""Names of one registrable name in both tables."""
DAYS_KEPT: Final = 30
"""Counts of older days are forgotten, and names that nobody asked for since."""
SHARED_MAX: Final = 3
"""Exchanges to which the answers of one name may lead."""
FILE_OCTETS_MAX: Final = 4 << 20
"""Larger files are not ours: 2,000 names of 30 days are 1.6 MB."""
VERSION: Final = 1


class SeenUnusable(Exception):
    """The file is there and cannot be used; the message says why."""


@dataclass(slots=True)
class Seen:
    """One name."""

    days: dict[date, int] = field(default_factory=dict)
    """UTC day -> queries."""
    shared: set[str] = field(default_factory=set)
    """Ids of listed exchanges to whose names or addresses its answers led."""
    score: float = field(default=0.0, compare=False)
    """How much it looks like something, as last looked at; it is not in the file."""
    is_dismissed: bool = field(default=False, compare=False)
    """Whether somebody has dismissed it, likewise."""

    @property
    def queries(self) -> int:
        """Of all days that are kept."""
        return sum(self.days.values())

    @property
    def first(self) -> date:
        """The first day that is kept."""
        return min(self.days)

    @property
    def last(self) -> date:
        """The last day on which somebody asked for it."""
        return max(self.days)


_WEAKEST: Final = 64
"""Looked up at once in a full table."""


class _Table:
    """Names up to a number, each with what it is worth."""

    def __init__(self, names: dict[bytes, Seen]) -> None:
        self.names = names
        self._weakest: list[bytes] = []
        """The next to go is the last one.  They may be worth more by now, or be gone."""

    def take_weaker(self, than: Seen, *, ties_go: bool) -> bytes | None:
        """Take out the name that is worth least, if it is worth less; `ties_go`: or as much.

        None: it is worth more.
        """
        names = self.names
        while self._weakest and self._weakest[-1] not in names:
            self._weakest.pop()
        if not self._weakest:
            found = heapq.nsmallest(_WEAKEST, names, key=lambda name: _worth(names[name]))
            self._weakest = found[::-1]
        weakest = _worth(names[self._weakest[-1]])
        if weakest > _worth(than) or (weakest == _worth(than) and not ties_go):
            return None
        return self._weakest.pop()

    def look_anew(self) -> None:
        """Names are worth something else now."""
        self._weakest = []


def _worth(seen: Seen) -> tuple[bool, float, int]:
    return (not seen.is_dismissed, seen.score, seen.queries)


class SeenNames:
    """All of them.  One thread writes; `names` may be read in another after `as_json`, not meanwhile."""

    def __init__(self, queries_min: int, names: Mapping[bytes, Seen] | None = None) -> None:
        """`queries_min`: so many queries of one day keep a name.  `names`: what was kept before."""
        self.names: dict[bytes, Seen] = dict(names or {})
        """Wire form -> what is kept."""
        self.lost = 0
        """Queries for names for which there was no room."""
        self.is_changed = False
        """Whether something is not in the file yet."""
        self._queries_min = queries_min
        self._fresh: dict[bytes, Seen] = {}
        self._kept_table, self._fresh_table = _Table(self.names), _Table(self._fresh)
        self._owners: Counter[bytes] = Counter()
        """Registrable names -> names of theirs in both tables."""
        self._count_owners()
        self._today = date.min

    def take_up(self, names: Mapping[bytes, Seen]) -> None:
        """Add what was kept before."""
        self.names.update(names)
        self._count_owners()

    def know(self, name: bytes, score: float, *, is_dismissed: bool) -> None:
        """Remember what a name that is kept is worth."""
        seen = self.names.get(name)
        if seen is not None:
            seen.score, seen.is_dismissed = score, is_dismissed
            self._kept_table.look_anew()

    def count(
        self, name: bytes, queries: int, today: date, shared: Iterable[str] = (), *, score: float = 0.0
    ) -> None:
        """Add queries of `today` (UTC) for a name that looks alike, by `score`.

        A day before the last one, by a clock that was set back, counts as the last one.
        """
        if today > self._today:
            self._begin(today)
        today = self._today
        seen = self.names.get(name)
        if seen is None:
            seen = self._fresh.get(name)
            if seen is None:
                seen = Seen({today: queries}, score=score)
                if not self._has_room(name, seen):
                    self.lost += queries
                    return
                seen.days.clear()
                self._fresh[name] = seen
                self._owners[registrable(name) or name] += 1
        seen.score = max(seen.score, score)
        seen.days[today] = seen.days.get(today, 0) + queries
        for exchange in shared:
            if len(seen.shared) < SHARED_MAX:
                seen.shared.add(exchange)
        if name in self.names:
            self.is_changed = True
        elif seen.days[today] >= self._queries_min:
            self._keep(name, seen, queries)

    def _keep(self, name: bytes, seen: Seen, queries: int) -> None:
        if len(self.names) >= NAMES_MAX:
            weaker = self._kept_table.take_weaker(seen, ties_go=False)
            if weaker is None:
                self.lost += queries
                return
            self._drop(self.names, weaker)
        del self._fresh[name]
        self.names[name] = seen
        self.is_changed = True

    def _has_room(self, name: bytes, seen: Seen) -> bool:
        """Whether a name that is new may be counted; perhaps another one goes for it."""
        if self._owners[registrable(name) or name] >= OWNER_NAMES_MAX:
            return False
        if len(self._fresh) >= FRESH_MAX:
            # Who floods with new names has one query for each: a name that comes again outlasts them.
            weaker = self._fresh_table.take_weaker(seen, ties_go=True)
            if weaker is None:
                return False
            self._drop(self._fresh, weaker)
        return True

    def _drop(self, table: dict[bytes, Seen], name: bytes) -> None:
        self.lost += table.pop(name).queries
        self._owners[registrable(name) or name] -= 1

    def _count_owners(self) -> None:
        self._owners = Counter(registrable(name) or name for name in (*self.names, *self._fresh))
        self._kept_table.look_anew()
        self._fresh_table.look_anew()

    def forget(self, names: Iterable[bytes]) -> None:
        """Drop names that are decided, or look like nothing any more."""
        for name in names:
            if self.names.pop(name, None) is not None:
                self._owners[registrable(name) or name] -= 1
                self.is_changed = True

    def _begin(self, today: date) -> None:
        """A new day: what too few asked for is forgotten, and what is too old."""
        self._today = max([today, *(seen.last for seen in self.names.values())])
        self._fresh.clear()
        oldest = self._today - timedelta(days=DAYS_KEPT - 1)
        for name, seen in list(self.names.items()):
            gone = [day for day in seen.days if day < oldest]
            for day in gone:
                del seen.days[day]
                self.is_changed = True
            if not seen.days:
                del self.names[name]
        self._count_owners()

    def as_json(self) -> bytes:
        """What the file holds."""
        names = {
            name_to_text(name): {
                "days": {day.isoformat(): count for day, count in sorted(seen.days.items())},
                "shared": sorted(seen.shared),
            }
            for name, seen in sorted(self.names.items())
        }
        return json.dumps({"version": VERSION, "names": names}, indent=0).encode()


def seen_path(state_dir: Path) -> Path:
    """Where names are kept."""
    return state_dir / FOLDER / SEEN_FILE


def write_seen(state_dir: Path, octets: bytes) -> None:
    """Replace the file: the old one or the new one stands.  Only its owner may read it.  Raises OSError."""
    path = seen_path(state_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, octets, mode=0o600)


def read_seen(state_dir: Path) -> dict[bytes, Seen]:
    """What is kept; nothing where there is no file.  Raises `SeenUnusable`."""
    path = seen_path(state_dir)
    try:
        with open_regular(path) as file:
            octets = read_up_to(file, FILE_OCTETS_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SeenUnusable(f"{path}: {error.strerror}") from None
    try:
        if len(octets) > FILE_OCTETS_MAX:
            raise ValueError("too large")
        fields = json.loads(octets)
        if fields["version"] != VERSION:
            raise ValueError(f"is of version {fields['version']}")
        return dict(_entry(name, entry) for name, entry in list(fields["names"].items())[:NAMES_MAX])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SeenUnusable(f"{path}: is damaged: {type(error).__name__}: {error}") from None


def _entry(name: str, entry: Mapping[str, Any]) -> tuple[bytes, Seen]:
    days = {date.fromisoformat(day): int(count) for day, count in list(entry["days"].items())[-DAYS_KEPT:]}
    if not days or min(days.values()) < 0:
        raise ValueError("a name without days")
    shared = {str(exchange) for exchange in entry["shared"][:SHARED_MAX]}
    return name_from_text(name), Seen(days, shared)
