"""Moments, durations and numbers so that nobody reads them in another way: ISO 8601, SI signs, thin spaces.

Knows: time zones' offsets.  Does not know: languages; digits, `d`, `h` and `min` are the same in all.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

DAY_S = 86_400
THIN_SPACE = "\u202f"
"""Between groups of three digits, as ISO 80000 has it: it is no decimal sign anywhere."""


def moment(at: float, zone: tzinfo) -> datetime | None:
    """The moment in its zone; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(at, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return None


def iso_moment(at: float | None, zone: tzinfo) -> str | None:
    """`2026-12-05T00:00:00+01:00`; None for None and for what no calendar has."""
    when = None if at is None or math.isinf(at) else moment(at, zone)
    return None if when is None else when.isoformat(timespec="seconds")


def shown_moment(at: float, zone: tzinfo) -> str:
    """`2026-12-05 14:30 +01:00`; a day's beginning is the day alone."""
    when = moment(at, zone)
    if when is None:
        return "?"
    if (when.hour, when.minute, when.second) == (0, 0, 0):
        return f"{when:%Y-%m-%d}"
    return f"{when:%Y-%m-%d %H:%M} {_offset(when)}"


def shown_day(at: float, zone: tzinfo) -> str:
    """`2026-12-05`, whatever the hour."""
    when = moment(at, zone)
    return "?" if when is None else f"{when:%Y-%m-%d}"


def exact_moment(at: float, zone: tzinfo) -> str:
    """`2026-12-05 14:30:07 +01:00`, whatever the hour."""
    when = moment(at, zone)
    return "?" if when is None else f"{when:%Y-%m-%d %H:%M:%S} {_offset(when)}"


def _offset(when: datetime) -> str:
    return when.isoformat()[-6:] if when.utcoffset() else "UTC"


def shown_duration(duration_s: float) -> str:
    """`3 d 4 h`, `5 h 12 min`, `40 s`: its two largest parts, rounded down."""
    left = max(0, int(duration_s))
    parts: list[str] = []
    for size, sign in ((DAY_S, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (sign == "s" and not parts):
            parts.append(f"{count}\u00a0{sign}")
        elif parts:
            break
    return " ".join(parts[:2])


def shown_number(number: int) -> str:
    """`1 234 567`, with thin spaces."""
    return f"{number:,}".replace(",", THIN_SPACE)
