"""Keeps downloaded lists fresh while the server runs: one child process at a time, when one is due.

Knows: the event loop, the child, what happened to each list.  Does not know: HTTP, what lists are for.
Theory: the lists to follow are those of the policy in force, so a broken blocklist changes nothing
here.  A finished download changes a file; the publisher is called, and looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resolver.blocklist.downloads import DownloadedList
from resolver.children import run_child
from resolver.clock import Clock, TimerHandle
from resolver.fetching.outcome import Outcome, Result, outcome_from
from resolver.fetching.schedule import FIRST_RETRY_S, refresh_in_s, retry_s
from resolver.fetching.store import ListStore, Notes
from resolver.fetching.stub import Server
from resolver.plurals import counted

GRACE_S = 60.0
"""A child gets this beyond the download's own time, to start, to verify and to count."""
NOTIFY_PAUSE_S = 1.0
"""Between two attempts that primaries ask for."""
NOTIFY_PAUSE_S_MAX = 60.0
"""The same where announcements led to nothing: twice as long each time, up to this."""
BUSY_RETRY_S = 30.0
"""When somebody else is downloading the same list."""

log = logging.getLogger("resolver.fetching")

Run = Callable[[DownloadedList], Coroutine[Any, Any, Outcome]]
"""Downloads one list; never raises but for being cancelled."""


@dataclass(slots=True)
class Followed:
    """One list, as it stands."""

    wanted: DownloadedList
    notes: Notes = field(default_factory=Notes)
    has_copy: bool = False
    due: float = 0.0
    """Monotonic seconds of the next attempt."""
    is_read: bool = False
    """Whether the notes on disk have been looked at since it was last followed."""
    was_tried: bool = False
    tried_at: float = -math.inf
    """Monotonic seconds at which the last attempt began."""
    is_notified: bool = False
    """Whether a primary has announced a change since then."""
    notify_pause_s: float = NOTIFY_PAUSE_S
    """Seconds between two attempts that announcements lead to."""
    failures: int = 0
    """In a row, since this server started: a restart is often the repair, so it begins anew."""
    downloads: Counter[Result] = field(default_factory=Counter)


