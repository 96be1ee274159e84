"""What becomes of a query: the one place that knows the order of the steps.

Knows: every room's verdict and which comes first.  Does not know: sockets, counting, files.
Theory: `answer_now` is an ordered list of gates; the first that has an answer ends the walk.  It
is synchronous and total, so whatever needs no upstream costs no task and no await.  What passes
every gate is an `Ask`: `resolve` hands it to the forwarder and `finish` judges what comes back.
A verdict lives as long as the policy generation it was made under: a reload re-judges everything,
cached, stale and in flight, and flushes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from resolver.cache import AnyCache, CacheEntry
from resolver.clock import Clock
from resolver.flow.audit_queries import AuditSecret, counted_nowhere, deliver_uncounted, no_audit
from resolver.flow.clients import UNKNOWN, Clients, RateLimiter
from resolver.flow.identities import PLAIN
from resolver.flow.memo import Memo
from resolver.flow.outcome import (
    Ask,
    Drop,
    Outcome,
    Redirect,
    Respond,
    Source,
    answer_with,
    ask_for,
    over_transport,
)
from resolver.flow.own_options import OwnOptions
from resolver.flow.pacing import HeldAnswers
from resolver.flow.peer import Peer
from resolver.flow.redirect import Redirects, denied_meanwhile, led_answer
from resolver.flow.replies import ReplyEncoder, any_body
from resolver.flow.served import STALE_TTL_S, judgement_on, kept_chain, stale_body, stale_errors
from resolver.flow.shares import Places, Shares
from resolver.flow.unreadable import TakeNotify, answer_unreadable
from resolver.flow.waiting import Deliver, Waiter, is_same_question, mark_of, why_not
from resolver.forwarding.forwarder import Answered, Asks, Failed
from resolver.local import LocalNames
from resolver.policy.answer import policy_answer, prepared_answer
from resolver.policy.policy import Policy
from resolver.policy.structured import StructuredErrors
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PASS, PolicyAction, Verdict, cap_s
from resolver.wire.encode import COPIED_FLAGS, response_limit
from resolver.wire.numbers import META_TYPES, ExtendedError, Flag, Qclass, Qtype, Rcode
from resolver.wire.query import Malformed, Query, parse_query
from resolver.wire.response import Response
from resolver.wire.ttl import age_body
from resolver.wire.turning import Turning

# Read once: through its class a member of an Enum costs 0.17 µs each time (CPython 3.11).
_IN = int(Qclass.IN)
_ANY = int(Qtype.ANY)
_PASSTHRU = PolicyAction.PASSTHRU
_LOCAL_DATA = PolicyAction.LOCAL_DATA
_TCP_ONLY = PolicyAction.TCP_ONLY
_FROM_UPSTREAM = Source.UPSTREAM
_FROM_CACHE = Source.CACHE
_FROM_POLICY = Source.POLICY
_FROM_HERE = Source.LOCAL
_NOERROR = int(Rcode.NOERROR)
_RD = int(Flag.RD)

STALE_ANSWER_AFTER_S = 1.8
"""How long a client waits for a fresh answer while a stale one lies ready (RFC 8767 §5)."""


class Service:
    """The request flow over one policy table, one cache, one forwarder."""

    def __init__(
        self,
        *,
        policy: Policy,
        cache: AnyCache,
        forwarder: Asks,
        local: LocalNames,
        clock: Clock,
        clients: Clients,
        memo_octets_max: int,
        rate_limit_qps: int = 0,
        tcp_idle_s: float = 10.0,
        places: Places | None = None,
        rotate_addresses: bool = True,
        audit_secret: AuditSecret | None = None,
        structured_errors: StructuredErrors | None = None,
        nsid: bytes = b"",
    ) -> None:
        self._policy = policy
        self._everybody = policy.everybody
        self._cache = cache
        self._forwarder = forwarder
        self._local = local
        self.now = self._now = clock.now
        self.held = HeldAnswers(clock)
        self.places = Shares() if places is None else places
        self._call_later = clock.call_later
        self.clients = self._clients = clients
        self._is_audit = no_audit if audit_secret is None else audit_secret.is_among
        self._rotates = rotate_addresses
        self._limiter = RateLimiter(rate_limit_qps) if rate_limit_qps else None
        self._redirects = Redirects(cache, local, forwarder.covers, self._is_audit)
        self._memo_datagram = Memo(memo_octets_max * 3 // 4)
        self._memo_stream = Memo(memo_octets_max // 4)
        self._own = OwnOptions(tcp_idle_s, nsid, structured_errors)
        replies = ReplyEncoder(self._own)
        self._reply, self._reply_from = replies.reply, replies.reply_from
        self._finished: tuple[Answered | Failed, Ask, Respond] | None = None
        self.identities = PLAIN
        """Who speaks for others, and where clients name themselves; set before anything listens."""
        self.take_notify: TakeNotify | None = None
        """Answers NOTIFY (RFC 1996) of those it knows; None: nobody does."""
        self.waiting = 0
        """Clients that wait for an upstream."""
        self.overloads = 0
        """Clients turned away because `WAITING_MAX` of them waited."""
        self.defects = 0
        """Answers that failed in `finish` by a defect of ours."""

    @property
    def policy(self) -> Policy:
        """What judges from now on."""
        return self._policy

    def publish(self, policy: Policy) -> None:
        """Judge by `policy` from now on; what is remembered under another generation is re-judged."""
        self._policy = policy
        self._everybody = policy.everybody

    def _table_of(self, peer: Peer) -> PolicyTable:
        """The table that judges this client: that of its group."""
        group = peer.standing.group
        return self._policy.table_for(group) if group else self._everybody

    # The synchronous half.

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        """Answer from what is known here, or say who must be asked.  Never raises, whatever the octets."""
        if peer.standing is UNKNOWN:
            peer.recognise(self._clients)
        # `_table_of` spelt out: this runs for every query.
        group = peer.standing.group
        table = self._policy.table_for(group) if group else self._everybody
        # A stream client is bounded by its connections, and TC=1 must lead somewhere.
        limited = (
            self._limiter is not None and not peer.is_stream and not self._limiter.takes(peer.address, now)
        )
        if peer.standing.is_allowed and not limited:
            # The memo speaks only where no gate before the policy could object: the same octets
            # passed them before, and the client's own two gates are behind us.
            memo = self._memo_stream if peer.is_stream else self._memo_datagram
            key = octets[2:]
            known = memo.find(key)
            if known is None and memo.old:
                known = memo.recall(key)
            if known is not None and known.generation == table.generation:
                answer = None
                if now < known.good_until:
                    answer = known.answer
                elif known.entry is not None and now < known.entry.expires_at:
                    answer = known.aged(known.entry, now)
                if answer is not None:
                    if known.turns is not None:
                        number = octets[1]
                        answer.tail = known.turns[number % len(known.turns)] or known.in_order(number)
                    return answer
        return self._pass_gates(octets, peer, table, limited, now)

    def answer_punted(self, octets: bytes, peer: Peer, asked_at: float, now: float) -> Outcome:
        """Answer a query that came to another plane at `asked_at`, and is within its client's rate there.

        That plane also looked it up, as far as it is for looking up: it counts for the cache once.
        """
        if peer.standing is UNKNOWN:
            peer.recognise(self._clients)
        table = self._table_of(peer)
        outcome = self._pass_gates(octets, peer, table, False, now, is_second_look=True)
        if type(outcome) is Ask:
            outcome.asked_at = asked_at
        return outcome

    def _pass_gates(
        self,
        octets: bytes,
        peer: Peer,
        table: PolicyTable,
        limited: bool,
        now: float,
        is_second_look: bool = False,
        is_audit: bool = False,
    ) -> Outcome:
        # Accept filter first: nothing behind it ever sees octets that are not one whole query.
        query = parse_query(octets)
        if isinstance(query, Malformed):
            return answer_unreadable(octets, query, peer.address, self.take_notify, limited=limited)
        # An audit's query passes the same gates; what becomes of it, its look-up included, is not counted.
        if query.options and not is_audit and self._is_audit(query.options):
            return counted_nowhere(self._pass_gates(octets, peer, table, limited, now, True, is_audit=True))
        # The client list before anything that costs: a stranger gets one small answer (EDE 18, RA=0).
        if not peer.standing.is_allowed:
            if limited:
                return Drop("rate_limit", qtype=query.qtype)  # REFUSED with its reason is larger than a query
            # Without a text: the query's address may be somebody else's, so the answer hardly outgrows it.
            prohibited = ((ExtendedError.PROHIBITED, ""),)
            return self._reply(query, peer, Rcode.REFUSED, ede=prohibited, ra=False)
        # The rate before the work: TC=1 costs a real client one TCP connection, a forged one nothing.
        if limited:
            return self._reply(query, peer, _NOERROR, truncated=True)
        # RFC 6891 §6.1.3: a version we do not speak leaves the rest of the query unread.
        if query.edns_version > 0:
            return self._reply(query, peer, Rcode.BADVERS)
        # Only the Internet class, only types that name data: nothing else may reach an upstream.
        if query.qclass != _IN:
            return self._reply(query, peer, Rcode.REFUSED)
        if query.qtype in META_TYPES:
            return self._reply(query, peer, META_TYPES[query.qtype])
        # Names of this site, then names that must not leave it, unless someone here serves them.
        local = self._local.find(query, self._forwarder.covers, table.is_filtering)
        if local is not None:
            return self._remember(
                query,
                peer,
                self._reply(
                    query,
                    peer,
                    local.rcode,
                    body=local.body,
                    ancount=local.ancount,
                    nscount=local.nscount,
                    aa=local.is_authoritative,
                ),
                math.inf if local.is_lasting else -math.inf,
            )
        # Policy before the cache: a name blocked a moment ago is blocked, whatever is remembered.
        verdict = table.judge_name(query.qname, now)
        action = verdict.action
        if action is not _PASSTHRU:
            if action is not _TCP_ONLY and action is not _LOCAL_DATA:
                return self._deny_name(query, peer, verdict, now)
            verdict = over_transport(peer, verdict)
            if verdict.action is not _PASSTHRU:
                return self._deny(query, peer, verdict, now)
        # RFC 8482: ANY gets one synthesized record, so no answer here amplifies.
        if query.qtype == _ANY:
            body = any_body(cap_s(verdict, now))
            return self._reply(query, peer, _NOERROR, body=body, ancount=1, verdict=verdict)
        return self._from_cache(query, peer, table, verdict, now, is_second_look)

    def _from_cache(
        self, query: Query, peer: Peer, table: PolicyTable, verdict: Verdict, now: float, is_second_look: bool
    ) -> Outcome:
        question = query.question
        entry = self._cache.lookup(question, now)
        if is_second_look:
            self._cache.uncount(entry, now)
        stale = None
        if entry is not None:
            if entry.response is not None:
                if now < entry.expires_at:
                    return self._from_entry(query, peer, table, verdict, entry, now)
                stale = entry
            if entry.failure is not None and now < entry.failed_until:
                # RFC 9520: a failure is an answer for a while, or an outage becomes a retry storm.
                if stale is not None:
                    return self._serve_stale(query, peer, table, verdict, stale, now)
                ede = ((int(ExtendedError.CACHED_ERROR), ""), entry.failure)
                return self._reply(query, peer, Rcode.SERVFAIL, source=_FROM_CACHE, ede=ede, verdict=verdict)
        if not query.flags & _RD:
            return self._reply(query, peer, Rcode.REFUSED, verdict=verdict)
        return ask_for(query, question, peer, verdict, table.generation, now, stale)

    # The asynchronous half.

    def resolve(self, ask: Ask, deliver: Deliver) -> None:
        """Ask the upstreams; `deliver` is called exactly once, at the latest when they time out."""
        if ask.query.options and self._is_audit(ask.query.options):
            deliver = deliver_uncounted(deliver)
        mark = mark_of(ask)
        turned_away = why_not(self, ask, mark)
        if turned_away is not None:
            deliver(ask, turned_away)
            return
        waiter = Waiter(self, ask, deliver, mark)
        self.waiting += 1
        if ask.stale is not None:
            waited_s = self._now() - ask.asked_at
            patience_s = max(STALE_ANSWER_AFTER_S - waited_s, 0.0)
            waiter.patience = self._call_later(patience_s, waiter.on_impatience)
        self._forwarder.ask(ask.question, waiter.on_result)

    def busy(self, ask: Ask, why: str) -> Respond:
        """SERVFAIL, because too many wait."""
        ede = ((int(ExtendedError.NETWORK_ERROR), why),)
        return self._reply(ask.query, ask.peer, Rcode.SERVFAIL, ede=ede, verdict=ask.verdict)

    def ask_for_target(self, led: Ask, done: Callable[[Answered | Failed], None]) -> None:
        """Ask for the name that a rule leads to; `done` is called exactly once."""
        self._forwarder.ask(led.question, done)

    def finish(self, ask: Ask, result: Answered | Failed) -> Outcome:
        """What the client gets of an upstream's answer or failure, by today's policy.

        Another `Ask` where a list's rule leads on to another name.
        """
        now = self._now()
        query = ask.query
        verdict = ask.verdict
        if ask.redirect is not None:
            return self._finish_redirect(ask, ask.redirect, result, now)
        table = self._table_of(ask.peer)
        last = self._finished
        if last is not None and last[0] is result and is_same_question(ask, last[1], table.generation):
            return last[2]  # one of a crowd that waited for the same
        if ask.generation != table.generation or now >= verdict.valid_until:
            verdict = over_transport(ask.peer, table.judge_name(query.qname, now))
            if verdict.is_blocked:
                return self._deny(query, ask.peer, verdict, now)
        if isinstance(result, Failed):
            if ask.stale is not None and now < ask.stale.stale_until:
                return self._serve_stale(query, ask.peer, table, verdict, ask.stale, now)
            return self._reply(
                query, ask.peer, Rcode.SERVFAIL, source=_FROM_UPSTREAM, ede=(result.ede,), verdict=verdict
            )
        response = result.response
        entry: CacheEntry | None = result.kept
        if entry is not None:
            assert entry.response is not None
            response = entry.response  # its TTLs are within the operator's bounds
            judgement = judgement_on(entry, query, table, verdict, now)
        else:
            judgement = table.judge_response(verdict, query.qname, query.qtype, response, now)
        body = response.body
        if judgement is not PASS:
            judgement = over_transport(ask.peer, judgement)
            body = age_body(response, 0, ttl_max=cap_s(judgement, now))
            if judgement.is_blocked:
                return self._deny(query, ask.peer, judgement, now, response, body)
        answer = self._reply_from(query, ask.peer, response, body, _FROM_UPSTREAM, judgement)
        if judgement is PASS and not query.options:
            self._finished = (result, ask, answer)
        return answer

    def _finish_redirect(
        self, ask: Ask, redirect: Redirect, result: Answered | Failed, now: float
    ) -> Respond | Drop:
        """The CNAME of a rule, with what upstreams said of its target."""
        table = self._table_of(ask.peer)
        if ask.generation != table.generation and (denied := denied_meanwhile(table, ask, redirect, now)):
            return self._deny_here(ask.query, ask.peer, denied[0], now, denied[1])
        response: Response | None = None
        if not isinstance(result, Failed):
            # The TTLs of what was kept are within the operator's bounds.
            response = result.response if result.kept is None else result.kept.response
        found = self._redirects.finish(table, ask.query, redirect, response, STALE_TTL_S, now)
        if found is None:
            ede = (result.ede,) if isinstance(result, Failed) else ()
            return self._reply(ask.query, ask.peer, Rcode.SERVFAIL, source=_FROM_UPSTREAM, ede=ede)
        return led_answer(ask.query, ask.peer, redirect, found, now, self._own)

    def answer_stale(self, ask: Ask) -> Outcome:
        """The stale answer that `ask` carries, by today's policy; SERVFAIL where it is too old by now."""
        now = self._now()
        assert ask.stale is not None
        if now >= ask.stale.stale_until:
            return self.servfail(ask)
        table = self._table_of(ask.peer)
        verdict = over_transport(ask.peer, table.judge_name(ask.query.qname, now))
        if verdict.is_blocked:
            return self._deny(ask.query, ask.peer, verdict, now)
        return self._serve_stale(ask.query, ask.peer, table, verdict, ask.stale, now)

    def servfail(self, ask: Ask) -> Respond:
        """SERVFAIL, when nothing better can be said."""
        return self._reply(ask.query, ask.peer, Rcode.SERVFAIL, source=_FROM_UPSTREAM)

    # Answers.

    def _from_entry(
        self, query: Query, peer: Peer, table: PolicyTable, verdict: Verdict, entry: CacheEntry, now: float
    ) -> Outcome:
        response = entry.response
        assert response is not None
        judgement = over_transport(peer, judgement_on(entry, query, table, verdict, now))
        age_s = int(now - entry.stored_at)
        capped_s = cap_s(judgement, now)
        body = age_body(response, age_s, ttl_max=capped_s)
        if judgement.is_blocked:
            return self._deny(query, peer, judgement, now, response, body)
        turning = entry.turning if self._rotates else None
        if turning is not None:
            body = turning.turned(body, query.octets[1])
        answer = self._reply_from(query, peer, response, body, _FROM_CACHE, judgement)
        good_until = min(entry.stored_at + age_s + 1, entry.expires_at)
        if capped_s is not None:
            # The whole seconds left become one fewer at this moment.
            good_until = min(good_until, judgement.valid_until - capped_s)
            return self._remember(query, peer, answer, good_until, None, turning)
        return self._remember(query, peer, answer, good_until, entry, turning)

    def _serve_stale(
        self, query: Query, peer: Peer, table: PolicyTable, verdict: Verdict, entry: CacheEntry, now: float
    ) -> Outcome:
        response = entry.response
        assert response is not None
        judgement = over_transport(peer, judgement_on(entry, query, table, verdict, now))
        body = stale_body(response, judgement, now)
        if judgement.is_blocked:
            # A stale name that is now blocked gets an ordinary policy answer.
            return self._deny(query, peer, judgement, now, response, body)
        if self._rotates and entry.turning is not None:
            body = entry.turning.turned(body, query.octets[1])
        errors = stale_errors(response)
        return self._reply_from(query, peer, response, body, Source.STALE, judgement, ede=errors)

    def _deny(
        self,
        query: Query,
        peer: Peer,
        verdict: Verdict,
        now: float,
        response: Response | None = None,
        body: bytes = b"",
    ) -> Outcome:
        """The policy's answer, behind what is kept of the chain in `body` (that of `response`, as of now)."""
        kept = None if response is None else kept_chain(response, body, verdict.kept_links)
        if verdict.action is _LOCAL_DATA:
            table = self._table_of(peer)
            if (start := self._redirects.start(table, query, verdict, kept, now)) is not None:
                redirect, found = start
                if found is not None:
                    return led_answer(query, peer, redirect, found, now, self._own)
                if query.recursion_desired:
                    generation = table.generation
                    return Ask(query, redirect.question, peer, verdict, generation, now, redirect=redirect)
        return self._deny_here(query, peer, verdict, now, kept, is_constant=response is None)

    def _deny_name(self, query: Query, peer: Peer, verdict: Verdict, now: float) -> Respond | Drop:
        """The policy's answer for a name that is denied itself: nearly always one made many times before."""
        if query.options and self._own.shape_denials(query, peer):
            return self._deny_here(query, peer, verdict, now, None)
        prepared = prepared_answer(query, verdict, now)
        if prepared is None or peer.is_stream or query.question_end > prepared.question_end_max:
            return self._deny_here(query, peer, verdict, now, None, is_constant=True)
        octets = query.octets
        question = octets[12 : query.question_end]
        tail = prepared.heads[query.flags & COPIED_FLAGS] + question + prepared.suffix
        answer = answer_with(tail, prepared.rcode, query.qtype, _FROM_POLICY, verdict)
        answer.tally = prepared.tally
        answer.prepared = prepared
        if not query.options and self._memo_datagram.is_asked_again(octets[2:]):
            return self._remember(query, peer, answer, verdict.valid_until - prepared.ttl_s)
        return answer

    def _deny_here(
        self,
        query: Query,
        peer: Peer,
        verdict: Verdict,
        now: float,
        kept: tuple[bytes, int] | None,
        *,
        is_constant: bool = False,
    ) -> Respond | Drop:
        limit = response_limit(query, peer.is_stream)
        own = self._own.structured_for(query), self._own.asked_by(query, peer)
        message = policy_answer(query, verdict, *own, limit=limit, now=now, kept=kept)
        if message is None:
            return Drop("policy", close=True, qtype=query.qtype, verdict=verdict)
        answer = Respond(message[2:], message[3] & 0x0F, query.qtype, _FROM_POLICY, verdict)
        assert verdict.match is not None
        # A name's own denial is constant until `valid_until` comes within its TTL; one for what an
        # upstream said lives no longer than that.
        constant_until = verdict.valid_until - verdict.match.rule.ttl_s if is_constant else -math.inf
        return self._remember(query, peer, answer, constant_until)

    def _remember(
        self,
        query: Query,
        peer: Peer,
        answer: Respond,
        good_until: float,
        entry: CacheEntry | None = None,
        turning: Turning | None = None,
    ) -> Respond:
        """Let the memo repeat `answer` until `good_until`, unless the client's options made it its own.

        With `entry`, whose body the answer holds, the memo may go on with other TTLs; with `turning` it gives
        the addresses in it in other orders.
        """
        if not query.options:
            memo = self._memo_stream if peer.is_stream else self._memo_datagram
            generation = self._table_of(peer).generation
            memo.consider(query, answer, generation, good_until, entry, turning)
        return answer
