"""The history keeps what it is given, within limits, and leaves files alone that are not its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from resolver.publishing import history as module
from resolver.publishing.history import Generation, History, HistoryUnusable, history_path, open_history
from resolver.publishing.image_store import hash_file


def generation(number: int, sha256: str = "") -> Generation:
    return Generation(0, 1.7e9 + number, f"content {number}", sha256, "ann", "apply", "", {}, {}, False)


def add(history: History, number: int, text: bytes | None = b"text") -> int:
    return history.add(generation(number, hashlib.sha256(text or b"").hexdigest()), text)


def test_what_is_added_is_found_again(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        assert add(history, 1, b"one") == 1 and add(history, 2, b"two") == 2
    with open_history(tmp_path) as history:
        assert [entry.number for entry in history.newest(9)] == [2, 1]
        assert history.text(1) == b"one"
        assert history.get(1) == replace(
            generation(1), number=1, has_text=True, sha256=history.newest(2)[1].sha256
        )
        assert history.get(3) is None and history.text(3) is None


def test_the_oldest_texts_go_first_and_are_counted(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.texts_octets_max = 3500
        for number in range(5):
            add(history, number, os.urandom(1000))
        assert [entry.has_text for entry in history.newest(9)] == [True, True, True, False, False]
        assert history.dropped().texts == 2 and history.dropped().generations == 0


def test_a_text_over_the_whole_limit_costs_no_other_its_place(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.texts_octets_max = 3500
        add(history, 1, os.urandom(1000))
        add(history, 2, os.urandom(5000))
        assert [entry.has_text for entry in history.newest(9)] == [False, True]
        assert history.dropped().texts == 1


def test_a_text_that_is_applied_again_is_kept_once_and_counts_as_new(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.texts_octets_max = 3500
        again = os.urandom(1000)
        for number, text in enumerate([again, os.urandom(1000), again, again, *map(os.urandom, [1000] * 2)]):
            add(history, number, text)
        assert [entry.has_text for entry in history.newest(9)] == [True, True, True, True, False, True]
        assert history.dropped().texts == 1


def test_the_oldest_generations_go_and_numbers_are_never_used_again(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.generations_max = 3
        for number in range(5):
            add(history, number)
        assert [entry.number for entry in history.newest(9)] == [5, 4, 3]
        assert history.dropped().generations == 2


def test_the_file_stays_level_once_it_is_full(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.generations_max, history.texts_octets_max = 5, 20_000
        for number in range(10):
            add(history, number, os.urandom(4000))
        size = history_path(tmp_path).stat().st_size
        for number in range(20):
            add(history, number, os.urandom(4000))
        assert history_path(tmp_path).stat().st_size <= size + 8192


def test_reading_needs_a_history(tmp_path: Path) -> None:
    with pytest.raises(HistoryUnusable, match="there is no history yet"):
        open_history(tmp_path)
    assert not history_path(tmp_path).exists()


def make_foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()


def make_newer(path: Path) -> None:
    open_history(path.parent, create=True).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def make_rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_foreign, "not a history of this program"),
        (make_newer, "history of version 99"),
        (make_rubbish, "not a database"),
        (Path.mkdir, "unable to open"),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, make: object, reason: str) -> None:
    path = history_path(tmp_path)
    assert callable(make)
    make(path)
    before = hash_file(path) if path.is_file() else None
    for create in (True, False):
        with pytest.raises(HistoryUnusable, match=reason):
            open_history(tmp_path, create=create)
    assert before is None or hash_file(path) == before


def test_a_locked_history_is_waited_for_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    with open_history(tmp_path, create=True) as history:
        other = sqlite3.connect(history_path(tmp_path), isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryUnusable, match="locked"):
            add(history, 1)
        other.execute("ROLLBACK")
        other.close()
        assert add(history, 1) == 1


def test_a_damaged_text_is_never_given_out(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        number = history.add(generation(1, "not its hash"), b"text")
        with pytest.raises(HistoryUnusable, match="damaged"):
            history.text(number)


@pytest.mark.parametrize("column", ["counts", "changes"])
@pytest.mark.parametrize(
    "written", ["[]", "7", "[" * 100_000, "{", "X'00'"], ids=["list", "number", "deep", "cut", "octets"]
)
def test_entries_that_somebody_else_wrote_make_a_history_unusable_and_nothing_worse(
    tmp_path: Path, column: str, written: str
) -> None:
    with open_history(tmp_path, create=True) as history:
        add(history, 1)
    with sqlite3.connect(history_path(tmp_path)) as connection:
        connection.execute(f"UPDATE generation SET {column} = ?", (written,))
    connection.close()
    with open_history(tmp_path) as history:
        for read in (history.latest, lambda: history.get(1), lambda: history.newest(5)):
            with pytest.raises(HistoryUnusable):
                read()


@pytest.mark.parametrize("at", ["1e300", "-1.0", "9e999"])
def test_a_time_that_no_calendar_has_makes_a_history_unusable(tmp_path: Path, at: str) -> None:
    with open_history(tmp_path, create=True) as history:
        add(history, 1)
    with sqlite3.connect(history_path(tmp_path)) as connection:
        connection.execute(f"UPDATE generation SET at = {at}")
    connection.close()
    with open_history(tmp_path) as history, pytest.raises(HistoryUnusable):
        history.latest()
