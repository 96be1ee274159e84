"""Follows a list's rule that answers a name with a CNAME to another one (RPZ local data).

Knows: where the addresses of the other name may be found at once.  Does not know: upstreams, encoding.
Theory: the client gets the CNAME and the addresses it leads to, as from any resolver, since stub
resolvers do not follow a CNAME themselves.  Only A and AAAA are followed.  The answer shows nothing of the
target's own chain, so no record has to be moved from one message into another.  The target is judged by
the rules of exchanges, never by lists: one list cannot send a client in circles, nor to an exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resolver.cache import AnyCache
from resolver.cache.entry import CacheEntry
from resolver.flow.outcome import Ask, Redirect, Respond, Source, over_transport
from resolver.flow.own_options import OwnOptions
from resolver.flow.peer import Peer
from resolver.local import LocalNames
from resolver.policy.answer import redirect_target, redirected_answer
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Exemption, Verdict
from resolver.wire.encode import encode_query, response_limit
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query
from resolver.wire.question import Question
from resolver.wire.response import Response

FOLLOWED_TYPES = (int(Qtype.A), int(Qtype.AAAA))
"""What clients want of a walled garden; any other type gets the CNAME alone."""

_TARGET_VERDICT = Verdict(exemption=Exemption.LISTS)


@dataclass(frozen=True, slots=True)
class Found:
    """What the other name has of the type asked."""

    addresses: tuple[bytes, ...]
    ttl_s: int
    rcode: int


class Redirects:
    """Looks for what rules lead to."""

    def __init__(
        self,
        cache: AnyCache,
        local: LocalNames,
        is_forwarded: Callable[[bytes], bool],
        is_audit: Callable[[tuple[tuple[int, bytes], ...]], bool],
    ) -> None:
        """`is_audit`: by the options of a query; its look-ups are not counted."""
        self._is_audit = is_audit
        self._cache = cache
        self._local = local
        self._is_forwarded = is_forwarded

    def start(
        self, table: PolicyTable, query: Query, verdict: Verdict, kept: tuple[bytes, int] | None, now: float
    ) -> tuple[Redirect, Found | None] | None:
        """Where a rule leads and what is known there; None: nowhere, the policy's answer is all.

        Without anything known an upstream must be asked for the target.
        """
        if query.qtype not in FOLLOWED_TYPES:
            return None
        target = redirect_target(verdict)
        if not target or table.judge_target(target, now).is_blocked:
            return None
        question = Question(target, query.qtype, False, query.checking_disabled)
        redirect = Redirect(verdict, question, kept)
        return redirect, self._find(redirect, query, table, now)

    def _find(self, redirect: Redirect, query: Query, table: PolicyTable, now: float) -> Found | None:
        asked = encode_query(
            redirect.question.qname, query.qtype, id=0, dnssec_ok=False, checking_disabled=False, edns=False
        )
        as_query = parse_query(asked)
        if isinstance(as_query, Query):
            answer = self._local.find(as_query, self._is_forwarded, table.is_filtering)
            if answer is not None:
                return Found(answer.addresses, answer.ttl_s, answer.rcode)
        entry = self._looked_up(redirect, query, now)
        if entry is None or entry.response is None or now >= entry.expires_at:
            return None
        return _found_in(entry.response, redirect.question, table, int(now - entry.stored_at), now)

    def _looked_up(self, redirect: Redirect, query: Query, now: float) -> CacheEntry | None:
        entry = self._cache.lookup(redirect.question, now)
        if query.options and self._is_audit(query.options):
            self._cache.uncount(entry, now)
        return entry

    def finish(
        self,
        table: PolicyTable,
        query: Query,
        redirect: Redirect,
        response: Response | None,
        stale_ttl_s: int,
        now: float,
    ) -> Found | None:
        """What upstreams said of the target; without `response` what was known before, or None."""
        if response is not None:
            return _found_in(response, redirect.question, table, 0, now)
        entry = self._looked_up(redirect, query, now)
        if entry is None or entry.response is None or now >= entry.stale_until:
            return None
        found = _found_in(entry.response, redirect.question, table, 0, now)
        return Found(found.addresses, stale_ttl_s, found.rcode)


def denied_meanwhile(
    table: PolicyTable, ask: Ask, redirect: Redirect, now: float
) -> tuple[Verdict, tuple[bytes, int] | None] | None:
    """What denies a question by a policy that came while the target was asked for, and behind what chain.

    None: the rule leads to its target still.
    """
    verdict = over_transport(ask.peer, table.judge_name(ask.query.qname, now))
    if verdict.is_blocked and verdict.match != redirect.verdict.match:
        return verdict, None
    if table.judge_target(redirect.question.qname, now).is_blocked:
        # The rule leads nowhere now.
        return redirect.verdict, redirect.kept
    return None


def _found_in(response: Response, question: Question, table: PolicyTable, age_s: int, now: float) -> Found:
    """The addresses in an answer to the target; none, if an exchange's rule objects to them."""
    judgement = table.judge_response(_TARGET_VERDICT, question.qname, question.qtype, response, now)
    if judgement.is_blocked:
        return Found((), 0, 0)
    ttl_s = max(0, min(response.ttls, default=0) - age_s)
    return Found(response.addresses, ttl_s, response.rcode)


def led_answer(
    query: Query,
    peer: Peer,
    redirect: Redirect,
    found: Found,
    now: float,
    own: OwnOptions,
) -> Respond:
    """A rule's CNAME and what was found behind it."""
    message = redirected_answer(
        query,
        redirect.verdict,
        limit=response_limit(query, peer.is_stream),
        now=now,
        kept=redirect.kept,
        addresses=found.addresses,
        ttl_s=found.ttl_s,
        rcode=found.rcode,
        structured=own.structured_for(query),
        asked=own.asked_by(query, peer),
    )
    return Respond(message[2:], message[3] & 0x0F, query.qtype, Source.POLICY, redirect.verdict)
