"""Wall time as far as it can be believed: a clock that is behind what has happened is wrong.

Knows: the program was written before it ran, and the last good policy was in force at its time.
Does not know: policy, the event loop; it is handed the clocks.
Theory: a board without a battery starts in 1970, before every order's `from`, and its network would be open
until it hears the time.  So a time before the earliest believable one is not believed: that one holds, and
goes on from there.  A clock that is ahead cannot be told from a right one.

    state_dir/dates.json    the latest time that a policy was put in force or a date passed; announcements
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import resolver
from resolver.durable import replace_file
from resolver.identity import as_owner_of

DATES_FILE = "dates.json"
NOTE_OCTETS_MAX = 1 << 20
"""Larger notes are not ours."""
TOLERANCE_S = 60.0
"""Clocks are set by so much without being wrong: a step of NTP after the policy was put in force."""


@dataclass(slots=True)
class DatesNote:
    """What is kept of dates over a restart."""

    seen_at: float = 0.0
    """Unix seconds: the latest time at which a policy was put in force or a date passed; 0: never."""
    announced: dict[str, int] = field(default_factory=dict)
    """What ends, and when -> how many days ahead that was announced."""


def read_note(state_dir: Path) -> DatesNote:
    """The note; an empty one where there is none that can be read."""
    try:
        # Commands call this, too, which root may run.
        with as_owner_of(state_dir) as folder, (folder / DATES_FILE).open("rb") as file:
            fields = json.loads(file.read(NOTE_OCTETS_MAX))
        announced = {str(key): int(days) for key, days in fields["announced"].items()}
        return DatesNote(float(fields["seen_at"]), announced)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return DatesNote()


def write_note(state_dir: Path, note: DatesNote) -> None:
    """Keep it.  Raises OSError."""
    words = {"seen_at": note.seen_at, "announced": note.announced}
    replace_file(state_dir / DATES_FILE, json.dumps(words).encode())


def built_at() -> float:
    """When the files of this program were written (Unix seconds); 0 where that cannot be told."""
    with contextlib.suppress(OSError, TypeError):
        return Path(resolver.__file__).stat().st_mtime
    return 0.0


def believed_time(state_dir: Path | None, wall: float) -> float:
    """The time that a command here goes by when the clock says `wall` (Unix seconds)."""
    seen_at = 0.0 if state_dir is None else read_note(state_dir).seen_at
    earliest = max(seen_at, built_at())
    return wall if wall >= earliest - TOLERANCE_S else earliest


class BelievedClock:
    """Wall time, never before the earliest believable one."""

    def __init__(
        self, wall: Callable[[], float], monotonic: Callable[[], float], earliest: float = 0.0
    ) -> None:
        """`earliest`: Unix seconds; it holds from now on, and goes on with `monotonic`."""
        self._wall = wall
        self._monotonic = monotonic
        self._earliest = earliest
        self._since = monotonic()

    def __call__(self) -> float:
        """Unix seconds."""
        wall = self._wall()
        if wall >= self._earliest - TOLERANCE_S:
            return wall
        return self._earliest + self._monotonic() - self._since

    def has_been(self, moment: float) -> None:
        """It was `moment` (Unix seconds), so it is never earlier again."""
        if moment > self._earliest:
            self._earliest = moment
            self._since = self._monotonic()

    def remark(self) -> str:
        """Why the clock is not believed; empty: it is."""
        wall = self._wall()
        if wall >= self._earliest - TOLERANCE_S:
            return ""
        return (
            f"this machine's clock says {_day(wall)}, which cannot be: it was {_day(self._earliest)} before. "
            "That time holds until the clock is set; "
            f"if the clock is right, delete {DATES_FILE} in state_dir and restart"
        )


def _day(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f} s"
