"""What upstreams answered, for as long as it may be believed.

Knows: RFC 2308 (negative answers), RFC 8767 (stale answers), RFC 9520 (failures), the limit in octets.
Does not know: sockets, clocks (`now` comes in), policy, how an answer is sent.
Theory: a table of names per kind, a kind being a type with the DO and CD bits, so that no answer serves a
question that asked for other records or other checks.  A positive answer and NODATA are kept under their
type; NXDOMAIN under a kind of its own, for it denies every type but those of which records are kept: it was
learnt by another type's question then, and some servers deny a name for want of a type.  The class is always
IN.  Entries are found by comparing the whole name, never by its hash alone.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Final

from resolver.cache.entry import CacheEntry, Seat, answer_octets, failure_octets, seated
from resolver.cache.eviction import FREQUENCY_MAX, SMALL_SHARE, EvictionQueues
from resolver.wire.numbers import NegativeKind
from resolver.wire.question import Question
from resolver.wire.response import Response
from resolver.wire.turning import turning_part

ANY_TYPE: Final = 1 << 16
"""Stands for the type in an NXDOMAIN's kind; no real type is that large."""
FAILURE_TTL_MIN_S: Final = 1.0
"""RFC 9520 §3.2: a resolution failure is kept for at least a second."""
FAILURE_TTL_MAX_S: Final = 5.0
"""Within the RFC's five minutes, and short enough that recovery is noticed at once."""
SLACK_SHARE: Final = 32
"""Eviction starts when 1/32 of the octets is left, so its search may take several stores."""

_NXDOMAIN = NegativeKind.NXDOMAIN  # a member costs a descriptor call each time it is read off its class
_NEVER: Final = -math.inf
_TTL = struct.Struct("!L")


