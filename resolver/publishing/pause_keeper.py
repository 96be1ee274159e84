"""What the publisher knows of a pause: which one counts now, and the image to judge by while it does.

Knows: the event loop, `pause.json`, what is logged of a pause.  Does not know: tables, when it is asked.
Whatever fails here leaves everything filtered, and is said in `remark`.  A pause that cannot be carried out
when it is asked for is over for good, in its file, too: whoever was told that it is refused must not find the
network open an hour later, when there is room again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resolver.clock import BootMoment
from resolver.moments import iso_moment
from resolver.policy.image import Image, ImageUnusable
from resolver.publishing.approvals import REASON_CHARS_MAX
from resolver.publishing.image_store import Stamp, open_image, stamps_of
from resolver.publishing.paused_image import CannotPause, Opened, paused_path, write_paused
from resolver.publishing.paused_serving import Paused
from resolver.publishing.pausing import (
    Ended,
    Pause,
    PauseUnusable,
    pause_path,
    read_pause,
    withdraw_pause,
)

NAMES_LOGGED_MAX = 100
NAMES_REMARKED_MAX = 3
"""The whole of them stands in the log and the history."""
BY_ITSELF = "the server"
"""Who ends a pause that cannot be carried out."""
ALONE = "two people are needed for a pause (http.changes: two-person), and one asks for it"

log = logging.getLogger("resolver.policy")


@dataclass(frozen=True, slots=True)
class InForce:
    """A pause that counts now."""

    pause: Pause
    until: float
    """Unix seconds, by the clock that the policy goes by."""
    opened: Opened


class PauseKeeper:
    """The pause of one server."""

    def __init__(self, state_dir: Path, wall: Callable[[], float], boot: Callable[[], BootMoment]) -> None:
        """`wall`: Unix seconds as the clock says them.  `boot`: the clock that nobody can set."""
        self.path = pause_path(state_dir)
        self.two_person = False
        """Whether a pause that nobody approved beside who asks for it is refused."""
        self.in_force: InForce | None = None
        self._state_dir = state_dir
        self._wall = wall
        self._boot = boot
        self._stamp: Stamp = None
        self._asked: Pause | None = None
        """What the file says."""
        self._unreadable = ""
        self._refused: tuple[str, str, float] | None = None
        """Id of the pause that could not be carried out, why, and until when it would have been."""
        self._to_withdraw: tuple[str, Ended] | None = None
        """The same while its file could not be told yet."""
        self._is_doubted = False
        self.is_swapped = True
        """Whether the policy is swapped for what was looked for last; whoever swaps it says so."""

    def doubt(self) -> None:
        """The clock was set: what is in force is worked out anew."""
        self._is_doubted = True

    async def look(self) -> bool:
        """Read what is asked for; whether another pause counts than the one in force, or none does."""
        stamp = (await asyncio.to_thread(stamps_of, (str(self.path),)))[str(self.path)]
        if stamp != self._stamp:
            # After it: who is cancelled within it must look again.
            await self._read()
            self._stamp = stamp
        asked = self._asked
        if self.two_person and asked is not None and not asked.approved_by and self._left_s(asked):
            await self._refuse(asked, ALONE)
        await self._withdraw()
        is_doubted, self._is_doubted = self._is_doubted, False
        wanted, before = self._wanted(), self.in_force
        if wanted is None or before is None:
            is_another = (wanted is None) != (before is None)
        else:
            is_another = before.pause.id != wanted.id or is_doubted
        if is_another:
            self.is_swapped = False
        # Until it is swapped: what was begun may have failed, or been cancelled.
        return not self.is_swapped

    async def _read(self) -> None:
        try:
            asked, said = await asyncio.to_thread(read_pause, self._state_dir), ""
        except PauseUnusable as error:
            asked, said = None, f"{error}; nothing is paused by it: 'pause' and 'resume' write it anew"
        if self._refused is not None and asked is not None and asked.id != self._refused[0]:
            self._refused = self._to_withdraw = None
        # What is over for good is so whatever its file says yet.
        if self._to_withdraw is None or asked is None:
            self._asked = asked
        if said and said != self._unreadable:
            log.error("%s", said)
        self._unreadable = said

    def _wanted(self) -> Pause | None:
        """The pause that is asked for, counts still, and can be carried out."""
        asked = self._asked
        if asked is None or (self._refused is not None and self._refused[0] == asked.id):
            return None
        return asked if self._left_s(asked) else None

    async def _refuse(self, pause: Pause, why: str) -> None:
        """End a pause that is not to be, here and in its file."""
        wall = self._wall()
        ended = Ended(wall, BY_ITSELF, why[:REASON_CHARS_MAX])
        self._refused = pause.id, why, wall + pause.for_s
        self._to_withdraw = pause.id, ended
        self._asked = replace(pause, ended=ended)
        log.error("the pause by %s is refused, and does not begin later either: %s", pause.who, why)
        await self._withdraw()

    async def _withdraw(self) -> None:
        """Tell the file of the pause that is refused; where that fails, with the next look."""
        if self._to_withdraw is None:
            return
        name, ended = self._to_withdraw
        try:
            await asyncio.to_thread(withdraw_pause, self._state_dir, name, ended)
        except OSError as error:
            log.error("%s: the pause that is refused still stands there: %s", self.path, error.strerror)
            return
        self._to_withdraw = None

    def _left_s(self, pause: Pause) -> float:
        return pause.left_s(self._wall(), self._boot())

    async def image_for(self, image: Image, wall: float) -> Image:
        """The image to judge by in the place of `image` from `wall` (Unix seconds) on.

        `image` itself, where nothing is paused.
        """
        before, self.is_swapped = self.in_force, False
        pause = self._wanted()
        if pause is None:
            self.in_force = None
            if before is not None:
                log.warning("filtering goes on: %s", _end_in_words(before.pause, self._asked))
            return image
        until = wall + self._left_s(pause)
        path = paused_path(image.path)

        def made() -> tuple[Image, Opened]:
            opened = write_paused(image, path, (wall, until), including_orders=pause.including_orders)
            return open_image(path), opened

        try:
            paused, opened = await asyncio.to_thread(made)
        except (CannotPause, ImageUnusable) as error:
            await self._refuse(pause, str(error))
            self.in_force = None
            return image
        self.in_force = InForce(pause, until, opened)
        if before is None or before.pause.id != pause.id:
            log.warning("FILTERING IS PAUSED %s", self._words(self.in_force, NAMES_LOGGED_MAX))
        return paused

    def _words(self, in_force: InForce, named_max: int) -> str:
        pause, opened = in_force.pause, in_force.opened
        approved = f", approved by {pause.approved_by}" if pause.approved_by else ""
        return (
            f"until {iso_moment(in_force.until)} by {pause.who} ({pause.reason}){approved}, {pause.scope()}: "
            f"not blocked: {opened.words(named_max)}"
        )

    @property
    def until(self) -> float:
        """Unix seconds at which filtering goes on; 0: it is not paused."""
        return 0.0 if self.in_force is None else self.in_force.until

    def paused(self) -> Paused | None:
        """The pause in force, for whoever tells of it."""
        return None if self.in_force is None else Paused(self.in_force.pause, self.in_force.until)

    def remark(self) -> str:
        """What a person should know; empty: nothing is paused, and nothing is wrong."""
        if self.in_force is not None:
            return f"filtering is paused {self._words(self.in_force, NAMES_REMARKED_MAX)}"
        return self.trouble or self._unreadable

    @property
    def trouble(self) -> str:
        """Why the pause that was asked for last is refused; empty: it is not, or would be over."""
        if self._refused is None or self._wall() >= self._refused[2]:
            return ""
        return f"a pause was asked for and is refused: {self._refused[1]}"

    def remark_outside(self) -> str:
        """The same for people who may not know who paused filtering, and why."""
        if self.in_force is not None:
            return f"filtering is paused until {iso_moment(self.in_force.until)}"
        if self.trouble:
            return "a pause was asked for and is refused"
        return "the file of pauses cannot be understood; nothing is paused by it" if self._unreadable else ""

    def as_json(self) -> dict[str, Any]:
        """For the record: `now`, the pause in force or None, and `ended`, who ended the last one, or None."""
        asked = self._asked
        ended = None
        if asked is not None and asked.ended is not None:
            ended = {
                "id": asked.id,
                "at": asked.ended.at,
                "who": asked.ended.who,
                "reason": asked.ended.reason,
            }
        now = None
        if self.in_force is not None:
            pause, opened = self.in_force.pause, self.in_force.opened
            now = {
                "id": pause.id,
                "until": self.in_force.until,
                "who": pause.who,
                "reason": pause.reason,
                "approved_by": pause.approved_by,
                "proposal": pause.proposal,
                "including_orders": pause.including_orders,
                "exchanges": list(opened.exchanges),
                "lists": list(opened.lists),
                "confidential": opened.confidential,
                "domains": opened.domains,
                "stays": opened.stays,
            }
        return {"now": now, "ended": ended}


def _end_in_words(pause: Pause, asked: Pause | None) -> str:
    if asked is not None and asked.id == pause.id and asked.ended is not None:
        why = f" ({asked.ended.reason})" if asked.ended.reason else ""
        return f"{asked.ended.who} ended the pause by {pause.who}{why}"
    if asked is None or asked.id != pause.id:
        return f"the pause by {pause.who} is not asked for any more"
    return f"the pause by {pause.who} is over"
