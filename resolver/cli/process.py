"""How a command ends before its time: Ctrl-C, a signal, a reader that went away.

Knows: signals, standard streams, temporary folders.  Does not know: any command.
Theory: a signal becomes an exception in the main thread, so that every `with` and `finally` on the way out
does its work: temporary files go, children are killed.  While that is under way a second signal waits.
A reader that went away (`history | head -1`) costs nothing but the rest of the text: the command goes on,
for one that stopped there might leave its work half done.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from resolver.scratch import Scratch

REPEAT_S = 2.0
"""A signal so soon after another is the same impatience: cleaning up goes on."""


class _Signals:
    """The handler of all signals that end a command."""

    def __init__(self) -> None:
        self.is_held = False
        self._waiting: int | None = None
        self._raised_at = -REPEAT_S

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise what ends the command: now, or when nothing holds it back."""
        if self.is_held:
            self._waiting = number
        elif time.monotonic() - self._raised_at >= REPEAT_S:
            self._raised_at = time.monotonic()
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is done in here is not interrupted; a signal that comes meanwhile counts at the end."""
        before, self.is_held = self.is_held, True
        try:
            yield
        finally:
            self.is_held = before
        if not before and (number := self._waiting) is not None:
            self._waiting = None
            self(number, None)


_signals = _Signals()


def handle_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end this process by an exception; what is ignored stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _signals)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that is gone afterwards; after a kill -9 with the next one.  Raises OSError."""
    made: Scratch | None = None
    try:
        with _signals.held():
            made = Scratch()
        yield made.path
    finally:
        with _signals.held():
            if made is not None:
                made.remove()


def outlive_readers() -> None:
    """Go on, quietly, when the reader of standard output or standard error goes away."""
    sys.stdout = _outliving(sys.stdout)
    sys.stderr = _outliving(sys.stderr)


def _outliving(stream: TextIO | None) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # Closed from the start: Python has none then.
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open until the end.
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Outlet(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )


class _Outlet(io.FileIO):
    """A file descriptor that leads to nowhere once its reader is gone."""

    def write(self, octets: Any, /) -> int:
        try:
            return super().write(octets)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return int(memoryview(octets).nbytes)
