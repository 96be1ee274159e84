"""Settings -> the request flow of a server.

Knows: which setting the flow needs, beside the parts it is given.  Does not know: when it is used, sockets.
"""

from __future__ import annotations

from resolver.cache import AnyCache
from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.flow.audit_queries import AuditSecret
from resolver.flow.clients import Clients
from resolver.flow.service import Service
from resolver.flow.shares import Places
from resolver.forwarding.forwarder import Asks
from resolver.local import LocalNames
from resolver.policy.policy import Policy
from resolver.server.parts import make_identities, make_nsid, make_structured_errors


def make_service(
    settings: Settings,
    policy: Policy,
    local: LocalNames,
    *,
    cache: AnyCache,
    forwarder: Asks,
    clock: Clock,
    memo_octets: int,
    places: Places | None,
    audit_secret: bytes,
) -> Service:
    """The flow over these parts.  `places`: those of clients that wait, where another plane has them."""
    service = Service(
        policy=policy,
        cache=cache,
        forwarder=forwarder,
        local=local,
        clock=clock,
        clients=Clients(settings.clients.allow),
        memo_octets_max=memo_octets,
        rate_limit_qps=settings.clients.rate_limit_qps,
        tcp_idle_s=settings.limits.tcp_idle_s,
        places=places,
        rotate_addresses=settings.cache.rotate_addresses,
        audit_secret=AuditSecret(audit_secret),
        structured_errors=make_structured_errors(settings),
        nsid=make_nsid(settings),
    )
    service.identities = make_identities(settings)
    return service
