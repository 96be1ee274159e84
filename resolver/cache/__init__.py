"""What we already know, and for how long.  Pure: no clock, no socket, no policy."""

from resolver.cache.entry import CacheEntry
from resolver.cache.native_cache import NativeCache
from resolver.cache.response_cache import FAILURE_TTL_MAX_S, FAILURE_TTL_MIN_S, ResponseCache

__all__ = ["FAILURE_TTL_MAX_S", "FAILURE_TTL_MIN_S", "AnyCache", "CacheEntry", "NativeCache", "ResponseCache"]

AnyCache = ResponseCache | NativeCache
"""What the flow takes: its own cache, or the one it shares with the native plane."""
