"""What is kept of names that were asked for: counts per day, nothing else, within limits."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.suggestions import seen as seen_module
from resolver.suggestions.seen import (
    DAYS_KEPT,
    OWNER_NAMES_MAX,
    SHARED_MAX,
    Seen,
    SeenNames,
    SeenUnusable,
    read_seen,
    seen_path,
    write_seen,
)
from resolver.wire.names import name_from_text, name_to_text
from tests.support.for_each import for_each

DAY = date(2026, 1, 31)
ONE, OTHER = map(name_from_text, ("binance-login.example", "kraken-login.example"))


def test_a_name_is_kept_once_enough_queries_of_a_day_asked_for_it() -> None:
    names = SeenNames(3)
    names.count(ONE, 2, DAY)
    assert not names.names and not names.is_changed
    names.count(ONE, 1, DAY)
    assert names.names[ONE].days == {DAY: 3} and names.is_changed


def test_what_too_few_asked_for_is_forgotten_at_the_end_of_the_day() -> None:
    names = SeenNames(3)
    names.count(ONE, 2, DAY)
    names.count(ONE, 2, DAY + timedelta(days=1))
    assert not names.names


def test_old_days_are_forgotten_and_names_nobody_asks_for() -> None:
    names = SeenNames(1)
    names.count(ONE, 1, DAY)
    names.count(OTHER, 1, DAY + timedelta(days=DAYS_KEPT - 1))
    assert ONE in names.names
    names.count(OTHER, 1, DAY + timedelta(days=DAYS_KEPT))
    assert ONE not in names.names and names.is_changed


def test_a_clock_set_back_counts_no_day_anew() -> None:
    names = SeenNames(1)
    names.count(ONE, 1, DAY)
    names.count(ONE, 1, DAY - timedelta(days=400))
    assert names.names[ONE].days == {DAY: 2}


def test_a_clock_set_back_over_a_restart_forgets_nothing() -> None:
    names = SeenNames(1, {ONE: Seen({DAY: 7})})
    names.count(ONE, 1, DAY - timedelta(days=400))
    assert names.names[ONE].days == {DAY: 8}


def test_over_full_it_loses_names_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "NAMES_MAX", 1)
    monkeypatch.setattr(seen_module, "FRESH_MAX", 1)
    names = SeenNames(2)
    names.count(ONE, 2, DAY)
    names.count(OTHER, 2, DAY)
    assert set(names.names) == {ONE} and names.lost == 2
    names.count(name_from_text("third.example"), 1, DAY)
    assert set(names.names) == {ONE} and names.lost == 3


def full(monkeypatch: pytest.MonkeyPatch, **kept: tuple[float, int, bool]) -> SeenNames:
    """A full table of names under `.example`: score, queries, whether it is dismissed."""
    names = SeenNames(1)
    for label, (score, queries, is_dismissed) in kept.items():
        name = name_from_text(f"{label}.example")
        names.count(name, queries, DAY, score=score)
        names.know(name, score, is_dismissed=is_dismissed)
    monkeypatch.setattr(seen_module, "NAMES_MAX", len(kept))
    return names


@pytest.mark.parametrize(
    ("others", "goes"),
    [
        ({"b": (0.9, 9, True), "c": (0.5, 1, False)}, "b"),
        ({"b": (0.6, 1, False), "c": (0.5, 9, False)}, "c"),
        ({"b": (0.5, 3, False), "c": (0.5, 2, False)}, "c"),
    ],
)
def test_in_a_full_table_what_is_worth_least_makes_room(
    others: dict[str, tuple[float, int, bool]], goes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = full(monkeypatch, a=(0.95, 1, False), **others)
    names.count(name_from_text("new.example"), 1, DAY, score=0.8)
    left = {name_to_text(name).removesuffix(".example") for name in names.names}
    assert left == {"a", *others, "new"} - {goes}
    assert names.lost == others[goes][1]


def test_a_weak_name_makes_no_strong_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    names = full(monkeypatch, a=(0.9, 1, False))
    for number in range(9):
        names.count(name_from_text(f"n{number}.example"), 50, DAY, score=0.7)
    assert set(map(name_to_text, names.names)) == {"a.example"}


def test_a_client_that_floods_with_names_keeps_none_out_that_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seen_module, "FRESH_MAX", 100)
    names = SeenNames(5)
    for number in range(3_000):
        names.count(name_from_text(f"binance{number}.example"), 1, DAY, score=0.9)
        if number % 50 == 10:
            names.count(ONE, 1, DAY, score=0.9)
    assert set(names.names) == {ONE}


def test_one_registrable_name_has_few_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "DAYS_KEPT", 1)
    names = SeenNames(1)
    for day in (DAY, DAY + timedelta(days=1)):
        for number in range(50):
            names.count(name_from_text(f"b{number}.stranger.example"), 1, day)
        assert len(names.names) == OWNER_NAMES_MAX
        names.count(ONE, 1, day)
        assert ONE in names.names
    names.forget(list(names.names))
    names.count(name_from_text("b77.stranger.example"), 1, day)
    assert len(names.names) == 1


def test_what_was_kept_before_counts_for_its_registrable_name() -> None:
    names = SeenNames(1)
    names.take_up({name_from_text(f"b{number}.stranger.example"): Seen({DAY: 1}) for number in range(8)})
    names.count(name_from_text("b9.stranger.example"), 1, DAY)
    assert len(names.names) == OWNER_NAMES_MAX


def test_few_exchanges_are_kept_for_one_name() -> None:
    names = SeenNames(1)
    names.count(ONE, 1, DAY, map(str, range(9)))
    assert len(names.names[ONE].shared) == SHARED_MAX


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    names = SeenNames(1)
    names.count(ONE, 4, DAY, ["binance"])
    names.count(OTHER, 2, DAY + timedelta(days=1))
    write_seen(tmp_path, names.as_json())
    assert read_seen(tmp_path) == names.names


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    write_seen(tmp_path, SeenNames(1).as_json())
    assert seen_path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert seen_path(tmp_path).parent.stat().st_mode & 0o077 == 0


def test_nothing_is_kept_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_seen(tmp_path) == {}


@for_each(
    "octets",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "names": {}}',
        b'{"version": 1}',
        b'{"version": 1, "names": []}',
        b'{"version": 1, "names": {"x.example": {"days": {}, "shared": []}}}',
        b'{"version": 1, "names": {"x.example": {"days": {"2026-13-01": 1}, "shared": []}}}',
        b'{"version": 1, "names": {"x.example": {"days": {"2026-01-01": -1}, "shared": []}}}',
        b'{"version": 1, "names": {"a b": {"days": {"2026-01-01": 1}, "shared": []}}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b" " * (seen_module.FILE_OCTETS_MAX + 1),
    ],
)
def test_a_damaged_file_is_said_to_be_one(octets: bytes, tmp_path: Path) -> None:
    write_seen(tmp_path, octets)
    with pytest.raises(SeenUnusable):
        read_seen(tmp_path)


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = SeenNames(1)
    names.count(ONE, 4, DAY)
    write_seen(tmp_path, names.as_json())

    def fail(*_: object, **__: object) -> None:
        raise OSError("killed before the rename")

    monkeypatch.setattr("resolver.durable.os.replace", fail)
    with pytest.raises(OSError, match="killed"):
        write_seen(tmp_path, b"{}")
    assert read_seen(tmp_path) == names.names


counts = st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 9), st.integers(-40, 40))


@given(st.lists(counts, max_size=30), st.integers(1, 5))
def test_no_query_counts_twice(given_counts: list[tuple[bytes, int, int]], queries_min: int) -> None:
    names = SeenNames(queries_min)
    for name, queries, days in given_counts:
        names.count(name, queries, DAY + timedelta(days=days))
    for name, kept in names.names.items():
        assert kept.queries <= sum(queries for one, queries, _ in given_counts if one == name)
        assert max(kept.days.values()) >= queries_min
        assert (kept.last - kept.first).days < DAYS_KEPT
    assert json.loads(names.as_json())["version"] == 1
