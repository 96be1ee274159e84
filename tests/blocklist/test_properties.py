"""What overrides what, which extended error an answer carries, when a date begins."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from resolver.blocklist.dates import moment_from, zone_from
from resolver.blocklist.properties import ede_text
from resolver.wire.encode import EDE_TEXT_OCTETS_MAX


def test_the_text_names_exchange_orders_and_contact() -> None:
    text = ede_text("Binance", ["12-3/4", "5"], "mailto:noc@example.net")
    assert text == "Binance is blocked (order 12-3/4, 5); contact mailto:noc@example.net"


def test_the_text_leaves_out_what_there_is_not() -> None:
    assert ede_text("Binance", [], None) == "Binance is blocked"


@pytest.mark.parametrize("name", ["x" * 300, "交" * 100, "é" * 150])
def test_a_long_text_is_cut_at_a_character_and_keeps_the_contact(name: str) -> None:
    text = ede_text(name, ["r" * 200], "mailto:noc@example.net")
    assert EDE_TEXT_OCTETS_MAX - 3 <= len(text.encode()) <= EDE_TEXT_OCTETS_MAX
    assert text.endswith("...; contact mailto:noc@example.net")


def test_even_a_contact_too_long_to_fit_is_cut_to_the_limit() -> None:
    assert len(ede_text("x", [], "交" * 100).encode()) <= EDE_TEXT_OCTETS_MAX


def unix(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2018-08-23", "UTC", unix(2018, 8, 23)),
        ("2018-08-23", "Europe/Berlin", unix(2018, 8, 22, 22)),
        ("2018-01-23", "Europe/Berlin", unix(2018, 1, 22, 23)),
        ("2018-08-23", "Asia/Shanghai", unix(2018, 8, 22, 16)),
        ("2018-08-23T12:00:00+02:00", "Asia/Shanghai", unix(2018, 8, 23, 10)),
        ("2018-08-23T12:00:00Z", "Asia/Shanghai", unix(2018, 8, 23, 12)),
        ("2018-08-23 12:00:00-05:30", "UTC", unix(2018, 8, 23, 17, 30)),
    ],
)
def test_a_date_is_midnight_in_its_zone_and_a_datetime_brings_its_offset(
    text: str, zone: str, moment: float
) -> None:
    assert moment_from(text, zone_from(zone)) == moment


def test_a_midnight_that_the_clock_skips_is_still_a_moment() -> None:
    # Summer time began in Sao Paulo at 00:00 on that day: the clock went straight to 01:00.
    assert moment_from("2018-11-04", ZoneInfo("America/Sao_Paulo")) == unix(2018, 11, 4, 3)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2018-08-23T12:00:00", "no offset"), ("2018-02-30", "is not a date (day is out of range"),
        ("23.08.2018", "is not a date"), ("soon", "is not a date"), ("2018", "is not a date"), ("", "is not a date"),
        ("0000-01-01", "is not a date"), ("2018-08-23T25:00Z", "is not a date"),
    ],
)  # fmt: skip
def test_what_is_no_date_says_how_to_write_one(text: str, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        moment_from(text, UTC)
    assert part in str(caught.value) and "write 2026-01-31" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "europe/berlin ", "../../etc/passwd", "/etc/passwd", "", "a\0b", "x" * 500]
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        zone_from(name)


def test_a_misspelt_time_zone_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        zone_from("Europe/Berln")
