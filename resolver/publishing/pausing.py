"""Filtering that is off for a while: what was asked for, until when it counts, which rules stay.

Knows: `pause.json` in `state_dir`, the clocks that a pause is held against, that what an authority orders
stays in force.  Does not know: what time it is, images, the event loop.
Theory: a pause must end whatever befalls the file, the machine or its clock.  Its length is kept beside its
end, and is at most a day.  On the same start of the machine the clock that nobody can set says how much of it
is left; after another start wall time does, never more than the whole length, and nothing at all where wall
time says that the pause is yet to begin.  A file that cannot be understood pauses nothing.
The server follows this file like approvals: the commands write it, nobody asks the server.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from resolver.clock import BootMoment
from resolver.durable import locked, replace_file
from resolver.identity import as_owner_of
from resolver.moments import iso_moment
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable
from resolver.publishing.approvals import REASON_CHARS_MAX, WHO_CHARS_MAX

PAUSE_FILE = "pause.json"
LOCK_FILE = ".pause.lock"
VERSION = 1
FILE_OCTETS_MAX = 1 << 16
"""Larger files are not ours."""
PAUSE_S_MAX = 86_400.0
"""At most a day: whoever needs longer changes the blocklist, where everybody sees it."""
PAUSE_S_MIN = 1.0
ID_CHARS_MAX = 64
APPROVED_CHARS_MAX = WHO_CHARS_MAX + REASON_CHARS_MAX + 100
"""Who approved it alone says why, too."""
TOLERANCE_S = 60.0
"""Wall time may be set back by so much over a restart and be right."""


class PauseUnusable(Exception):
    """The file cannot be understood; the message says why."""


class PauseUnreadable(PauseUnusable):
    """It cannot be read, and perhaps can be later."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a pause was over before its time."""

    at: float
    """Unix seconds."""
    who: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause, as somebody asked for it."""

    id: str
    at: float
    """Unix seconds."""
    for_s: float
    """How long; at most `PAUSE_S_MAX`."""
    who: str
    reason: str
    including_orders: bool
    """What authorities ordered is not enforced either."""
    boot: str
    """Which start of the machine `boot_s` counts from; empty: not known."""
    boot_s: float
    """When it was asked for, by the clock that nobody can set."""
    ended: Ended | None = None
    """Somebody resumed filtering before its time."""
    approved_by: str = ""
    """The second person, where two are needed, or who overruled that alone on this machine."""
    proposal: str = ""
    """Id of what was approved."""

    @property
    def until(self) -> float:
        """Unix seconds, by the wall clock of then."""
        return self.at + self.for_s

    def left_s(self, wall: float, boot: BootMoment) -> float:
        """How much of it is left at `wall` (Unix seconds), which is `boot`; 0: it is over."""
        if self.ended is not None:
            return 0.0
        if self.boot and self.boot == boot.boot:
            gone_s = boot.seconds - self.boot_s
            return max(0.0, self.for_s - gone_s) if gone_s >= 0 else 0.0
        # Another start of the machine: nobody knows how long it was off but the wall clock, and one that is
        # behind the pause's beginning is wrong.
        if wall < self.at - TOLERANCE_S:
            return 0.0
        return min(self.for_s, max(0.0, self.until - wall))

    def scope(self) -> str:
        """What it concerns, in words."""
        if self.including_orders:
            return "everything, orders of authorities included"
        return "everything but what authorities ordered"


def pause_path(state_dir: Path) -> Path:
    """Where the pause is kept."""
    return state_dir / PAUSE_FILE


def read_pause(state_dir: Path) -> Pause | None:
    """The last pause that was asked for, over or not; None: there was none.  Raises PauseUnusable."""
    path = pause_path(state_dir)
    try:
        with as_owner_of(state_dir) as folder, open_regular(pause_path(folder)) as file:
            octets = read_up_to(file, FILE_OCTETS_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PauseUnreadable(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return pause_from_json(json.loads(octets))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise PauseUnusable(f"{path}: is no pause: {printable(str(error))}") from None


def pause_from_json(fields: Mapping[str, Any]) -> Pause:
    """A pause as the file has it.

    Raises ValueError, KeyError, TypeError, AttributeError or OverflowError for anything else.
    """
    if fields["version"] != VERSION:
        raise ValueError(f"version {fields['version']!r}; this program reads {VERSION}")
    ended = fields.get("ended")
    pause = Pause(
        id=_text(fields["id"], ID_CHARS_MAX),
        at=_moment(fields["at"]),
        for_s=float(fields["for_s"]),
        who=_text(fields["who"], WHO_CHARS_MAX),
        reason=_text(fields["reason"], REASON_CHARS_MAX),
        including_orders=fields["including_orders"],
        boot=_text(fields["boot"], ID_CHARS_MAX),
        boot_s=_moment(fields["boot_s"]),
        ended=None
        if ended is None
        else Ended(
            _moment(ended["at"]),
            _text(ended["who"], WHO_CHARS_MAX),
            _text(ended["reason"], REASON_CHARS_MAX),
        ),
        approved_by=_text(fields.get("approved_by", ""), APPROVED_CHARS_MAX),
        proposal=_text(fields.get("proposal", ""), ID_CHARS_MAX),
    )
    if not isinstance(pause.including_orders, bool):
        raise TypeError("including_orders: is neither true nor false")
    if not pause.id or not pause.reason:
        raise ValueError("it has no id or no reason")
    if not PAUSE_S_MIN <= pause.for_s <= PAUSE_S_MAX:
        raise ValueError(f"it lasts {pause.for_s:g} s; allowed: {PAUSE_S_MIN:g} to {PAUSE_S_MAX:g}")
    return pause


def _text(value: object, chars_max: int) -> str:
    if not isinstance(value, str) or len(value) > chars_max:
        raise TypeError(f"no text of at most {chars_max} characters: {str(value)[:40]!r}")
    return printable(value)


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"no moment: {str(value)[:40]!r}")
    # What is shown as a date must be one.
    iso_moment(float(value))
    return float(value)


def write_pause(state_dir: Path, pause: Pause) -> None:
    """Keep it in the place of the one before: the old or the new one stands, on disk.  Raises OSError."""
    with as_owner_of(state_dir) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK_FILE):
            _write(folder, pause)


def end_pause(state_dir: Path, ended: Ended, wall: float, boot: BootMoment) -> Pause | None:
    """End the pause that counts at `wall` (Unix seconds); it, or None where none does.

    Raises OSError, and PauseUnusable, of which nothing is paused.
    """
    with as_owner_of(state_dir) as folder:
        if not folder.is_dir():
            return None
        with locked(folder / LOCK_FILE):
            pause = read_pause(folder)
            if pause is None or not pause.left_s(wall, boot):
                return None
            pause = replace(pause, ended=ended)
            _write(folder, pause)
            return pause


def withdraw_pause(state_dir: Path, name: str, ended: Ended) -> None:
    """See that the pause with the id `name` never begins, nor goes on; another one stays as it is.

    Where its end cannot be written down (a full disk), the file goes.  Raises OSError: neither can be done.
    """
    with as_owner_of(state_dir) as folder:
        if not folder.is_dir():
            return
        with locked(folder / LOCK_FILE):
            try:
                pause = read_pause(folder)
            except PauseUnreadable:
                # It may be this one, and be read again by the next process: better none than that.
                pause_path(folder).unlink(missing_ok=True)
                return
            except PauseUnusable:
                return
            if pause is None or pause.id != name or pause.ended is not None:
                return
            try:
                _write(folder, replace(pause, ended=ended))
            except OSError:
                pause_path(folder).unlink(missing_ok=True)


def _write(folder: Path, pause: Pause) -> None:
    octets = json.dumps({"version": VERSION, **asdict(pause)}, indent=1).encode()
    replace_file(pause_path(folder), octets + b"\n")


# Which rules stay.


def is_paused(
    rule: PolicyRule,
    orders: Mapping[str, Mapping[str, Any]],
    span: tuple[float, float],
    *,
    including_orders: bool,
) -> bool:
    """Whether a pause takes a rule, or a phase of one, out of force.

    `orders`: those of the policy; one that is not among them counts as an authority's.  `span`: from when to
    when the pause is, Unix seconds.
    """
    if rule.kind not in ("exchange", "list") or rule.mode is not Mode.ENFORCE:
        return False
    if rule.action is PolicyAction.PASSTHRU:
        return False  # An exception: without it more would be blocked, not less.
    return including_orders or not any(is_imposed(orders.get(order), span) for order in rule.orders)


def is_imposed(order: Mapping[str, Any] | None, span: tuple[float, float]) -> bool:
    """Whether an authority's order is in force at some moment of a span; None: it is not there."""
    if order is None:
        return True
    if order.get("imposed_by") == "house" or order.get("mode") in (Mode.SHADOW, Mode.DISABLED):
        return False
    starts_at, ends_at = order.get("from"), order.get("until")
    return (starts_at is None or starts_at < span[1]) and (ends_at is None or span[0] < ends_at)
