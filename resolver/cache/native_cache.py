"""The cache of both planes, as the Python flow uses it.

Knows: how entries and responses cross the line to the native plane, field by field.  Does not know: what the
native cache keeps and for how long; it is `ResponseCache`'s rules, written twice and tested together.
Theory: what comes back is a copy.  A judgement noted on it is gone with it, so a rare query that Python
answers is judged afresh; the native plane keeps its own notes beside the original.
"""

from __future__ import annotations

from typing import Final, cast

from resolver.cache.entry import CacheEntry, Seat
from resolver.plane import EntryFields, NativeCacheCore, ResponseFields
from resolver.wire.numbers import NegativeKind
from resolver.wire.question import Question
from resolver.wire.response import ChainLink, Response
from resolver.wire.turning import turning_part

_KINDS: Final = (None, NegativeKind.NXDOMAIN, NegativeKind.NODATA)
"""By the number that stands for them on the line."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}


class NativeCache:
    """`ResponseCache`'s interface over `resolver_native.Cache`."""

    def __init__(self, core: NativeCacheCore) -> None:
        self.core = core
        self._hits_twice = self._misses_twice = 0  # counted by the native plane, too, which looked before

    @property
    def entries(self) -> int:
        """See `ResponseCache`; so the others."""
        return self.core.entries

    @property
    def octets(self) -> int:
        return self.core.octets

    @property
    def hits(self) -> int:
        return self.core.hits - self._hits_twice

    @property
    def misses(self) -> int:
        return self.core.misses - self._misses_twice

    @property
    def evictions(self) -> int:
        return self.core.evictions

    def lookup(self, question: Question, now: float) -> CacheEntry | None:
        """See `ResponseCache.lookup`."""
        fields = self.core.lookup(question, now)
        return None if fields is None else entry_of(question.qname, fields)

    def uncount(self, entry: CacheEntry | None, now: float) -> None:
        """See `ResponseCache.uncount`."""
        if entry is not None and entry.is_hit(now):
            self._hits_twice += 1
        else:
            self._misses_twice += 1

    def store(self, question: Question, response: Response, now: float) -> CacheEntry | None:
        """See `ResponseCache.store`."""
        fields = self.core.store(question, fields_of(response), now)
        return None if fields is None else entry_of(question.qname, fields)

    def store_failure(self, question: Question, ede: tuple[int, str], now: float) -> CacheEntry:
        """See `ResponseCache.store_failure`."""
        code, text = ede
        fields = self.core.store_failure(question, (int(code), text), now)
        return entry_of(question.qname, fields)


def fields_of(response: Response) -> ResponseFields:
    """What crosses the line of a response."""
    return (
        int(response.rcode),
        response.authentic_data,
        response.body,
        response.ancount,
        response.nscount,
        response.ttl_offsets,
        response.ttls,
        _NUMBERS[response.negative],
        response.ttl_s,
        tuple([(link.target, link.end, link.ancount) for link in response.links]),
        response.service_targets,
        response.addresses,
        response.name_at_end,
    )


def response_of(qname: bytes, fields: ResponseFields) -> Response:
    """The response to `qname` that came over the line."""
    rcode, ad, body, ancount, nscount, offsets, ttls, negative, ttl_s, links, targets, addresses, end = fields
    return Response(
        rcode,
        ad,
        body,
        ancount,
        nscount,
        tuple(offsets),
        tuple(ttls),
        _KINDS[negative],
        ttl_s,
        tuple([ChainLink(*link) for link in links]),
        tuple(targets),
        tuple(addresses),
        cast(bytes, qname if end is None else end),
    )


def entry_of(qname: bytes, fields: EntryFields) -> CacheEntry:
    """A copy of a native entry; its judgement is not known here."""
    response, stored_at, expires_at, stale_until, failed_until, failure = fields
    entry = CacheEntry(_NOWHERE)
    if response is not None:
        entry.response = response_of(qname, response)
        entry.turning = turning_part(entry.response)
    entry.stored_at = stored_at
    entry.expires_at = expires_at
    entry.stale_until = stale_until
    entry.failed_until = failed_until
    entry.failure = failure
    return entry


_NOWHERE: Final = Seat(b"", 0, 0)
"""The seat of all copies: they take part in no queue."""
