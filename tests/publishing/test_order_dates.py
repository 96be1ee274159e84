"""Since when each order is in force, kept in the history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resolver.blocklist.reader import read_blocklist
from resolver.publishing.compiler import compile_policy
from resolver.publishing.history import history_path, open_history
from resolver.publishing.image_store import ImageStore, hash_file
from resolver.publishing.order_dates import LATE_S_MAX, dated_orders
from resolver.publishing.recorder import Applied, orders_of, record

# 2026-12-05, 00:00 UTC.
BEGINS = 1_796_428_800.0
DAY = 86_400.0
DATED = """\
version: 1
orders:
  x: {authority: A, title: T, from: 2026-12-05, due: 2026-12-06, asks: [acme.example, gone.example]}
  hush: {authority: A, title: S, confidential: true, asks: [gone.example]}
exchanges:
  acme: {name: Acme, order: x, domains: [acme.example]}
  mute: {name: Mute, order: hush, domains: [mute.example]}
"""
ALWAYS = DATED.replace("from: 2026-12-05, ", "")


def told(
    folder: Path,
    at: float,
    text: str = DATED,
    turned_at: float | None = None,
    names: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    blocklist, problems = read_blocklist(folder / "blocklist.yaml", octets=text.encode(), force=True)
    assert blocklist is not None, problems
    return dated_orders(folder, blocklist, at, turned_at, names or {})


def since(folder: Path, at: float, text: str = DATED, turned_at: float | None = None) -> float:
    [order] = told(folder, at, text, turned_at)
    return float(order["in_force"])


def test_an_order_has_its_deadline_and_what_is_missing(tmp_path: Path) -> None:
    assert told(tmp_path, BEGINS - DAY) == [
        {"id": "x", "due": BEGINS + DAY, "in_force": 0.0, "unenforced": {"not_blocked": 1}}
    ]


def test_a_confidential_order_is_dated_in_the_history_and_told_to_nobody(tmp_path: Path) -> None:
    assert [order["id"] for order in told(tmp_path, BEGINS)] == ["x"]
    with open_history(tmp_path) as history:
        assert history.in_force_since() == {"x": BEGINS, "hush": BEGINS}


def test_the_first_time_counts_whatever_comes_afterwards(tmp_path: Path) -> None:
    assert since(tmp_path, BEGINS - DAY) == 0
    assert since(tmp_path, BEGINS - 9, ALWAYS) == BEGINS - 9
    assert since(tmp_path, BEGINS - 8, DATED) == BEGINS - 9
    assert told(tmp_path, BEGINS, "version: 1\nexchanges: {}\n") == []
    assert since(tmp_path, BEGINS + DAY) == BEGINS - 9


def test_an_order_that_begins_while_it_is_served_is_in_force_from_its_own_from_on(tmp_path: Path) -> None:
    assert since(tmp_path, BEGINS + 0.7, turned_at=BEGINS) == BEGINS


def test_an_order_that_began_while_nobody_served_is_in_force_since_somebody_does(tmp_path: Path) -> None:
    late = BEGINS + LATE_S_MAX + 1
    assert since(tmp_path, late, turned_at=BEGINS) == late


def test_a_history_that_cannot_be_used_costs_the_first_time_alone(tmp_path: Path) -> None:
    history_path(tmp_path).write_bytes(b"somebody's notes, no database" * 100)
    assert since(tmp_path, BEGINS) == BEGINS


def test_orders_that_are_gone_make_room(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history.orders_max = 2
        history.note_in_force({"a": 1.0, "b": 2.0}, {"a", "b"})
        assert history.in_force_since() == {"a": 1.0, "b": 2.0}
        history.note_in_force({"c": 3.0, "a": 9.0}, {"a", "c"})
        assert history.in_force_since() == {"a": 1.0, "c": 3.0}


def test_a_history_of_before_there_were_dates_is_read_and_written_on(tmp_path: Path) -> None:
    with open_history(tmp_path, create=True) as history:
        history._connection.execute("DROP TABLE order_in_force")
    with open_history(tmp_path) as history:
        assert history.in_force_since() == {}
    assert since(tmp_path, BEGINS) == BEGINS


def applied(folder: Path, at: float, text: str) -> Applied:
    path = folder / "blocklist.yaml"
    path.write_text(text)
    return Applied(at, [hash_file(path)], {"per_list": {}})


def test_the_recorder_tells_orders_also_of_what_is_recorded_already(tmp_path: Path) -> None:
    assert record(tmp_path, applied(tmp_path, BEGINS, DATED)) == 1
    first = orders_of(tmp_path, applied(tmp_path, BEGINS, DATED))
    again = applied(tmp_path, BEGINS + DAY, DATED)
    assert record(tmp_path, again) == 1
    assert orders_of(tmp_path, again) == first and first is not None and first[0]["in_force"] == BEGINS


def test_of_a_text_that_is_gone_no_orders_are_told(tmp_path: Path) -> None:
    note = applied(tmp_path, BEGINS, DATED)
    (tmp_path / "blocklist.yaml").write_text("version: 1\nexchanges: {}\n")
    assert orders_of(tmp_path, note) is None


def test_the_recorder_counts_what_a_list_enforces_for_its_order(tmp_path: Path) -> None:
    blocklist = tmp_path / "blocklist.yaml"
    blocklist.write_text(
        "version: 1\norders:\n  x: {authority: A, title: T, due: 2020-01-01, asks: [one.example, two.example]}\n"
        "lists: [{name: ours, path: ours.txt, format: domains, order: x}]\n"
    )
    (tmp_path / "ours.txt").write_text("one.example\n")
    compiled = compile_policy(blocklist, ImageStore(tmp_path).images)
    assert compiled.image is not None, compiled.problems
    orders = orders_of(tmp_path, Applied(BEGINS, compiled.inputs, compiled.counts))
    assert orders is not None
    [order] = orders
    assert order["in_force"] == BEGINS
    assert order["unenforced"] == {"not_blocked": 1}


def test_what_a_clock_ahead_noted_is_no_day_on_which_an_order_was_in_force(tmp_path: Path) -> None:
    ahead = BEGINS + 24 * 365 * DAY
    assert since(tmp_path, ahead) == ahead
    assert since(tmp_path, BEGINS - DAY) == 0.0
    assert since(tmp_path, BEGINS + 0.7, turned_at=BEGINS) == BEGINS
    assert since(tmp_path, BEGINS + 5 * DAY) == BEGINS
