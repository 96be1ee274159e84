"""Wall time as records have it.

Knows: the calendar.  Does not know: which time it is.  The mirror of `native/core/src/records/moment.rs`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_text(at: float) -> str:
    """`2026-01-01T00:00:00.000Z` of Unix seconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_and_nanos(at: float) -> tuple[int, int]:
    """Unix seconds as whole seconds and nanoseconds, rounded to microseconds as `moment_text` does."""
    whole = datetime.fromtimestamp(at, UTC) - _EPOCH
    seconds, rest = divmod(whole, timedelta(seconds=1))
    return seconds, rest.microseconds * 1000
