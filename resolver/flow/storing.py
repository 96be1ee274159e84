"""What upstreams said of a question goes into the cache, once, before those who wait for it are told.

Knows: what of a result is worth keeping.  Does not know: for how long, who waits, what clients get of it.
Theory: policy has no say here.  An answer is kept even where today's policy forbids it, for each use of it
is judged anew: by the policy of that moment, for the client of that moment.
"""

from __future__ import annotations

from resolver.cache import AnyCache, CacheEntry
from resolver.forwarding.forwarder import Answered, Failed, Keep
from resolver.wire.question import Question


def keeper_of(cache: AnyCache) -> Keep:
    """What a forwarder calls to keep results in `cache`; it returns the entry, None where none was made."""

    def keep(question: Question, result: Answered | Failed, now: float) -> CacheEntry | None:
        if type(result) is Failed:
            cache.store_failure(question, result.ede, now)
            return None
        assert type(result) is Answered
        return cache.store(question, result.response, now)

    return keep
