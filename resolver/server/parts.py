"""Settings -> the parts that a server is made of.

Knows: which setting each part needs.  Does not know: when a part is used, sockets.
Only what takes nothing but settings is made here; `explain` makes the same parts where no server runs.
"""

from __future__ import annotations

import os

from resolver.blocklist.told import ORGANIZATION_OCTETS_MAX, member
from resolver.cache import ResponseCache
from resolver.config.identity_settings import HOSTNAME
from resolver.config.settings import Settings, UpstreamServer
from resolver.flow.client_names import ClientNames
from resolver.flow.clients import Networks
from resolver.flow.identities import Identities
from resolver.flow.proxies import Proxies
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.forwarding.source_ports import (
    Limits,
    Pools,
    SourcePorts,
    files_allowed,
    files_for_others,
    files_wanted,
    share_out,
    shortage,
    usable_ports,
)
from resolver.local import LocalNames
from resolver.local.resinfo import resinfo_rdata
from resolver.observe.records import RecordBuffer
from resolver.policy.structured import StructuredErrors
from resolver.server.query_records import queries_recorded, wants_answers
from resolver.wire.encode import NSID_OCTETS_MAX, cut_text
from resolver.wire.names import name_to_text

SUB_ERRORS = {"network": 5, "dns": 6}
"""Sub-error codes of structured DNS errors: the policy of the network's operator, of the DNS service's."""


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
    queries = queries_recorded(settings)
    if queries == "none":
        return None
    return RecordBuffer(only_blocked=queries == "blocked", has_answers=wants_answers(settings))


def make_plan(settings: Settings) -> ForwardPlan:
    """Whom to ask about what."""
    upstreams = settings.upstreams
    return ForwardPlan(
        [_planned(server) for server in upstreams.servers],
        upstreams.strategy,
        {suffix: [_planned(server) for server in servers] for suffix, servers in upstreams.forward.items()},
        race=upstreams.parallel,
        hedge_share=upstreams.hedge_max_percent / 100,
    )


def source_ports_of(
    settings: Settings, threads: int, *, raises: bool = True
) -> tuple[SourcePorts, SourcePorts | None, str | None]:
    """The source ports of Python's sockets and of the native plane's, and why they are too few, if they are.

    `threads`: of the native plane, 0: it does not run.  If it `raises`, the limit on open files is raised as
    far as it may be.
    """
    pools, others = _pools_of(settings, threads)
    allowed = files_allowed(files_wanted(pools, others), raises=raises)
    limits = Limits(
        usable_ports({address.port for address in settings.listen.dns}),
        max(allowed - others, allowed // 2),
    )
    return *share_out(limits, pools), shortage(limits, pools, others)


def files_wanted_of(settings: Settings, threads: int) -> int:
    """How many files a server with these settings would have open, if it may.

    `threads`: as `source_ports_of`.
    """
    return files_wanted(*_pools_of(settings, threads))


def _pools_of(settings: Settings, threads: int) -> tuple[Pools, int]:
    """The pools of source ports, and the files that the rest of the server needs."""
    asked = {(one.address, one.port) for one in settings.upstreams.all_servers if one.scheme == "udp"}
    ipv6 = sum(":" in address for address, _ in asked)
    connections = settings.limits.tcp_connections_max + settings.limits.http_connections_max
    return Pools(threads, len(asked) - ipv6, ipv6), files_for_others(threads, connections)


def make_local_names(settings: Settings) -> LocalNames:
    """The site's own records, and what this resolver says of itself."""
    return LocalNames(
        {name_to_text(name): [str(address) for address in found] for name, found in settings.records.items()},
        make_resinfo(settings),
        blocks_relay=settings.special_names.browser_relay == "block",
    )


def make_resinfo(settings: Settings) -> bytes:
    """RDATA of the RESINFO record."""
    section = settings.resinfo
    return resinfo_rdata(is_minimising=section.qnamemin, infourl=section.infourl)


def make_nsid(settings: Settings) -> bytes:
    """The name by which this server is told from its twin (RFC 5001); empty: it is not told."""
    nsid = settings.nsid
    if nsid is None:
        return b""
    return cut_text(os.uname().nodename if nsid == HOSTNAME else nsid, NSID_OCTETS_MAX)


def make_client_names(settings: Settings) -> ClientNames:
    """Where clients may name themselves."""
    section = settings.client_names
    return ClientNames(section.in_path, "" if section.below is None else name_to_text(section.below))


def make_identities(settings: Settings) -> Identities:
    """How listeners learn who asks."""
    return Identities(
        Proxies(settings.listen.proxy_protocol),
        make_client_names(settings),
        Networks(settings.http.trusted_proxies),
    )


def make_structured_errors(settings: Settings) -> StructuredErrors | None:
    """How clients that ask for it are told why a name is blocked; None: as all others."""
    section = settings.structured_errors
    if not section.enabled or section.option_code is None:
        return None
    organization = section.organization
    return StructuredErrors(
        option_code=section.option_code,
        sub_error=SUB_ERRORS[section.operator],
        organization=member("o", organization, ORGANIZATION_OCTETS_MAX) if organization else "",
        language=member("l", section.language, ORGANIZATION_OCTETS_MAX),
    )


def _planned(server: UpstreamServer) -> Server:
    return Server(
        server.scheme,
        server.address,
        server.port,
        server.trust_ad,
        server.letter_case,
        server.host,
        server.path,
        server.pins,
    )
