"""One thing the cache knows, and what it costs in octets.

Knows: the fields, and how CPython lays them out in memory.  Does not know: the tables, eviction,
policy (`judgement` is the caller's note, carried and never read).
Theory: an entry's answer never changes, so whoever holds one may go on using it; a newer answer is a
new entry that takes over the old one's seat in the queues.  A cache bounded in octets is only as honest
as its account of each entry, so the overhead of every object an entry keeps alive is added up here,
rounded as the allocator rounds.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Final

from resolver.wire.response import ChainLink, Response
from resolver.wire.turning import Turning

_NEVER: Final = -math.inf

ALLOCATION_OCTETS: Final = 16
"""CPython's small-object allocator hands out multiples of this (64-bit)."""

POINTER_OCTETS: Final = 8
INT_OCTETS: Final = 32
FLOAT_OCTETS: Final = 32
"""24 asked for; the allocator gives 32."""
SMALL_INT_MAX: Final = 256
"""Integers up to this are shared by the whole process and cost nothing."""
TABLE_SLOT_OCTETS: Final = 60
"""A dict slot: 24 octets of entry, 4 of index, in a table a third to two thirds full (30 to 60 in all)."""


class Seat:
    """An entry's place in the eviction queues, kept by its question while the answers come and go."""

    __slots__ = ("entry", "in_main", "kind", "octets", "qname")

    def __init__(self, qname: bytes, kind: int, octets: int) -> None:
        self.qname = qname
        """Wire form, lower case."""
        self.kind = kind
        """The type and the DO and CD bits in one number."""
        self.octets = octets
        """What seat and entry cost in memory."""
        self.in_main = False
        """Which of the queues holds it."""
        self.entry = CacheEntry(self)

    def vacate(self) -> None:
        """Part seat and entry: their references to each other would otherwise outlive their use."""
        del self.entry


class CacheEntry:
    """An answer, a failure, or a stale answer with a failure noted on it.

    `response` and its times are never changed for another answer.  Times are monotonic seconds.
    """

    __slots__ = (
        "expires_at",
        "failed_until",
        "failure",
        "failure_ttl_s",
        "frequency",
        "judged_generation",
        "judgement",
        "response",
        "seat",
        "stale_until",
        "stored_at",
        "turning",
    )

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.response: Response | None = None
        """None: only a failure is known."""
        self.stored_at = _NEVER
        self.expires_at = _NEVER
        """Fresh before this."""
        self.stale_until = _NEVER
        """May stand in for an unreachable upstream before this (RFC 8767)."""
        self.failed_until = _NEVER
        """Asking again is pointless before this (RFC 9520)."""
        self.failure: tuple[int, str] | None = None
        """The Extended DNS Error of that failure."""
        self.failure_ttl_s = 0.0
        """How long the last failure is remembered; the next one in a row lasts twice as long."""
        self.frequency = 0
        """Uses since admission, at most `eviction.FREQUENCY_MAX`; a memo in front of the cache may set it."""
        self.judged_generation = -1
        """Policy generation of `judgement`; -1: not judged."""
        self.judgement: Any = None
        """The caller's note, of the caller's type."""
        self.turning: Turning | None = None
        """Which addresses of the answer may take turns; shared, so that it costs no memory."""

    def is_fresh(self, now: float) -> bool:
        """Whether the answer is within its TTL."""
        return now < self.expires_at

    def is_failing(self, now: float) -> bool:
        """Whether upstreams are known to fail for this question right now."""
        return now < self.failed_until

    def is_hit(self, now: float) -> bool:
        """Whether a lookup that found it counts as a hit: it needs no upstream."""
        return now < self.expires_at or now < self.failed_until

    def is_usable(self, now: float) -> bool:
        """Whether there is an answer, fresh or stale."""
        return self.response is not None and now < self.stale_until


