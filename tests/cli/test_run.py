"""Threads that do not answer stand back; where that cannot be had, the server serves all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resolver.children import Share, niceness
from resolver.cli.run import let_the_plane_go_first

Calls = list[tuple[int, int, int]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Every call of setpriority, none of which is made."""
    made: Calls = []
    monkeypatch.setattr(os, "setpriority", lambda *words: made.append(words))
    return made


def threads(folder: Path, **names: str) -> Path:
    """A folder like /proc/self/task, of t1="name"."""
    for thread, name in names.items():
        (folder / thread[1:]).mkdir()
        (folder / thread[1:] / "comm").write_text(name + "\n")
    return folder


def test_all_stand_back_but_the_threads_that_answer(tmp_path: Path, calls: Calls) -> None:
    let_the_plane_go_first(
        threads(tmp_path, t11="python", t12="dns-udp-0", t13="asyncio_0", t14="dns-udp-11")
    )
    assert sorted(calls) == [(os.PRIO_PROCESS, thread, niceness(Share.NICE)) for thread in (11, 13)]


def test_a_thread_that_ended_is_passed_over(tmp_path: Path, calls: Calls) -> None:
    threads(tmp_path, t11="python", t12="python")
    (tmp_path / "11" / "comm").unlink()
    let_the_plane_go_first(tmp_path)
    assert [thread for _, thread, _ in calls] == [12]


def test_a_hidden_folder_is_no_reason_to_end(tmp_path: Path, calls: Calls) -> None:
    let_the_plane_go_first(tmp_path / "none")
    assert calls == []


def test_a_call_that_is_forbidden_is_no_reason_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []

    def refuse(_: int, thread: int, __: int) -> None:
        refused.append(thread)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    let_the_plane_go_first(threads(tmp_path, t11="python", t12="python"))
    assert sorted(refused) == [11, 12]
