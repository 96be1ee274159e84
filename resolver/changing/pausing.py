"""`pause` and `resume`: filtering off for a while, and on again before its time.

Knows: what may be asked for, where it is kept.  Does not know: who reads it, when filtering goes on.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path

from resolver.changing.reasons import read_reason, shown_name
from resolver.changing.refusal import Kind, Refused
from resolver.clock import BootMoment
from resolver.explain.explanation import PausedNote
from resolver.moments import iso_moment
from resolver.publishing.paused_serving import Paused
from resolver.publishing.pausing import (
    PAUSE_S_MAX,
    PAUSE_S_MIN,
    Ended,
    Pause,
    PauseUnusable,
    end_pause,
    withdraw_pause,
    write_pause,
)

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3_600.0}
_DURATION = re.compile(r"(?:\d{1,6}[smh])+", re.ASCII)
_PART = re.compile(r"(\d{1,6})([smh])", re.ASCII)
DURATION_HINT = "write 10m, 90s, 2h or 1h30m; at most 24h"


def read_duration_s(text: str) -> float:
    """`10m`, `90s`, `1h30m` in seconds.  Raises Refused."""
    if not _DURATION.fullmatch(text.strip()):
        raise Refused(Kind.BAD, f"{text[:40]!r} is no length of time", DURATION_HINT)
    return sum(int(count) * _UNITS_S[unit] for count, unit in _PART.findall(text))


def pause_filtering(
    state_dir: Path,
    who: str,
    for_s: float,
    reason: str | None,
    *,
    including_orders: bool,
    wall: float,
    boot: BootMoment,
    approved_by: str = "",
    proposal: str = "",
) -> Pause:
    """Ask the server of `state_dir` to filter nothing for `for_s` seconds from `wall` (Unix seconds) on.

    It takes the place of a pause that counts now.  `approved_by`, `proposal`: where two people are needed.
    Raises Refused; then it does not begin later either.
    """
    why = read_reason(reason)
    require_length(for_s)
    pause = Pause(
        id=secrets.token_hex(8),
        at=wall,
        for_s=float(for_s),
        who=shown_name(who),
        reason=why,
        including_orders=including_orders,
        boot=boot.boot,
        boot_s=boot.seconds,
        approved_by=approved_by,
        proposal=proposal,
    )
    try:
        write_pause(state_dir, pause)
    except OSError as error:
        # It may stand there all the same: what fails last is to have the disk keep the name.
        with contextlib.suppress(OSError):
            withdraw_pause(state_dir, pause.id, Ended(wall, shown_name(who), "it could not be written down"))
        raise _unwritable(state_dir, error) from None
    return pause


def require_length(for_s: float) -> None:
    """Raises Refused where a pause may not be so long."""
    # Also false for what is no number.
    if not PAUSE_S_MIN <= for_s <= PAUSE_S_MAX:
        raise Refused(Kind.BAD, f"a pause of {for_s:g} s; allowed: 1 s to 24 h", DURATION_HINT)


def resume_filtering(
    state_dir: Path, who: str, reason: str | None, *, wall: float, boot: BootMoment
) -> Pause:
    """End the pause that counts at `wall` (Unix seconds); it.  Raises Refused, also where none does."""
    ended = Ended(wall, shown_name(who), read_reason(reason, is_needed=False))
    try:
        pause = end_pause(state_dir, ended, wall, boot)
    except OSError as error:
        raise _unwritable(state_dir, error) from None
    except PauseUnusable as error:
        raise Refused(Kind.CONFLICT, f"filtering is not paused: {error}", "delete the file") from None
    if pause is None:
        raise Refused(Kind.CONFLICT, "filtering is not paused")
    return pause


def explained(paused: Paused | None) -> PausedNote | None:
    """A pause as an explanation has it."""
    if paused is None:
        return None
    pause = paused.pause
    return PausedNote(str(iso_moment(paused.until)), pause.who, pause.reason, pause.including_orders)


def _unwritable(state_dir: Path, error: OSError) -> Refused:
    return Refused(
        Kind.UNWRITABLE,
        f"{state_dir}: {error.strerror or error}",
        "run it as the owner of state_dir, or as root",
    )
