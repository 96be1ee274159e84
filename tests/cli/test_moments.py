"""Moments as people write them and as they are shown."""

from __future__ import annotations

import math
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from resolver.cli.files import BadInput
from resolver.cli.moments import iso_moment, moment_or, term_text, zone_of

NEW_YORK = ZoneInfo("America/New_York")
MIDNIGHT_THERE = 1_828_155_600.0
"""2027-12-07 00:00 in New York."""


def test_a_moment_is_shown_with_its_offset() -> None:
    assert iso_moment(0.0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize("never", [None, math.inf, -math.inf])
def test_what_never_comes_is_no_moment(never: float | None) -> None:
    assert iso_moment(never) is None


def test_a_date_is_a_day_of_the_blocklists_time_zone() -> None:
    assert moment_or(7.0, "2027-12-07", NEW_YORK) == MIDNIGHT_THERE
    assert moment_or(7.0, None, NEW_YORK) == 7.0


def test_a_date_that_is_none_is_bad_input() -> None:
    with pytest.raises(BadInput, match="--at"):
        moment_or(7.0, "tomorrow", UTC)


def test_the_time_zone_is_read_from_the_blocklist(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.yaml"
    path.write_text("version: 1\ndefaults: {time_zone: America/New_York}\n")
    assert zone_of(path) == NEW_YORK


@pytest.mark.parametrize("text", ["version: 1\n", "defaults: {time_zone: Mars}\n", "defaults: 7\n", "- [\n"])
def test_without_a_time_zone_that_exists_it_is_utc(tmp_path: Path, text: str) -> None:
    path = tmp_path / "blocklist.yaml"
    path.write_text(text)
    assert zone_of(path) is UTC
    assert zone_of(tmp_path / "missing.yaml") is UTC


@pytest.mark.parametrize(
    ("term", "zone", "words"),
    [
        ((None, None), UTC, "no start date, no end date"),
        ((-math.inf, math.inf), UTC, "no start date, no end date"),
        ((0.0, 86_400.0), UTC, "from 1970-01-01, until 1970-01-02, that day not included"),
        (
            (None, MIDNIGHT_THERE),
            NEW_YORK,
            "no start date, until 2027-12-07 (America/New_York), that day not included",
        ),
        ((None, 3600.0), UTC, "no start date, until 1970-01-01T01:00:00Z, that moment not included"),
        (
            (None, MIDNIGHT_THERE + 60),
            NEW_YORK,
            "no start date, until 2027-12-07T00:01:00-05:00, that moment not included",
        ),
        (
            (None, 253_402_300_799.0),
            ZoneInfo("Asia/Tokyo"),
            "no start date, until 9999-12-31T23:59:59Z, that moment not included",
        ),
    ],
)
def test_the_end_of_a_term_is_not_in_it(
    term: tuple[float | None, float | None], zone: ZoneInfo, words: str
) -> None:
    assert term_text(*term, zone) == words
