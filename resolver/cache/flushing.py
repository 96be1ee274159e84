"""Forgetting what is known of a name, because somebody knows better.

Knows: which entries are about a name, or about one under it.  Does not know: who asks, what is kept in front
of the cache (memos go by the policy's generation).
Theory: a step looks at a bounded number of names, so whoever steps can let queries through between two.  What
comes from an upstream meanwhile is news, and stays.  Mirror of `native/core/src/cache/flushing.rs`.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.cache.response_cache import ResponseCache
from resolver.wire.names import is_at_or_below

NAMES_AT_ONCE = 2_000
"""Looked at in one step: about a millisecond."""


def flush_steps(cache: ResponseCache, name: bytes, *, subtree: bool) -> Iterator[int]:
    """Forget all answers and failures of a name (wire form, lower case), of whatever type, in steps.

    With `subtree` those of all names under it, too.  Each step gives how many it has forgotten.
    """
    for kind in cache.kinds():
        if not subtree:
            yield cache.forget(name, kind)
            continue
        names = cache.names_of(kind)
        for first in range(0, len(names), NAMES_AT_ONCE):
            step = names[first : first + NAMES_AT_ONCE]
            yield sum(cache.forget(one, kind) for one in step if is_at_or_below(one, name))