class ListKeeper:
    """Fetches what is due, from `start` until `close`."""

    def __init__(
        self,
        state_dir: Path,
        run: Run,
        clock: Clock,
        on_updated: Callable[[], None],
        on_looked: Callable[[], None] = lambda: None,
        *,
        wall: Callable[[], float],
        roll: Callable[[], float] = random.random,
    ) -> None:
        """`on_updated`: called when a list's file has changed; `on_looked`: when `missing` may differ."""
        self._state_dir = state_dir
        self._run = run
        self._clock = clock
        self._on_updated = on_updated
        self._on_looked = on_looked
        self._wall = wall
        self._roll = roll
        self._followed: dict[str, Followed] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._timer: TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, lists: Iterable[DownloadedList]) -> None:
        """From now on these lists are kept, and no others; returns at once."""
        before = self._followed
        self._followed = {}
        for wanted in lists:
            entry = before.get(wanted.name) or Followed(wanted)
            if entry.wanted.download != wanted.download:
                # Another source is another start: its first attempt does not wait for the old one's pause.
                entry = Followed(wanted, was_tried=False, downloads=entry.downloads)
            entry.wanted = wanted
            entry.is_read = False
            self._followed[wanted.name] = entry
        self._wake.set()

    def notified(self, names: Iterable[str]) -> None:
        """A primary says that the zones of these lists changed: they are due, after a pause of their own."""
        now = self._clock.now()
        for name in names:
            if (entry := self._followed.get(name)) is not None:
                entry.due = min(entry.due, max(now, entry.tried_at + entry.notify_pause_s))
                entry.is_notified = True
        self._wake.set()

    def fetch_now(self, name: str) -> bool:
        """Somebody here wants this list now: it is due; whether it is one that is downloaded."""
        entry = self._followed.get(name)
        if entry is None:
            return False
        entry.due = min(entry.due, self._clock.now())
        self._wake.set()
        return True

    def start(self) -> None:
        """Begin to fetch."""
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="list-keeper")

    async def settle(self, wait_s: float) -> None:
        """Wait until every list has a copy or was tried once, but no longer than `wait_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.missing(untried_only=True) or not self._settled.is_set():
                    self._settled.clear()
                    await self._settled.wait()

    async def close(self) -> None:
        """Stop; a child under way is killed, and leaves the old list."""
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def lists(self) -> Sequence[Followed]:
        """How every list stands."""
        return tuple(self._followed.values())

    def missing(self, *, untried_only: bool = False) -> list[str]:
        """Names of lists of which there is no copy at all."""
        return [
            name
            for name, entry in self._followed.items()
            if not entry.has_copy and not (untried_only and entry.was_tried)
        ]

    # The one task.

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._read_notes()
                due = self._next_due()
                if due is None or due.due > self._clock.now():
                    self._settled.set()
                    if due is not None:
                        self._wake_at(due.due)
                    await self._wake.wait()
                    continue
                await self._fetch(due)
            except Exception:
                # The server outlives whatever befalls its lists.
                log.exception("keeping lists failed; trying again in %g s", BUSY_RETRY_S)
                self._wake_at(self._clock.now() + BUSY_RETRY_S)
                await self._wake.wait()

    async def _read_notes(self) -> None:
        for entry in self.lists:
            if entry.is_read:
                continue
            entry.is_read = True
            store = ListStore(self._state_dir, entry.wanted.name)
            notes, entry.has_copy = await asyncio.to_thread(store.look)
            if entry.has_copy and notes.succeeded_at > entry.notes.succeeded_at:
                # Of before this start, or of a command that somebody gave.
                entry.failures = 0
                entry.due = self._refresh_at(entry, notes)
            entry.notes = notes
            self._on_looked()

    def _refresh_at(self, entry: Followed, notes: Notes) -> float:
        wanted = entry.wanted.download
        return self._clock.now() + refresh_in_s(wanted, notes, wall=self._wall(), roll=self._roll())

    def _next_due(self) -> Followed | None:
        # Lists that serve nothing yet come first.
        return min(self.lists, key=lambda entry: (entry.due, entry.has_copy), default=None)

    async def _fetch(self, entry: Followed) -> None:
        name = entry.wanted.name
        was_notified, entry.is_notified = entry.is_notified, False
        entry.tried_at = self._clock.now()
        outcome = await self._run(entry.wanted)
        entry.downloads[outcome.result] += 1
        store = ListStore(self._state_dir, name)
        entry.notes, entry.has_copy = await asyncio.to_thread(store.look)
        entry.was_tried = True
        if outcome.is_success:
            entry.failures = 0
            # Not sooner than a retry: on a full disk the notes may not say that it succeeded.
            entry.due = max(self._refresh_at(entry, entry.notes), self._clock.now() + FIRST_RETRY_S)
        elif outcome.result is Result.BUSY:
            entry.due = self._clock.now() + BUSY_RETRY_S
        else:
            entry.failures += 1
            entry.due = self._clock.now() + retry_s(
                entry.wanted.download, entry.notes, entry.failures, self._roll()
            )
        if was_notified and outcome.result is not Result.UPDATED:
            # Nobody proves who sent it: what leads to nothing is heeded less and less.
            entry.notify_pause_s = min(2 * entry.notify_pause_s, NOTIFY_PAUSE_S_MAX)
        elif outcome.result is Result.UPDATED:
            entry.notify_pause_s = NOTIFY_PAUSE_S
        if entry.is_notified:
            # The change may have come after the primary was asked.
            entry.due = max(self._clock.now(), entry.tried_at + entry.notify_pause_s)
        self._settled.set()
        self._on_looked()
        self._tell(entry, outcome)
        if outcome.result is Result.UPDATED:
            self._on_updated()

    def _tell(self, entry: Followed, outcome: Outcome) -> None:
        name, why = entry.wanted.shown, outcome.message
        if entry.wanted.is_confidential and why:
            # It may name the list, where it is from, and what stands in it.
            why = "'exchange-resolver lists update' says why"
        vain = (
            f"; asked in vain: {outcome.remark}"
            if outcome.remark and not entry.wanted.is_confidential
            else ""
        )
        if outcome.result is Result.UPDATED:
            names, octets = counted(outcome.names, "name"), counted(outcome.octets, "byte")
            log.info("list %s: new copy, %s, %s%s", name, names, octets, vain)
        elif outcome.result is Result.UNCHANGED:
            log.info("list %s: unchanged, %s%s", name, counted(entry.notes.names, "name"), vain)
        elif entry.has_copy:
            age_h = (self._wall() - entry.notes.succeeded_at) / 3600
            log.warning(
                "list %s: %s: %s; the last good copy serves, %.1f hours old%s",
                name,
                outcome.result,
                why,
                age_h,
                ", older than its authority wants it to be (SOA expire)"
                if 0 < entry.notes.soa_expire_s < age_h * 3600
                else "",
            )
        else:
            log.error("list %s: %s: %s; IT WAS NEVER DOWNLOADED AND IS EMPTY", name, outcome.result, why)

    def _wake_at(self, moment: float) -> None:
        self._cancel_timer()
        self._timer = self._clock.call_later(max(0.0, moment - self._clock.now()), self._wake.set)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def run_in_child(state_dir: Path, bootstrap: Sequence[Server]) -> Run:
    """How a server downloads: in a process whose memory, crashes and time are not its own."""

    async def run(wanted: DownloadedList) -> Outcome:
        job = {
            "list": wanted.as_json(),
            "state_dir": str(state_dir),
            "bootstrap": list(bootstrap),
            "force": False,
        }
        try:
            return await _run_child(
                wanted.name, json.dumps(job).encode(), wanted.download.timeout_s + GRACE_S
            )
        except TimeoutError:
            return Outcome(wanted.name, Result.DEFECT, "the downloading process did not end")
        except OSError as error:
            return Outcome(wanted.name, Result.DEFECT, f"cannot start the downloading process: {error}")

    return run


async def _run_child(name: str, job: bytes, timeout_s: float) -> Outcome:
    ended = await run_child("resolver.fetching.worker", timeout_s=timeout_s, job=job)
    try:
        return outcome_from(json.loads(ended.output))
    except (ValueError, KeyError, TypeError):
        return Outcome(name, Result.DEFECT, f"the downloading process ended with code {ended.code}")
