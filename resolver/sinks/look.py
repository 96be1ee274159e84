"""How one reader wants records, and what it gets of them.

Knows: which encoder makes which format, where a record ends.  Does not know: how a record looks, where
octets go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resolver.observe.clients import ShownClients
from resolver.observe.records import Record, Taken, blocked_of
from resolver.sinks.dnstap import dnstap_of
from resolver.sinks.frames import frame_ends
from resolver.sinks.jsonl import jsonl_of, line_ends
from resolver.sinks.syslog import message_ends, syslog_of

Encoder = Callable[[Sequence[Record], ShownClients, bytes, float], bytes]

ENCODERS: Final[dict[str, Encoder]] = {"jsonl": jsonl_of, "dnstap": dnstap_of, "syslog": syslog_of}
"""By the word of the settings."""

ENDS: Final[dict[str, Callable[[memoryview], Iterator[int]]]] = {
    "jsonl": line_ends,
    "dnstap": frame_ends,
    "syslog": message_ends,
}
"""Where each record ends, in order, in what an encoder made."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one reader gets."""

    format: str
    """One of `ENCODERS`."""
    clients: ShownClients
    only_blocked: bool
    head: bytes = b""
    """What every record has in front, as its format puts it there."""
    native: Any = None
    """The same look for the native plane's records, which are written there; None: there is no plane."""

    def written(self, taken: Taken, offset_s: float, *, records_max: int | None = None) -> tuple[bytes, int]:
        """The octets, and how many records those are; `offset_s`: wall time less monotonic time.

        `records_max`: no more than the first so many; None: all.
        """
        if not isinstance(taken, list):
            return taken.written(self.native, offset_s, records_max=records_max)
        records = (blocked_of(taken) if self.only_blocked else taken)[:records_max]
        return ENCODERS[self.format](records, self.clients, self.head, offset_s), len(records)

    def ends(self, octets: memoryview) -> Iterator[int]:
        """Where each record ends in what `written` gave."""
        return ENDS[self.format](octets)
