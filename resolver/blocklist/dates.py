"""`from`, `until` and `through`, as written -> the moments between which something is in force.

Knows: when a day begins in a time zone, that `through` includes its day and `until` does not.
Does not know: what has the dates, the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, available_timezones

from resolver.problems import show, suggest

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT_FORM = "write 2026-01-31, or 2026-01-31T12:00:00+01:00"


class Dated(Protocol):
    """What has the three keys."""

    @property
    def starts(self) -> str | None: ...
    @property
    def until(self) -> str | None: ...
    @property
    def through(self) -> str | None: ...


class Window(NamedTuple):
    """A stretch of time, in Unix seconds: `starts_at` belongs to it, `ends_at` does not."""

    starts_at: float | None = None
    """None: it has always been."""
    ends_at: float | None = None
    """None: for ever."""


ALWAYS = Window()


def zone_from(name: str) -> tzinfo:
    """Find a time zone by its IANA name; ValueError with a suggestion when there is none."""
    if name == "UTC":
        return UTC  # Machines without a zone database know at least this one.
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = suggest(name, {zone.lower(): zone for zone in available_timezones()}.values())
        raise ValueError(
            f"{show(name)} is not a time zone; write an IANA name such as Europe/Berlin{hint}"
        ) from None


def moment_from(text: str, zone: tzinfo) -> float:
    """Read a date (00:00 in `zone`) or a datetime with an offset; Unix seconds."""
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), zone).timestamp()
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        reason = f" ({error})" if _DATE.match(text) else ""
        raise ValueError(f"{show(text)} is not a date{reason}; {_MOMENT_FORM}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{show(text)} has no offset, so it could mean any of 24 hours; {_MOMENT_FORM}")
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{show(text)} is out of range; {_MOMENT_FORM}") from None


def end_of_day(text: str, zone: tzinfo) -> float:
    """The first moment after a day, written 2026-01-31, in `zone`; Unix seconds."""
    if not _DATE.fullmatch(text):
        moment_from(text, zone)  # It may be no date at all.
        raise ValueError(f"{show(text)} is a moment, and 'through' names the last day; write 2026-01-31")
    moment_from(text, zone)
    try:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone).timestamp()
    except OverflowError:
        raise ValueError(f"{show(text)} is out of range; {_MOMENT_FORM}") from None


def window_from(entry: Dated, zone: tzinfo, error: Callable[[str, str], None]) -> Window:
    """Read the three keys; `error` is told (key, message) of each that cannot be read, or contradicts."""

    def moment(key: str, text: str | None, read: Callable[[str, tzinfo], float]) -> float | None:
        try:
            return None if text is None else read(text, zone)
        except ValueError as problem:
            error(key, str(problem))
            return None

    starts_at = moment("from", entry.starts, moment_from)
    until_at = moment("until", entry.until, moment_from)
    through_at = moment("through", entry.through, end_of_day)
    if entry.until is not None and entry.through is not None:
        error("through", "there is 'until', too; 'through' is written instead of it")
        return Window(starts_at, until_at)
    if starts_at is not None and until_at is not None and until_at <= starts_at:
        message = f"{entry.until!r} is not after 'from' ({entry.starts!r})"
        if until_at == starts_at:
            message += "; 'until' is the first day on which it is not blocked any more"
        error("until", message)
    if starts_at is not None and through_at is not None and through_at <= starts_at:
        error("through", f"{entry.through!r} is before 'from' ({entry.starts!r})")
    return Window(starts_at, until_at if until_at is not None else through_at)
