"""What upstreams said goes into the cache, once for all who waited for it.

Knows: what of a result is worth keeping.  Does not know: for how long, what clients get of it.
"""

from __future__ import annotations

from resolver.cache import AnyCache, CacheEntry
from resolver.forwarding.forwarder import Answered, Failed
from resolver.wire.question import Question


class Storing:
    """Stores results in `cache`."""

    def __init__(self, cache: AnyCache) -> None:
        self._cache = cache
        self._last: tuple[Answered | None, CacheEntry | None] = (None, None)

    def keep(self, question: Question, result: Answered | Failed, now: float) -> CacheEntry | None:
        """Store a result once, however many clients waited for it; None: no answer was kept."""
        if type(result) is Failed:
            # Want of room here is no failure of the name: it may be asked again at once.
            if result.reason not in ("overload", "closed"):
                self._cache.store_failure(question, result.ede, now)
            return None
        assert type(result) is Answered
        if self._last[0] is result:
            return self._last[1]
        if not result.upstream.trust_ad:
            # An AD bit is worth what its sender is worth (RFC 4035 §3.2.3, §4.9.3).
            result.response.authentic_data = False
        entry = self._cache.store(question, result.response, now)
        self._last = (result, entry)
        return entry
