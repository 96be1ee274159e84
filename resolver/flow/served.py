"""Parts of answers made from a response, cached or just accepted: judged, aged.

Knows: entries, the response's side of the policy, TTLs.  Does not know: why there is a response.
"""

from __future__ import annotations

from resolver.cache import CacheEntry
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Verdict, cap_s
from resolver.wire.numbers import ExtendedError, NegativeKind
from resolver.wire.query import Query
from resolver.wire.response import Response
from resolver.wire.ttl import with_ttl

STALE_TTL_S = 30
"""TTL of a stale answer (RFC 8767 §4 recommends 30 seconds)."""


def judgement_on(
    entry: CacheEntry, query: Query, table: PolicyTable, verdict: Verdict, now: float
) -> Verdict:
    """The response-side verdict on a kept answer, judged again after each reload."""
    judgement: Verdict | None = entry.judgement
    if entry.judged_generation != table.generation or judgement is None or now >= judgement.valid_until:
        assert entry.response is not None
        judgement = table.judge_response(verdict, query.qname, query.qtype, entry.response, now)
        entry.judgement = judgement
        entry.judged_generation = table.generation
    return judgement


def kept_chain(response: Response, body: bytes, links: int) -> tuple[bytes, int] | None:
    """The first links of the chain in `body`, a response as of now, and their records; None: no links."""
    if not links:
        return None
    link = response.links[links - 1]
    return body[: link.end], link.ancount


def stale_body(response: Response, judgement: Verdict, now: float) -> bytes:
    """The body of a stale answer, its TTLs those of one."""
    capped_s = cap_s(judgement, now)
    return with_ttl(response, STALE_TTL_S if capped_s is None else min(STALE_TTL_S, capped_s))


def stale_errors(response: Response) -> tuple[tuple[int, str], ...]:
    """What a stale answer says of itself (RFC 8914 §4.4, §4.20)."""
    is_nxdomain = response.negative is NegativeKind.NXDOMAIN
    code = ExtendedError.STALE_NXDOMAIN_ANSWER if is_nxdomain else ExtendedError.STALE_ANSWER
    return ((int(code), ""),)
