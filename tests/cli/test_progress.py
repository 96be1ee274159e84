"""Long work is shown on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator

import pytest

from resolver.cli import progress
from resolver.cli.progress import long_work


@contextlib.contextmanager
def terminal_as_stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other side of a terminal that is standard error.

    Not a fixture: pytest puts its own standard error in place between setting up and the test.
    """
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with open(theirs, "w", encoding="utf-8") as stderr:  # noqa: PTH123 - a descriptor.
        monkeypatch.setattr(sys, "stderr", stderr)
        yield ours
        monkeypatch.undo()
    os.close(ours)


def said(terminal: int) -> str:
    """All that is there to read now."""
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(terminal, 65536).decode()
    return ""


def shown_with(terminal: int, words: str) -> str:
    """What is shown until `words` are, or for half a minute."""
    shown = ""
    deadline = time.monotonic() + 30.0
    while words not in shown and time.monotonic() < deadline:
        shown += said(terminal)
        time.sleep(0.01)
    return shown


def test_a_terminal_shows_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    with terminal_as_stderr(monkeypatch) as terminal, long_work("reading [x]") as say:
        assert "reading [x]" in shown_with(terminal, "reading [x]")
        say("sorting")
        assert "sorting" in shown_with(terminal, "sorting")


def test_what_is_done_soon_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal_as_stderr(monkeypatch) as terminal:
        with long_work("reading") as say:
            say("sorting")
        assert said(terminal) == ""


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with long_work("reading") as say:
        say("sorting")
    assert stderr.getvalue() == ""
