"""Starts another process of this program, which is to take this one's place.

Knows: how this process was started.  Does not know: how places are changed (`server.changeover`).
Theory: all of this process but what answers stands back (`run.let_the_plane_go_first`), and a child has the
share of the thread that starts it, for good.  So one thread keeps the share that the process began with, and
does nothing but start.
"""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from resolver.observe.threads import name_this_thread

TAKE_OVER: Final = "--take-over"

THREAD: Final = "starter"

BOUND: Final = (
    "another process of this program cannot take its place: %s, and all that runs there with it; start a new "
    "container instead"
)

_log = logging.getLogger(__name__)


class Starter:
    """The thread that starts successors, one at a time."""

    def __init__(self, environment: Mapping[str, str], ends_with: str = "") -> None:
        """`environment`: what a successor needs besides this process's own.

        `ends_with`: what would end it when this process ends (`outliving.who_ends_with`); empty: nothing.
        """
        self._ends_with = ends_with
        self._environment = dict(environment)
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_busy = threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        """Be ready to; what was asked before is done now."""
        self._thread.start()

    @property
    def thread_id(self) -> int:
        """The kernel's number of the thread, which keeps its share."""
        return self._thread.native_id or 0

    def start_successor(self) -> None:
        """Start one, unless one is starting; what becomes of it is in the log."""
        if self._ends_with:
            _log.error(BOUND, self._ends_with)
        elif self._is_busy.is_set():
            _log.warning("another process is about to take over already")
        else:
            self._is_busy.set()
            self._wanted.put(True)

    def _run(self) -> None:
        name_this_thread(THREAD)
        while self._wanted.get():
            self._start_one()
            self._is_busy.clear()

    def _start_one(self) -> None:
        try:
            child = subprocess.Popen(words_of(sys.orig_argv), env={**os.environ, **self._environment})
        except OSError as error:
            _log.error("another process could not be started to take over: %s", error)
            return
        _log.info("another process was started to take over", extra={"pid": child.pid})
        code = child.wait()
        # Still here: it has not taken over.
        _log.error(
            "another process was to take over, and ended: this one serves on",
            extra={"pid": child.pid, "code": code},
        )


def words_of(own: Sequence[str]) -> list[str]:
    """The command line of a successor, by our own."""
    return [sys.executable, *own[1:], *([] if TAKE_OVER in own else [TAKE_OVER])]
