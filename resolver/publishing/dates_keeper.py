"""What the publisher knows of dates over restarts: what time it has been, what is announced.

Knows: the event loop, the note in `state_dir`, what is logged of a date.  Does not know: tables, files.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from resolver.publishing.believed import BelievedClock, DatesNote, read_note, write_note
from resolver.publishing.timetable import Timetable, Turn, announced_words, passed_words, still_to_come

log = logging.getLogger("resolver.policy")


class DatesKeeper:
    """The timetable of the policy in force, read by a clock that can be believed."""

    def __init__(self, state_dir: Path, wall: BelievedClock) -> None:
        self.wall = wall
        self.timetable = Timetable(None)
        self._state_dir = state_dir
        self._note = DatesNote()
        self._writing: asyncio.Task[None] | None = None

    async def read(self) -> float:
        """Read the note, and hold the clock to it; the latest time it tells of, 0: none."""
        self._note = await asyncio.to_thread(read_note, self._state_dir)
        self.wall.has_been(self._note.seen_at)
        return self._note.seen_at

    async def close(self) -> None:
        """Wait until the note is written."""
        if self._writing is not None:
            await self._writing

    def tell(self, before: float, now: float) -> list[Turn]:
        """Log what began and what ended after `before`, up to `now` (Unix seconds), and give it."""
        turns = self.timetable.between(before, now)
        for turn in turns:
            log.warning("%s", passed_words(turn))
        return turns

    def announce(self) -> None:
        """Log what ends soon, each lead once."""
        wall = self.wall()
        due = self.timetable.announcements(wall, self._note.announced)
        for turn, _ in due:
            log.warning("%s", announced_words(turn, wall))
        if due:
            self.keep(self._note.seen_at)

    def keep(self, seen_at: float) -> None:
        """Keep over a restart that it has been `seen_at`, and what is announced."""
        self._note.seen_at = max(self._note.seen_at, seen_at)
        self.wall.has_been(self._note.seen_at)
        note = DatesNote(self._note.seen_at, still_to_come(self._note.announced, seen_at))
        before = self._writing

        async def write() -> None:
            if before is not None:
                await before
            try:
                await asyncio.to_thread(write_note, self._state_dir, note)
            except OSError as error:
                log.warning("cannot note the time in %s: %s", self._state_dir, error)

        self._writing = asyncio.create_task(write(), name="policy-dates")
