"""Wall time as far as it can be believed: behind what has happened it is wrong, far ahead it is doubted.

Knows: the program was written before it ran, and the last good policy was in force at its time.
Does not know: policy, the event loop; it is handed the clocks, and who knows whether a time service sets one.
Theory: a board without a battery starts in 1970, before every order's `from`, and its network would be open
until it hears the time.  So a time before the earliest believable one is not believed: that one holds, and
goes on from there.  A board may start in 2050, too, after every order's `until`.  A clock that is ahead
cannot be told from a right one, so it is gone by; but one that is far ahead of all that is known is told of
loudly, and what it says is not kept, so the right time is believed when it comes.  What a time service sets
(NTP; the kernel knows) is right, whatever was noted before.

    state_dir/dates.json    the latest time that a policy was put in force or a date passed; announcements
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import resolver
from resolver.clock import time_service_sets_clock
from resolver.durable import replace_file
from resolver.identity import as_owner_of

DATES_FILE = "dates.json"
NOTE_OCTETS_MAX = 1 << 20
"""Larger notes are not ours."""
TOLERANCE_S = 60.0
"""Clocks are set by so much without being wrong: a step of NTP after the policy was put in force."""
LEAP_S = 31 * 86_400.0
"""Farther ahead of the time that it has been, a clock is doubted unless a time service sets it: a running
server notes the time every day, and few are off for a month."""
LEAP_SINCE_BUILT_S = 10 * 366 * 86_400.0
"""The same where nothing is known but when the program was installed."""
BUILT_LEAST = 1_577_836_800.0
"""2020-01-01: files with an earlier date have it from a packager, and nothing can be concluded from it."""

Doubt = Literal["", "behind", "ahead"]


@dataclass(slots=True)
class DatesNote:
    """What is kept of dates over a restart."""

    seen_at: float = 0.0
    """Unix seconds: the latest time at which a policy was put in force or a date passed; 0: never."""
    announced: dict[str, int] = field(default_factory=dict)
    """What ends, and when -> how many days ahead that was announced."""
    doubted_at: float = 0.0
    """Unix seconds: what a doubted clock said when dates were last told by it; 0: it is not doubted."""


def read_note(state_dir: Path) -> DatesNote:
    """The note; an empty one where there is none that can be read."""
    try:
        # Commands call this, too, which root may run.
        with as_owner_of(state_dir) as folder, (folder / DATES_FILE).open("rb") as file:
            fields = json.loads(file.read(NOTE_OCTETS_MAX))
        announced = {str(key): int(days) for key, days in fields["announced"].items()}
        return DatesNote(float(fields["seen_at"]), announced, float(fields.get("doubted_at", 0.0)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return DatesNote()


def write_note(state_dir: Path, note: DatesNote) -> None:
    """Keep it.  Raises OSError."""
    words = {"seen_at": note.seen_at, "announced": note.announced, "doubted_at": note.doubted_at}
    replace_file(state_dir / DATES_FILE, json.dumps(words).encode())


def built_at() -> float:
    """When the files of this program were written (Unix seconds); 0 where that cannot be told."""
    with contextlib.suppress(OSError, TypeError):
        return Path(resolver.__file__).stat().st_mtime
    return 0.0


def believed_time(state_dir: Path | None, wall: float) -> float:
    """The time that a command here goes by when the clock says `wall` (Unix seconds)."""
    clock = BelievedClock(lambda: wall, lambda: 0.0, built_at(), time_service_sets_clock)
    if state_dir is not None:
        clock.has_been(read_note(state_dir).seen_at)
    return clock()


class BelievedClock:
    """Wall time, never before the earliest believable one."""

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        earliest: float = 0.0,
        is_set_by_service: Callable[[], bool] = lambda: False,
    ) -> None:
        """`earliest`: Unix seconds; it holds from now on, and goes on with `monotonic`.

        `is_set_by_service`: whether something that knows the time sets the wall clock.
        """
        self._wall = wall
        self._monotonic = monotonic
        self._first = self._earliest = earliest
        self._since = monotonic()
        self._is_set_by_service = is_set_by_service

    def __call__(self) -> float:
        """Unix seconds."""
        wall = self._wall()
        return self._held() if self._is_behind(wall) else wall

    def has_been(self, moment: float) -> None:
        """It was `moment` (Unix seconds), so it is never earlier again."""
        if moment > self._earliest:
            self._earliest = moment
            self._since = self._monotonic()

    def was_wrong(self, moment: float) -> None:
        """It is `moment` only, and what it has been was a mistake."""
        self._earliest = max(self._first, moment)
        self._since = self._monotonic()

    def doubt(self) -> Doubt:
        """How the clock is wrong, as far as can be told."""
        wall = self._wall()
        if self._is_behind(wall):
            return "behind"
        return "ahead" if self._is_far_ahead(wall) else ""

    @property
    def is_impossible(self) -> bool:
        """Whether the clock says that this program is still to be installed."""
        return self._wall() < self._first - TOLERANCE_S

    def remark(self) -> str:
        """Why the clock is not believed; empty: it is."""
        wall = self._wall()
        if self._is_behind(wall):
            return (
                f"this machine's clock says {_day(wall)}, which cannot be: it was {_day(self._earliest)} "
                "before. That time holds until the clock is set; "
                f"if the clock is right, delete {DATES_FILE} in state_dir and restart"
            )
        if self._is_far_ahead(wall):
            return (
                f"this machine's clock says {_day(wall)}, {self.days_ahead():,} days beyond all that is "
                "known, and no time service sets it. Dates go by it all the same, so what has ended by then "
                f"is open; if the clock is right, delete {DATES_FILE} in state_dir and restart"
            )
        return ""

    def days_ahead(self) -> int:
        """How far the clock is ahead of all that is known."""
        return max(0, int((self._wall() - self._held()) // 86_400))

    def _held(self) -> float:
        return self._earliest + self._monotonic() - self._since

    def _is_behind(self, wall: float) -> bool:
        if wall >= self._earliest - TOLERANCE_S:
            return False
        return wall < self._first - TOLERANCE_S or not self._is_set_by_service()

    def _is_far_ahead(self, wall: float) -> bool:
        if self._earliest < BUILT_LEAST:
            return False  # Nothing is known that it could be held against.
        leap_s = LEAP_S if self._earliest > self._first else LEAP_SINCE_BUILT_S
        return wall > self._held() + leap_s and not self._is_set_by_service()


def _day(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f} s"
