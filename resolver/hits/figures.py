"""What the history of hits says: the nouns that writers and readers share.

Knows: the words and their units.  Does not know: files, clocks, who counts, who shows them.
No client's address and no name that a client asked for is in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

EXCHANGE, LIST, ORDER = "exchange", "list", "order"
"""The kinds of what is met."""

CONFIDENTIAL = "confidential"
"""The one label of all exchanges, lists and orders that are confidential: counted, and never named."""

HOUR_S = 3600
MINUTE_S = 60


class HitKey(NamedTuple):
    """One line of the history: what was met, and what was done."""

    kind: str
    """`exchange`, `list` or `order`."""
    label: str
    """Exchange id, list name, order id, or `confidential`."""
    action: str
    """`nxdomain`, `sinkhole`: one of the actions of policy."""
    mode: str
    """`enforce`, or `shadow`: it would have been done."""


Hits = Mapping[HitKey, int]
"""How often each was met; what is not there was met never.

A query that is blocked is one hit of its exchange or list, and one of each order that this cites and that was
in force then.  So the sum over orders may be more, or less, than the sum over exchanges and lists.
"""


@dataclass(slots=True, frozen=True)
class Span:
    """The hits of one hour or one minute."""

    starts_at: int
    """Unix seconds, a multiple of `length_s`."""
    length_s: int
    """3600 or 60."""
    hits: Hits
    covered_s: float
    """Seconds of it in which a server counted.  Less than `length_s`: none ran for a while; more: the clock
    was set back and ran through it again."""


@dataclass(slots=True, frozen=True)
class Day:
    """The hits of one day of some time zone."""

    day: date
    hits: Hits
    """An hour that midnight cuts (zones with half hours) belongs to the day in which it begins."""
    covered_s: float
    """Seconds of it in which a server counted; 0: none ran, so that 0 hits say nothing."""


@dataclass(slots=True, frozen=True)
class Kept:
    """What the history holds, and what it no longer does."""

    first_hour: int | None
    """Unix seconds of the oldest hour kept; None: none is."""
    last_hour: int | None
    begun_at: float
    """Unix seconds: when this file was made."""
    dropped_hours: int
    """Hours that went for want of room, the oldest first; their hits stay in the totals."""
    dropped_hits: int
    """Hits in those, of exchanges and lists."""
