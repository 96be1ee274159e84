"""When something of a policy begins or ends: what is logged of it, ahead and on the day; the clock it goes by."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.policy.image import Image
from resolver.publishing.believed import (
    TOLERANCE_S,
    BelievedClock,
    DatesNote,
    believed_time,
    built_at,
    read_note,
    write_note,
)
from resolver.publishing.compiler import compile_policy
from resolver.publishing.timetable import (
    DAY_S,
    Timetable,
    announced_words,
    passed_words,
    still_to_come,
)

POLICY = """\
version: 1
orders:
  nafm: {authority: A, title: T, from: 2026-12-05, until: 2027-12-05}
  house: {authority: We, title: P, imposed_by: house, until: 2027-06-01}
  silent: {authority: A, title: Secret, confidential: true, until: 2027-12-05}
  kept: {authority: A, title: T, mode: disabled, until: 2027-12-05}
exchanges:
  binance: {name: Binance, order: [nafm, house], domains: [binance.example, bnb.example]}
  new: {name: New, order: nafm, domains: [new.example]}
  tried: {name: Tried, mode: shadow, order: nafm, domains: [tried.example]}
  secret: {name: Secret, order: silent, domains: [secret.example]}
lists:
- {name: ads, path: ads.txt, order: nafm}
allow:
- {name: shop.new.example, from: 2027-01-01, through: 2027-01-31}
"""


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def timetable(tmp_path: Path) -> Timetable:
    (tmp_path / "ads.txt").write_text("ads.example\n")
    (tmp_path / "blocklist.yaml").write_text(POLICY)
    compiled = compile_policy(tmp_path / "blocklist.yaml", tmp_path / "images", now=day("2026-11-30"))
    assert compiled.image is not None, compiled.problems
    return Timetable(Image(compiled.image))


def test_each_date_is_told_with_what_it_opens_and_closes(timetable: Timetable) -> None:
    turns = timetable.between(day("2026-11-30"), day("2028-01-01"))
    assert [passed_words(turn) for turn in turns] == [
        "2026-12-05 has come: begins: order nafm; blocked from then on: 1 exchange, 1 domain, 1 list: new, ads",
        "2027-01-01 has come: begins: exception shop.new.example; "
        "what is excepted is let through from then on",
        "2027-02-01 has come: ends: exception shop.new.example; what was excepted is let through no longer",
        "2027-06-01 has come: ends: order house; no exchange and no list opens or closes",
        "2027-12-05 has come: ends: order nafm and 1 confidential; "
        "not blocked any more: 3 exchanges, 4 domains, 1 list: binance, new, ads and 1 confidential",
    ]
    assert "secret" not in str(turns[-1].words())


def test_the_next_date_is_found(timetable: Timetable) -> None:
    assert timetable.next_after(day("2026-11-30")) == day("2026-12-05")
    assert timetable.next_after(day("2026-12-05")) == day("2027-01-01")
    assert timetable.next_after(day("2027-12-05")) == math.inf
    assert Timetable(None).next_after(0.0) == math.inf


def test_an_end_is_announced_30_7_and_1_days_ahead_once_each(timetable: Timetable) -> None:
    announced: dict[str, int] = {}
    said = []
    moment = day("2027-10-01")
    while moment < day("2027-12-05"):
        for turn, _ in timetable.announcements(moment, announced):
            said.append((moment, announced_words(turn, moment)))
        moment += DAY_S / 4
    assert [datetime.fromtimestamp(at, UTC).strftime("%m-%d") for at, _ in said] == [
        "11-05",
        "11-28",
        "12-04",
    ]
    assert said[0][1].startswith("in 30 days, on 2027-12-05: ends: order nafm")
    assert said[2][1].startswith("in 1 day, on 2027-12-05: ")


def test_an_end_of_the_same_day_is_not_said_to_be_a_day_away(timetable: Timetable) -> None:
    [(turn, _)] = timetable.announcements(now := day("2027-12-05") - 12.0, {})
    assert announced_words(turn, now).startswith("in less than a day, on 2027-12-05: ")


def test_what_was_announced_is_not_again_after_a_restart_nor_all_leads_at_once(timetable: Timetable) -> None:
    announced: dict[str, int] = {}
    assert len(timetable.announcements(day("2027-12-03"), announced)) == 1
    assert timetable.announcements(day("2027-12-03") + 60, dict(announced)) == []
    assert still_to_come(announced, day("2027-12-03")) == announced
    assert still_to_come(announced, day("2027-12-07")) == {}


def test_a_beginning_is_not_announced(timetable: Timetable) -> None:
    assert timetable.announcements(day("2026-12-04"), {}) == []


# The clock.


class Hands:
    def __init__(self, wall: float, monotonic: float = 50.0) -> None:
        self.wall = wall
        self.monotonic = monotonic

    def clock(self, earliest: float) -> BelievedClock:
        return BelievedClock(lambda: self.wall, lambda: self.monotonic, earliest)


def test_a_clock_before_the_earliest_time_is_not_believed_and_that_time_goes_on() -> None:
    hands = Hands(wall=1000.0)
    clock = hands.clock(earliest=1.7e9)
    assert clock() == 1.7e9 and "1970-01-01" in clock.remark() and "2023-11-14" in clock.remark()
    hands.monotonic += 30
    hands.wall += 30
    assert clock() == 1.7e9 + 30
    hands.wall = 1.7e9 + 5
    assert clock() == hands.wall and clock.remark() == ""


def test_a_clock_is_held_to_what_it_has_been_and_small_steps_are_none() -> None:
    hands = Hands(wall=1.7e9)
    clock = hands.clock(earliest=0.0)
    assert clock() == 1.7e9
    clock.has_been(1.7e9)
    hands.wall -= TOLERANCE_S
    assert clock() == hands.wall and clock.remark() == ""
    hands.wall -= 1
    assert clock() == 1.7e9 and clock.remark()


def test_the_note_is_kept_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    assert read_note(tmp_path) == DatesNote()
    write_note(tmp_path, DatesNote(1.7e9, {"order a 1800000000": 7}))
    assert read_note(tmp_path) == DatesNote(1.7e9, {"order a 1800000000": 7})
    (tmp_path / "dates.json").write_text("{")
    assert read_note(tmp_path) == DatesNote()


def test_commands_go_by_the_same_time(tmp_path: Path) -> None:
    assert 0 < built_at() == believed_time(None, 0.0) == believed_time(tmp_path, 0.0)
    write_note(tmp_path, DatesNote(built_at() + 1e6))
    assert believed_time(tmp_path, 0.0) == built_at() + 1e6
    assert believed_time(tmp_path, built_at() + 2e6) == built_at() + 2e6