class ResponseCache:
    """Answers by question, bounded in octets.  `octets_max` 0: off, keeps nothing.

    `hits`: lookups answered without asking an upstream (fresh, or a known failure, stale answer or not).
    `misses`: the others, those that return a stale entry without a known failure included.
    """

    def __init__(
        self,
        octets_max: int,
        *,
        ttl_min_s: int = 0,
        ttl_max_s: int = 86400,
        negative_ttl_max_s: int = 3600,
        stale_max_s: int = 86400,
    ) -> None:
        self.octets_max = octets_max
        self._ttl_min_s = ttl_min_s
        self._ttl_max_s = ttl_max_s
        self._negative_ttl_max_s = negative_ttl_max_s
        self.stale_max_s = stale_max_s
        """How long past its TTL an answer may stand in."""
        self._tables: dict[int, dict[bytes, CacheEntry]] = {}
        # A miss looks at the denials of its DO and CD bits, so those four tables always exist.
        self._denials = tuple(self._tables.setdefault(ANY_TYPE << 2 | flags, {}) for flags in range(4))
        self._queues = EvictionQueues(octets_max)
        self._octets_high = octets_max - octets_max // SLACK_SHARE
        # One answer may not push out all the small queue at once.
        self._entry_octets_max = octets_max // SMALL_SHARE
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    @property
    def entries(self) -> int:
        """How many entries are kept, stale ones and failures included."""
        return len(self._queues)

    @property
    def octets(self) -> int:
        """Memory accounted for; never over `octets_max` after a store (a cache that is off has 0)."""
        return self._queues.octets if self.octets_max else 0

    def seats(self) -> list[Seat]:
        """Those of all entries, the popular first; a copy."""
        return self._queues.seats()

    @staticmethod
    def denies_name(response: Response) -> bool:
        """Whether it denies qname for every type.

        A denial behind a CNAME speaks of the chain's end; qname itself has a CNAME, at least for this type.
        """
        return response.negative is _NXDOMAIN and not response.links

    def lookup(self, question: Question, now: float) -> CacheEntry | None:
        """Find what is known: a fresh answer, a stale one, or a failure; None if nothing is.

        Look at `expires_at`, then `failed_until`, then `response`.
        """
        qname, qtype, dnssec_ok, checking_disabled = question
        flags = dnssec_ok << 1 | checking_disabled
        table = self._tables.get(qtype << 2 | flags)
        entry = table.get(qname) if table is not None else None
        if entry is not None and now < entry.expires_at:
            self.hits += 1
            if entry.frequency < FREQUENCY_MAX:
                entry.frequency += 1
            return entry
        denial = self._denials[flags].get(qname)
        if entry is None and denial is None:
            self.misses += 1
            return None
        return self._second_best(entry, denial, now)

    def uncount(self, entry: CacheEntry | None, now: float) -> None:
        """Take back the count of a lookup that found `entry`: another plane looked before, and counted."""
        if entry is not None and entry.is_hit(now):
            self.hits -= 1
        else:
            self.misses -= 1

    def store(self, question: Question, response: Response, now: float) -> CacheEntry | None:
        """Keep an accepted answer; None when it may not be kept (TTL 0, no SOA) or is too large.

        The entry's response has its TTLs within the configured bounds, so answer from the entry.
        """
        if response.negative is None and self._ttl_min_s <= response.ttl_s <= self._ttl_max_s:
            ttl_s = response.ttl_s
        else:
            ttl_s = self._lifetime_s(response)
        if ttl_s <= 0 or not self.octets_max:
            return None
        qname, qtype, dnssec_ok, checking_disabled = question
        flags = dnssec_ok << 1 | checking_disabled
        typed_kind = qtype << 2 | flags
        denial_kind = ANY_TYPE << 2 | flags
        # As `denies_name` has it; written out, for it runs for every answer stored.
        denies_qname = response.negative is _NXDOMAIN and not response.links
        kind, other = (denial_kind, typed_kind) if denies_qname else (typed_kind, denial_kind)
        kept = response
        ttls = response.ttls
        # One TTL is the lifetime itself, which is within the bounds.
        if len(ttls) != 1 or ttls[0] != ttl_s:
            kept = self._within_bounds(response, ttl_s)
        octets = answer_octets(qname, kept)
        if octets > self._entry_octets_max:
            # What it would have replaced is out of date all the same.
            self._empty(qname, typed_kind)
            self._empty(qname, denial_kind)
            return None
        # The newer answer contradicts the older one: a name that is denied has no type, and the reverse.
        contradicted = self._tables.get(other)
        if contradicted and qname in contradicted:
            self._empty(qname, other)
        expires_at = now + ttl_s
        entry = self._fill(qname, kind, kept, octets, now, expires_at, expires_at + self.stale_max_s)
        if len(kept.addresses) > 1:
            entry.turning = turning_part(kept)
        if self._queues.octets > self._octets_high:
            self._make_room(now)
        return entry

    def store_failure(self, question: Question, ede: tuple[int, str], now: float) -> CacheEntry:
        """Note that upstreams failed; 1 s, then twice as long for each further failure, at most 5 s.

        A usable answer is never replaced: the failure is noted beside it, so that it is served stale at once.
        """
        qname, qtype, dnssec_ok, checking_disabled = question
        flags = dnssec_ok << 1 | checking_disabled
        kind = qtype << 2 | flags
        typed = self._find(qname, kind)
        entry = _better_usable(typed, self._denials[flags].get(qname), now)
        if entry is None and typed is not None and typed.response is None:
            entry = typed
        if entry is not None:
            octets = answer_octets(qname, entry.response) + failure_octets(ede)
            self._queues.resize(entry.seat, octets)
        elif self.octets_max:
            entry = self._fill(qname, kind, None, answer_octets(qname, None) + failure_octets(ede))
        else:
            seat = Seat(qname, kind, 0)
            entry = seat.entry
            seat.vacate()
        if now < entry.failed_until:
            # It was asked although known to fail, as a rule's target is: the first failure's time stands.
            return entry
        # Failures in a row, that is each within one failure's time of the last one's end, wait longer.
        in_a_row = now < entry.failed_until + entry.failure_ttl_s
        entry.failure_ttl_s = (
            min(2 * entry.failure_ttl_s, FAILURE_TTL_MAX_S) if in_a_row else FAILURE_TTL_MIN_S
        )
        entry.failed_until = now + entry.failure_ttl_s
        entry.failure = ede
        self._make_room(now)
        return entry

    def kinds(self) -> list[int]:
        """Every kind of which something may be kept."""
        return list(self._tables)

    def names_of(self, kind: int) -> list[bytes]:
        """The names of which something is kept under this kind."""
        return list(self._tables.get(kind, ()))

    def forget(self, qname: bytes, kind: int) -> bool:
        """Forget what is known of a name under one kind; whether anything was."""
        entry = self._find(qname, kind)
        if entry is None or (entry.response is None and entry.failure is None):
            return False
        self._empty(qname, kind)
        return True

    def _second_best(
        self, entry: CacheEntry | None, denial: CacheEntry | None, now: float
    ) -> CacheEntry | None:
        """A lookup that found no fresh answer of the type: a denial, a stale answer or a failure."""
        found: CacheEntry | None
        if denial is not None and now < denial.expires_at and not _has_records(entry):
            found = denial
            self.hits += 1
        else:
            found = _better_usable(entry, denial, now)
            if found is None and entry is not None and now < entry.failed_until:
                found = entry
            if found is not None and now < found.failed_until:
                self.hits += 1
            else:
                self.misses += 1
        if found is not None and found.frequency < FREQUENCY_MAX:
            found.frequency += 1
        return found

    def _lifetime_s(self, response: Response) -> int:
        if response.negative is not None:
            # No floor here: without a SOA there is no TTL to raise (RFC 2308 §5).
            return min(response.ttl_s, self._negative_ttl_max_s)
        if response.ttl_s > self._ttl_max_s:
            return self._ttl_max_s
        return response.ttl_s if response.ttl_s > self._ttl_min_s else self._ttl_min_s

    def _within_bounds(self, response: Response, ttl_s: int) -> Response:
        """The response with every TTL raised or lowered to the configured bounds."""
        least, most = self._ttl_min_s, self._ttl_max_s
        if response.negative is not None:
            least, most = 0, self._negative_ttl_max_s
        ttls = response.ttls
        if ttl_s == response.ttl_s and least <= min(ttls) and max(ttls) <= most:
            return response
        # At least one record is there: what has none has no TTL, and is not kept.
        ttls = tuple([min(max(ttl, least), most) for ttl in ttls])
        body = bytearray(response.body)
        for offset, ttl in zip(response.ttl_offsets, ttls, strict=True):
            _TTL.pack_into(body, offset, ttl)
        return replace(response, body=bytes(body), ttls=ttls, ttl_s=ttl_s)

    def _find(self, qname: bytes, kind: int) -> CacheEntry | None:
        table = self._tables.get(kind)
        return table.get(qname) if table is not None else None

    def _fill(
        self,
        qname: bytes,
        kind: int,
        response: Response | None,
        octets: int,
        stored_at: float = _NEVER,
        expires_at: float = _NEVER,
        stale_until: float = _NEVER,
    ) -> CacheEntry:
        """A new entry with a response, or with none yet, in the question's old seat or a new one."""
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = {}
        older = table.get(qname)
        if older is None:
            entry = table[qname] = seated(qname, kind, octets, response, stored_at, expires_at, stale_until)
            self._queues.admit(entry.seat)
            return entry
        seat = older.seat
        entry = table[seat.qname] = seat.entry = CacheEntry(seat)
        entry.frequency = older.frequency
        self._queues.resize(seat, octets)
        entry.response = response
        entry.stored_at = stored_at
        entry.expires_at = expires_at
        entry.stale_until = stale_until
        return entry

    def _empty(self, qname: bytes, kind: int) -> None:
        """Forget an answer; its seat stays in the queues until it is taken again or evicted."""
        if self._find(qname, kind) is not None:
            self._fill(qname, kind, None, answer_octets(qname, None))

    def _make_room(self, now: float) -> None:
        queues = self._queues
        while queues.octets > self._octets_high:
            evicted = queues.evict(now, must=queues.octets > self.octets_max)
            if evicted is None:
                return
            table = self._tables[evicted.kind]
            del table[evicted.qname]
            evicted.vacate()
            # Types are the client's to invent: an empty table must not stay behind each of them.
            if not table and evicted.kind < ANY_TYPE << 2:
                del self._tables[evicted.kind]
            self.evictions += 1


def _better_usable(typed: CacheEntry | None, denial: CacheEntry | None, now: float) -> CacheEntry | None:
    """Whichever still has an answer; beside the type's own records no denial, else the one learned later."""
    if typed is None or not typed.is_usable(now):
        return denial if denial is not None and denial.is_usable(now) and not _has_records(typed) else None
    if denial is None or not denial.is_usable(now) or _has_records(typed):
        return typed
    return denial if denial.stored_at > typed.stored_at else typed


def _has_records(typed: CacheEntry | None) -> bool:
    """Whether records of the type are kept, of any age: a denial beside them is another type's."""
    return typed is not None and typed.response is not None and typed.response.negative is None
