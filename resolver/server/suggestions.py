"""Mirrors and look-alikes in a running server: what is asked is counted, kept, and told in numbers.

Knows: when exchanges are read anew, when the file is written, what the numbers are made of.
Does not know: what looks alike, who asked.  Nothing here blocks anything.
Whatever fails is logged, and tried again: the server serves on, and the next write makes good.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from resolver.children import run_child_when_idle
from resolver.observe.facts import SUGGESTION_STATES
from resolver.plurals import counted
from resolver.server.suggestion_sink import SuggestionSink
from resolver.suggestions.advice import suggest
from resolver.suggestions.decisions import DecisionsUnusable, read_decisions
from resolver.suggestions.listed import NOTHING_KNOWN, Known, known_from_json, left_out_words
from resolver.suggestions.score import Index
from resolver.suggestions.seen import SeenNames, SeenUnusable, read_seen, write_seen

WRITE_EVERY_S: Final = 30.0
"""A kill loses at most this and the time of one write; a minute is promised."""
READ_TIMEOUT_S: Final = 120.0

_log = logging.getLogger(__name__)

Read = Callable[[Path], Awaitable[Known]]
"""Reads a blocklist.  Raises ValueError, KeyError, TypeError, OSError or TimeoutError."""


class Suggestions:
    """The part of one server that keeps look-alikes."""

    def __init__(
        self,
        blocklist: Path,
        state_dir: Path,
        queries_min: int,
        *,
        judged: Callable[[bytes], bool],
        wall: Callable[[], float],
        own_zones: frozenset[bytes] = frozenset(),
        read: Read | None = None,
    ) -> None:
        """See `SuggestionSink` for `judged` and `own_zones`."""
        self.counts: dict[str, int] = dict.fromkeys(SUGGESTION_STATES, 0)
        """How many there are in each state, as last looked at."""
        self.sink = SuggestionSink(SeenNames(queries_min), judged=judged, wall=wall, own_zones=own_zones)
        self._blocklist = blocklist
        self._state_dir = state_dir
        self._judged = judged
        self._read = read or read_in_child
        self._known = NOTHING_KNOWN
        self._index = Index(())
        self._is_asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._said: set[str] = set()

    async def start(self) -> None:
        """Take up what was kept, and begin."""
        await asyncio.to_thread(self._take_up)
        self._tasks = [
            asyncio.create_task(self._follow(), name="suggestions-follow"),
            asyncio.create_task(self._keep(), name="suggestions-keep"),
        ]

    def follow_policy(self) -> None:
        """The policy has changed: read the exchanges anew, soon."""
        self._is_asked.set()

    async def close(self) -> None:
        """Stop, and write what is not written yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await asyncio.to_thread(self.write)

    async def _follow(self) -> None:
        while True:
            await self._is_asked.wait()
            self._is_asked.clear()
            await self.read_exchanges()

    async def read_exchanges(self) -> None:
        """Read the blocklist, and hold names against it; unreadable, what was known before still stands."""
        try:
            self._known = await self._read(self._blocklist)
        except (ValueError, KeyError, TypeError, OSError, TimeoutError) as error:
            self._say_once(f"exchanges cannot be read for suggestions: {error or type(error).__name__}")
            return
        self._index = await asyncio.to_thread(self._known.index)
        # What is kept must be known by its worth before other names compete with it.
        await asyncio.to_thread(self._look)
        self.sink.follow(self._index)
        _log.info("for suggestions, names are held against %s", counted(len(self._known.listed), "exchange"))
        if words := left_out_words(self._known):
            self._say_once(f"for suggestions, {words}")

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await asyncio.to_thread(self.write)

    def _take_up(self) -> None:
        kept = {}
        try:
            kept = read_seen(self._state_dir)
        except SeenUnusable as error:
            self._say_once(f"names that were kept for suggestions are lost, counting begins anew: {error}")
        with self.sink.lock:
            self.sink.seen.take_up(kept)

    def write(self) -> None:
        """Look at what is kept, forget what is decided, write the rest if it changed.  It may block."""
        self._look()
        seen = self.sink.seen
        with self.sink.lock:
            octets = seen.as_json() if seen.is_changed else None
            seen.is_changed = False
        if octets is None:
            return
        try:
            write_seen(self._state_dir, octets)
            self._said.clear()
        except OSError as error:
            with self.sink.lock:
                seen.is_changed = True
            self._say_once(f"names cannot be kept for suggestions: {error}")

    def _look(self) -> None:
        """Count what is open; names about which the policy now says something are news no more."""
        if not len(self._index):
            return
        with self.sink.lock:
            names = dict(self.sink.seen.names)
        decisions = {}
        with contextlib.suppress(DecisionsUnusable):  # The commands say it to whom it concerns.
            decisions = read_decisions(self._state_dir)
        listed = {one.id: one for one in self._known.listed}
        found = suggest(self._index, listed, names, decisions, self._judged)
        self.counts = dict.fromkeys(SUGGESTION_STATES, 0) | Counter(one.state() for one in found)
        open_names = {one.name for one in found}
        with self.sink.lock:
            self.sink.seen.forget(name for name in names if name not in open_names)
            for one in found:
                self.sink.seen.know(one.name, one.score, is_dismissed=one.state() == "dismissed")

    def _say_once(self, text: str) -> None:
        """Log it, unless it was logged and nothing went well since."""
        if text not in self._said:
            self._said.add(text)
            _log.warning("%s", text)


async def read_in_child(blocklist: Path) -> Known:
    """Read a blocklist in a process of its own, in time that nobody else wants."""
    ended = await run_child_when_idle("resolver.suggestions.listed", str(blocklist), timeout_s=READ_TIMEOUT_S)
    if not ended.output:
        raise ValueError(f"code {ended.code}: {ended.last_words()!r}")
    return await asyncio.to_thread(known_from_json, ended.output)