def seated(
    qname: bytes,
    kind: int,
    octets: int,
    response: Response | None,
    stored_at: float,
    expires_at: float,
    stale_until: float,
) -> CacheEntry:
    """A new entry in a new seat."""
    seat = Seat(qname, kind, octets)
    entry = seat.entry
    entry.response = response
    entry.stored_at = stored_at
    entry.expires_at = expires_at
    entry.stale_until = stale_until
    return entry


def _rounded(octets: int) -> int:
    return (octets + ALLOCATION_OCTETS - 1) & -ALLOCATION_OCTETS


_ENTRY_OCTETS: Final = (
    _rounded(sys.getsizeof(Seat(b"", 0, 0)))
    + _rounded(sys.getsizeof(Seat(b"", 0, 0).entry))
    + INT_OCTETS  # octets
    + TABLE_SLOT_OCTETS
    + POINTER_OCTETS  # its place in a queue
)
_FAILURE_OCTETS: Final = FLOAT_OCTETS + _rounded(sys.getsizeof((0, "")))
_RESPONSE_OCTETS: Final = (
    _rounded(sys.getsizeof(Response(0, False, b"", 0, 0, (), (), None, 0, (), (), (), b"")))
    + 3 * FLOAT_OCTETS
)  # stored_at, expires_at, stale_until
_LINK_OCTETS: Final = _rounded(sys.getsizeof(ChainLink(b"", 0, 0))) + INT_OCTETS
# What is added to a length before it is rounded down to the allocator's multiple.
_BYTES_CEILING: Final = sys.getsizeof(b"") + ALLOCATION_OCTETS - 1
_TUPLE_CEILING: Final = sys.getsizeof(()) + ALLOCATION_OCTETS - 1
_MASK: Final = -ALLOCATION_OCTETS


def failure_octets(failure: tuple[int, str] | None) -> int:
    """Memory that a noted failure adds to an entry."""
    if failure is None:
        return 0
    return _FAILURE_OCTETS + _rounded(sys.getsizeof(failure[1]))


def answer_octets(qname: bytes, response: Response | None) -> int:
    """Memory an entry keeps alive, its share of the tables included, a failure left out.

    Written out rather than built from small functions: it runs once for every answer stored.
    """
    octets = _ENTRY_OCTETS + ((len(qname) + _BYTES_CEILING) & _MASK)
    if response is None:
        return octets
    octets += _RESPONSE_OCTETS + ((len(response.body) + _BYTES_CEILING) & _MASK)
    ttls = response.ttls
    records = len(ttls)
    if records:
        # The tuples of TTLs and of their offsets.
        octets += 2 * ((POINTER_OCTETS * records + _TUPLE_CEILING) & _MASK)
        offsets = response.ttl_offsets
        # Offsets grow, so either all are shared small integers or some of the last are not.
        if offsets[-1] > SMALL_INT_MAX:
            octets += INT_OCTETS * sum(1 for offset in offsets if offset > SMALL_INT_MAX)
        for ttl in ttls:
            if ttl > SMALL_INT_MAX:
                octets += INT_OCTETS
    if response.name_at_end is not qname:
        octets += (len(response.name_at_end) + _BYTES_CEILING) & _MASK
    if response.links:
        octets += (POINTER_OCTETS * len(response.links) + _TUPLE_CEILING) & _MASK
        for link in response.links:
            octets += _LINK_OCTETS + ((len(link.target) + _BYTES_CEILING) & _MASK)
    addresses = response.addresses
    if addresses:
        octets += (POINTER_OCTETS * len(addresses) + _TUPLE_CEILING) & _MASK
        for address in addresses:
            octets += (len(address) + _BYTES_CEILING) & _MASK
    targets = response.service_targets
    if targets:
        octets += (POINTER_OCTETS * len(targets) + _TUPLE_CEILING) & _MASK
        for target in targets:
            octets += (len(target) + _BYTES_CEILING) & _MASK
    return octets
