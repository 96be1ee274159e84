"""What the publisher knows of dates over restarts: what time it has been, what is announced.

Knows: the event loop, the note in `state_dir`, what is logged of a date and of a clock that is doubted.
Does not know: tables, files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from resolver.blocklist.openings import day_text
from resolver.publishing.believed import (
    TOLERANCE_S,
    BelievedClock,
    DatesNote,
    Doubt,
    read_note,
    write_note,
)
from resolver.publishing.timetable import Timetable, Turn, announced_words, passed_words, still_to_come

NOTED_EVERY_S = 86_400.0
"""How often the time is noted where nothing else is."""

log = logging.getLogger("resolver.policy")


class DatesKeeper:
    """The timetable of the policy in force, read by a clock that can be believed."""

    def __init__(self, state_dir: Path, wall: BelievedClock, monotonic: Callable[[], float]) -> None:
        self.wall = wall
        self.timetable = Timetable(None)
        self._monotonic = monotonic
        self._state_dir = state_dir
        self._note = DatesNote()
        self._noted_at = monotonic()
        self._doubt: Doubt = ""
        self._writing: asyncio.Task[None] | None = None

    async def read(self) -> float:
        """Read the note, and hold the clock to it; the time until which dates were told, 0: none was."""
        self._note = await asyncio.to_thread(read_note, self._state_dir)
        self.wall.has_been(self._note.seen_at)
        return self._note.doubted_at or self._note.seen_at

    async def close(self) -> None:
        """Wait until the note is written."""
        if self._writing is not None:
            await self._writing

    def leaps(self, before: float, now: float) -> bool:
        """Whether the clock came from `before` to `now` (Unix seconds) by a leap, not by time that passed."""
        return now < before or self.wall.doubt() == "ahead"

    def tell(
        self, before: float, now: float, *, leapt: bool, timetable: Timetable | None = None
    ) -> list[Turn]:
        """Log what began and what ended after `before`, up to `now` (Unix seconds), and give it.

        `leapt`: the clock did, so it is all one turn.  `timetable`: of what served then, if that is another.
        """
        timetable = timetable or self.timetable
        turns = timetable.leap(before, now) if leapt else timetable.between(before, now)
        for turn in turns:
            log.warning("%s", passed_words(turn))
        return turns

    def announce(self) -> None:
        """Log what ends soon, each lead once."""
        if self.wall.doubt() == "ahead":
            return
        wall = self.wall()
        due = self.timetable.announcements(wall, self._note.announced)
        for turn, _ in due:
            log.warning("%s", announced_words(turn, wall))
        if due:
            self._write()

    def heed_clock(self, *, was_set: bool) -> None:
        """Note the time where that was long ago, or where the clock is trusted otherwise than before.

        `was_set`: what it says now is noted when it has gone on for a while: it may be a mistake.
        """
        if was_set:
            self._noted_at = self._monotonic()
        self._heed_doubt()
        wall = self.wall()
        if (
            (self.wall.doubt() == "ahead") is not bool(self._note.doubted_at)
            or wall < self._note.seen_at - TOLERANCE_S
            or self._monotonic() - self._noted_at >= NOTED_EVERY_S
        ):
            self.keep(wall)

    def keep(self, seen_at: float) -> None:
        """Keep over a restart that it has been `seen_at` (Unix seconds by `wall`), and what is announced."""
        note, doubt = self._note, self._heed_doubt()
        note.doubted_at = seen_at if doubt == "ahead" else 0.0
        if not doubt and seen_at < note.seen_at - TOLERANCE_S:
            log.warning(
                "a time service has set the clock; %s, which it said before, was a mistake",
                day_text(note.seen_at),
            )
            note.seen_at = seen_at
            self.wall.was_wrong(seen_at)
        elif not doubt or self.wall.is_impossible:
            # A clock that may be right is not held to a later time than it must: it gets there by itself.
            note.seen_at = max(note.seen_at, seen_at)
            self.wall.has_been(note.seen_at)
        self._write()

    def _heed_doubt(self) -> Doubt:
        """Log where the clock is trusted otherwise than before."""
        doubt = self.wall.doubt()
        if doubt != self._doubt:
            self._doubt = doubt
            if doubt:
                head = "THE CLOCK IS DOUBTED" if doubt == "ahead" else "THE CLOCK IS NOT BELIEVED"
                log.error("%s: %s", head, self.wall.remark())
            else:
                log.warning("the clock is believed again: it is %s", day_text(self.wall()))
        return doubt

    def _write(self) -> None:
        self._noted_at = self._monotonic()
        seen_at = self._note.seen_at
        note = DatesNote(seen_at, still_to_come(self._note.announced, seen_at), self._note.doubted_at)
        before = self._writing

        async def write() -> None:
            if before is not None:
                await before
            try:
                await asyncio.to_thread(write_note, self._state_dir, note)
            except OSError as error:
                log.warning("cannot note the time in %s: %s", self._state_dir, error)

        self._writing = asyncio.create_task(write(), name="policy-dates")
