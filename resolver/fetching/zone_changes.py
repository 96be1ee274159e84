"""What the records of a zone transfer mean: a whole zone, changes to the one that is here, or nothing new.

Knows: the order of records in AXFR (RFC 5936 §2.2) and IXFR (RFC 1995 §4), serials (RFC 1982).  Does not
know: messages, connections, files.  Pure.

Theory: records come one by one and are judged one by one, so a zone of any size passes through here in
a fixed room.  Only the changes of an IXFR are gathered, for they are needed all at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from resolver.fetching.outcome import FetchFailed, Result

CHANGES_MAX: Final = 500_000
"""Records that an IXFR may remove and add; beyond it the whole zone is the shorter way."""
_HALF: Final = 2**31


class Key(NamedTuple):
    """One record without its TTL, as two writings of it compare equal."""

    owner: bytes
    """Relative to the zone, in lower case; `@`: the zone itself."""
    rdata: bytes
    """Type and data in presentation format."""


class Record(NamedTuple):
    """One record of a transfer."""

    key: Key
    ttl: int
    serial: int | None = None
    """Of a SOA; None: it is none."""


def is_newer(serial: int, than: int) -> bool:
    """Whether a serial comes after another (RFC 1982 §3.2)."""
    return 0 < (serial - than) % 2**32 < _HALF


class NeedsWhole(Exception):
    """The changes do not fit the zone that is here: ask for the whole zone."""


class Form(enum.Enum):
    """What a transfer turned out to be."""

    UNCHANGED = "unchanged"
    WHOLE = "whole"
    CHANGES = "changes"


class _Step(enum.Enum):
    FIRST = enum.auto()
    SECOND = enum.auto()
    WHOLE = enum.auto()
    REMOVALS = enum.auto()
    ADDITIONS = enum.auto()
    OVER = enum.auto()


@dataclass(slots=True)
class Changes:
    """What an IXFR removes and adds, all its steps taken together."""

    removed: dict[Key, None] = field(default_factory=dict)
    added: dict[Key, int] = field(default_factory=dict)
    """With their TTLs."""

    def remove(self, key: Key) -> None:
        """Raises NeedsWhole for what cannot be here any more."""
        if key in self.added:
            del self.added[key]
        elif key in self.removed:
            raise NeedsWhole("it removes a record twice")
        else:
            self.removed[key] = None
        self._check()

    def add(self, key: Key, ttl: int) -> None:
        """Raises NeedsWhole for what is here already."""
        if key in self.added:
            raise NeedsWhole("it adds a record twice")
        self.added[key] = ttl
        self._check()

    def _check(self) -> None:
        if len(self.removed) + len(self.added) > CHANGES_MAX:
            raise NeedsWhole(f"it has over {CHANGES_MAX:,} changes")


class ZoneChanges:
    """Takes the records of one transfer, in their order."""

    def __init__(self, serial: int | None, write: Callable[[Record], None]) -> None:
        """`serial`: of the zone that is here, None: AXFR was asked for.

        `write`: called with each record of a whole zone, its SOA first and once.
        """
        self._here = serial
        self._write = write
        self._step = _Step.FIRST
        self._target: int | None = None
        """The serial that this step of an IXFR leads to."""
        self._reached = serial
        self.soa: Record | None = None
        """The zone's new one."""
        self.form = Form.UNCHANGED
        self.changes = Changes()

    @property
    def is_over(self) -> bool:
        """Whether the last record has come."""
        return self._step is _Step.OVER

    def take(self, record: Record) -> None:
        """One record more.  Raises FetchFailed, NeedsWhole."""
        match self._step:
            case _Step.FIRST:
                self._begin(record)
            case _Step.SECOND:
                self._decide(record)
            case _Step.WHOLE:
                self._whole(record)
            case _Step.REMOVALS | _Step.ADDITIONS:
                self._change(record)
            case _Step.OVER:
                raise FetchFailed(Result.BAD_TRANSFER, "records come after the zone's end")

    def end_of_message(self) -> None:
        """A message is over.  One SOA alone in the first means: there is nothing newer (RFC 1995 §2)."""
        if self._step is _Step.SECOND and self._here is not None:
            assert self.soa is not None and self.soa.serial is not None
            if is_newer(self.soa.serial, self._here):
                # RFC 1995 §2: too large for this way; there are also servers that send the SOA by itself.
                return
            self._step = _Step.OVER

    def _begin(self, record: Record) -> None:
        if record.serial is None or record.key.owner != b"@":
            raise FetchFailed(Result.BAD_TRANSFER, "it does not begin with the zone's SOA")
        self.soa = record
        self._step = _Step.SECOND

    def _decide(self, record: Record) -> None:
        assert self.soa is not None
        if self._here is not None and record.serial is not None:
            if record.serial == self._here:
                self.form = Form.CHANGES
                self._reached = record.serial
                self._step = _Step.REMOVALS
                return
            if record.serial != self.soa.serial:
                raise NeedsWhole(f"it begins at serial {record.serial}, and here is {self._here}")
        self.form = Form.WHOLE
        self._step = _Step.WHOLE
        self._write(self.soa)
        self._whole(record)

    def _whole(self, record: Record) -> None:
        assert self.soa is not None
        if record.serial is None:
            self._write(record)
        elif record.serial == self.soa.serial:
            self._step = _Step.OVER
        else:
            raise FetchFailed(Result.BAD_TRANSFER, "the zone changed while it was transferred")

    def _change(self, record: Record) -> None:
        if record.serial is None:
            if self._step is _Step.REMOVALS:
                self.changes.remove(record.key)
            else:
                self.changes.add(record.key, record.ttl)
            return
        assert self.soa is not None and self._reached is not None
        if self._step is _Step.REMOVALS:
            if not is_newer(record.serial, self._reached):
                raise NeedsWhole("its serials go back")
            self._target = record.serial
            self._step = _Step.ADDITIONS
            return
        if record.serial != self._target:
            raise NeedsWhole(f"a step to serial {self._target} is followed by {record.serial}")
        self._reached = record.serial
        self._step = _Step.OVER if record.serial == self.soa.serial else _Step.REMOVALS
