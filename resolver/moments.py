"""Moments as they are shown: ISO 8601, days and terms.

Knows: Unix seconds and time zones.  Does not know: what a moment is of, what time it is.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo


def iso_moment(at: float | None) -> str | None:
    """Unix seconds as `2026-01-01T00:00:00Z`; None, also for a moment that never comes."""
    if at is None or math.isinf(at):
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def day_or_moment(at: float, zone: tzinfo) -> tuple[str, str]:
    """`2026-01-01` where that day begins in `zone`, else the moment; and which of both: `day`, `moment`."""
    try:
        when = datetime.fromtimestamp(at, UTC).astimezone(zone)
    except (OverflowError, ValueError):
        return str(iso_moment(at)), "moment"
    if (when.hour, when.minute, when.second, when.microsecond) != (0, 0, 0, 0):
        return when.isoformat(timespec="seconds").replace("+00:00", "Z"), "moment"
    name = "" if zone is UTC else f" ({zone})"
    return f"{when:%Y-%m-%d}{name}", "day"


def term_text(starts_at: float | None, ends_at: float | None, zone: tzinfo) -> str:
    """From when until when a rule is in force; the end is the first moment at which it is not."""
    parts = []
    if iso_moment(starts_at) is not None and starts_at is not None:
        parts.append(f"from {day_or_moment(starts_at, zone)[0]}")
    else:
        parts.append("no start date")
    if iso_moment(ends_at) is not None and ends_at is not None:
        end, kind = day_or_moment(ends_at, zone)
        parts.append(f"until {end}, that {kind} not included")
    else:
        parts.append("no end date")
    return ", ".join(parts)
