"""Settings -> the parts that a server is made of.

Knows: which setting each part needs.  Does not know: when a part is used, sockets.
Only what takes nothing but settings is made here; `explain` makes the same parts where no server runs.
"""

from __future__ import annotations

from resolver.cache import ResponseCache
from resolver.config.settings import Settings, UpstreamServer
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.local import LocalNames
from resolver.observe.records import RecordBuffer
from resolver.wire.names import name_to_text


def make_cache(settings: Settings, memo_octets: int) -> ResponseCache:
    """Python's own cache, of what the memo leaves of its memory."""
    return ResponseCache(
        settings.cache.size_octets - memo_octets,
        ttl_min_s=settings.cache.ttl_min_s,
        ttl_max_s=settings.cache.ttl_max_s,
        negative_ttl_max_s=settings.cache.negative_ttl_max_s,
        stale_max_s=settings.cache.stale_max_s,
    )


def make_record_buffer(settings: Settings) -> RecordBuffer | None:
    """Where Python's own queries are recorded; None: they are not."""
    queries = settings.log.queries
    return None if queries == "none" else RecordBuffer(only_blocked=queries == "blocked")


def make_plan(settings: Settings) -> ForwardPlan:
    """Whom to ask about what."""
    upstreams = settings.upstreams
    return ForwardPlan(
        [_planned(server) for server in upstreams.servers],
        "ordered" if upstreams.strategy == "ordered" else "fastest",
        {suffix: [_planned(server) for server in servers] for suffix, servers in upstreams.forward.items()},
    )


def make_local_names(settings: Settings) -> LocalNames:
    """The site's own records."""
    return LocalNames(
        {name_to_text(name): [str(address) for address in found] for name, found in settings.records.items()}
    )


def _planned(server: UpstreamServer) -> Server:
    return Server(server.scheme, server.address, server.port, server.trust_ad, server.letter_case)
