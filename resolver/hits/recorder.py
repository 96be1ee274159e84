"""Keeps the history of hits of one process: takes counts, writes them, meets whatever befalls the file.

Knows: the ledger, the file, the lock, what to do about each failure.  Does not know: threads, timers, the
event loop: every method may block, and is called by one thread.
Theory: what could not be written waits in the ledger, and goes with the next write.  The file is opened anew
for each write, so one that was moved away, or mounted over, is made again rather than written to unseen.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Final

from resolver.durable import locked
from resolver.hits.file import LOCK_FILE, Failure, HitsUnusable, connect, hits_path, told
from resolver.hits.ledger import Ledger, Look
from resolver.hits.writing import Batch, Limits, add, is_written, latest_of
from resolver.plurals import counted

ASIDE_MAX: Final = 3
"""Damaged files that are kept; beyond it the oldest is replaced."""

_log = logging.getLogger(__name__)


class HitRecorder:
    """The only writer in `state_dir`, as long as it holds the lock."""

    def __init__(self, state_dir: Path, limits: Limits, *, at: float, now: float) -> None:
        """`at`, `now`: when counting began, in Unix seconds and monotonic ones."""
        self.failures: Counter[Failure] = Counter()
        self.problem = ""
        """Why the last write failed; empty: it did not."""
        self._failure: Failure | None = None
        self.last_success = 0.0
        """Unix seconds; 0: never."""
        self.waiting = 0
        """Hits counted and not written."""
        self.lost = 0
        """Hits that found no room to wait in."""
        self.damaged = 0
        """Files set aside because they were damaged."""
        self.dropped_hours = 0
        """Hours that went for want of room."""
        self._path = hits_path(state_dir)
        self._limits = limits
        self._ledger = Ledger(at, now)
        self._run = secrets.token_hex(8)
        self._number = 1
        self._in_doubt: Batch | None = None
        """Of its writing only a failure is known."""
        self._lock = contextlib.ExitStack()
        self._has_lock = self._was_checked = False
        self._may_set_aside = True
        """Not twice without a write between: where new files are damaged, too, the old ones are not why."""

    def take(self, look: Look) -> None:
        """Note what came since the last look."""
        self._ledger.take(look)
        self._count()

    def write(self, at: float) -> None:
        """Write what waits.  `at`: Unix seconds.  Never raises: what fails is counted, and waits."""
        try:
            self._write(at)
        except HitsUnusable as error:
            self._fail(str(error), error.failure)
        else:
            if self.problem:
                _log.info("the history of hits is written again")
            self.problem = ""
            self._failure = None
            self._may_set_aside = True
            self.last_success = at
        self._count()

    def read_latest(self) -> None:
        """Learn how far the history goes, so that a clock behind it is known for one.  Never raises."""
        with contextlib.suppress(HitsUnusable), told(self._path):
            if self._path.exists():
                with contextlib.closing(connect(self._path)) as connection:
                    self._ledger.has_been(latest_of(connection))

    def close(self) -> None:
        """Let another server write."""
        self._lock.close()
        self._has_lock = False

    def _write(self, at: float) -> None:
        self._take_lock()
        try:
            self._add(at)
        except HitsUnusable as error:
            if error.failure is not Failure.DAMAGED or not self._may_set_aside:
                raise
            self._fail(str(error), error.failure)
            self._set_aside()
            self._add(at)

    def _add(self, at: float) -> None:
        with told(self._path), contextlib.closing(connect(self._path, create=True)) as connection:
            if not self._was_checked:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise HitsUnusable(f"{self._path}: {found}", Failure.DAMAGED)
                self._was_checked = True
            self._settle(connection)
            ledger = self._ledger
            self._in_doubt = Batch(self._run, self._number, ledger.take_out(), ledger.latest)
            self.dropped_hours += add(connection, self._in_doubt, self._limits, at)
        self._in_doubt = None
        self._number += 1

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Find out what became of the batch whose writing failed: an error may come after the commit."""
        if self._in_doubt is None:
            return
        if not is_written(connection, self._in_doubt):
            self._ledger.put_back(self._in_doubt.waiting)
        self._in_doubt = None
        self._number += 1

    def _take_lock(self) -> None:
        if self._has_lock:
            return
        with told(self._path):
            try:
                self._lock.enter_context(locked(self._path.with_name(LOCK_FILE), wait=False))
            except BlockingIOError:
                message = f"{self._path}: another server writes it; each needs a state_dir of its own"
                raise HitsUnusable(message, Failure.TAKEN) from None
        self._has_lock = True

    def _set_aside(self) -> None:
        """Give the damaged file another name, and its journal with it.  Raises HitsUnusable."""
        with told(self._path):
            names = [self._path.with_name(f"{self._path.name}.damaged-{n}") for n in range(1, ASIDE_MAX + 1)]
            aside = next((name for name in names if not name.exists()), None)
            aside = aside or min(names, key=lambda name: name.stat().st_mtime)
            journal = self._path.with_name(f"{self._path.name}-journal")
            # First, for one that is left alone would be played back into the new file.
            with contextlib.suppress(FileNotFoundError):
                journal.replace(aside.with_name(f"{aside.name}-journal"))
            self._path.replace(aside)
        self.damaged += 1
        self._was_checked = self._may_set_aside = False
        _log.error("the history of hits was damaged: it is now %s, and begins anew", aside)

    def _fail(self, problem: str, failure: Failure) -> None:
        self.failures[failure] += 1
        if failure is not self._failure:
            _log.error("the history of hits cannot be written: %s", problem)
        self.problem, self._failure = problem, failure

    def _count(self) -> None:
        self.waiting = self._ledger.waiting.hits
        if self._in_doubt is not None:
            self.waiting += self._in_doubt.waiting.hits
        self.lost = self._ledger.lost

    def remark(self) -> str:
        """What a person should know; empty: nothing."""
        if not self.problem:
            return ""
        return f"hits are not written to the history: {self.problem}; {counted(self.waiting, 'hit')} waiting"
