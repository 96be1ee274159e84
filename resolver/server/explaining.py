"""Answers `GET /api/v1/explain`: what this server decides about a name, has of it and hears of it.

Knows: the policy in force, the cache, the forwarder, how much may be asked.  Does not know: HTTP, words.
Theory: it is a person who asks, a few times a second at most.  The explanation is made from the image that
serves, for this moment; the cache is looked at without a trace in its counts; upstreams are asked by the same
forwarder as clients' questions are, and whoever asks the same shares the answer.  Nothing here counts as a
query, an answer or a hit.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from datetime import UTC
from typing import Any

from resolver import __version__
from resolver.blocklist.entries import asked_name
from resolver.cache import AnyCache, CacheEntry
from resolver.changing.pausing import explained
from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.explain.deciding import Decider, address_or_none
from resolver.explain.explanation import Explanation
from resolver.explain.reading import qtype_from_text
from resolver.explain.server_part import cached_json, response_json
from resolver.flow.clients import Clients, RateLimiter
from resolver.flow.outcome import Source
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable
from resolver.publishing.paused_serving import Paused
from resolver.publishing.records_beside import records_beside
from resolver.server.parts import make_local_names, make_plan
from resolver.web.explain import Busy, NotReady
from resolver.wire.question import Question

ASKS_PER_S = 5
"""Explanations a second, all askers together: each costs the event loop a millisecond or two, and may ask an
upstream."""
DEFAULT_CLIENT = "127.0.0.1"
_ALL_ASKERS = b"\0\0\0\0"
"""All askers share one bucket."""


class LiveExplainer:
    """Explains by what a running server has."""

    def __init__(
        self,
        settings: Settings,
        cache: AnyCache,
        clock: Clock,
        *,
        engine: str,
        policy: Callable[[], Policy | None],
        forwarder: Callable[[], Forwarder | None],
        wall: Callable[[], float],
        paused: Callable[[], Paused | None] = lambda: None,
    ) -> None:
        """`policy`, `forwarder`: what is in force and asks now; None: not yet.

        `paused`: the pause in force; None: there is none.
        """
        self._settings = settings
        self._cache = cache
        self._now = clock.now
        self._engine = engine
        self._policy = policy
        self._forwarder = forwarder
        self._wall = wall
        self._paused = paused
        self._plan = make_plan(settings)
        self._local = make_local_names(settings)
        self._clients = Clients(settings.clients.allow)
        self._limiter = RateLimiter(ASKS_PER_S)

    async def explain(self, name: str, qtype_text: str, client: str | None, *, asks: bool) -> dict[str, Any]:
        """The document about a name or an address; `asks`: upstreams, too.

        Raises ValueError (an argument), `Busy`, `NotReady`.
        """
        if not self._limiter.takes(_ALL_ASKERS, self._now()):
            raise Busy(f"over {ASKS_PER_S} explanations a second")
        policy, forwarder = self._policy(), self._forwarder()
        if policy is None or forwarder is None:
            raise NotReady("the server is still starting")
        qtype = qtype_from_text(qtype_text)
        client = str(ipaddress.ip_address(client or DEFAULT_CLIENT))
        decider = self._decider(policy, client)
        address = address_or_none(name)
        if address is not None:
            explanation = decider.of_address(name, address, qtype, client)
            return self._document(explanation, policy, None, None)
        qname = asked_name(name)
        records = await asyncio.to_thread(records_beside, policy.image.path, qname)
        secret = {rule.id for rule in policy.everybody.lists if rule.is_ever_confidential}
        shown = tuple(entry for entry in records if entry.list not in secret)
        explanation = decider.of_name(name, qname, qtype, client, shown)
        now = self._now()
        table = policy.table_for(self._clients.standing(ipaddress.ip_address(client).packed).group)
        cached = cached_json(self._look_up, qname, qtype, table, now)
        upstream = None
        if asks and self._is_theirs(explanation):
            upstream = await self._ask(forwarder, Question(qname, qtype), table)
        return self._document(explanation, policy, cached, upstream)

    def _decider(self, policy: Policy, client: str) -> Decider:
        """As of this moment: dates may have passed since the table in force was made."""
        wall = self._wall()
        group = self._clients.standing(ipaddress.ip_address(client).packed).group
        table = PolicyTable(policy.image, policy.generation, wall, wall, group, policy.nat64_prefixes)
        blocklist = str(self._settings.blocklist)
        # Moments are told in UTC: the zone is for those who write days.
        return Decider(
            table, wall, self._plan, self._local, self._clients, blocklist, UTC, explained(self._paused())
        )

    def _look_up(self, question: Question) -> CacheEntry | None:
        now = self._now()
        entry = self._cache.lookup(question, now)
        self._cache.uncount(entry, now)
        return entry

    @staticmethod
    def _is_theirs(explanation: Explanation) -> bool:
        """Whether upstreams may be asked: not for what is answered here whatever the policy says."""
        return explanation.source != Source.LOCAL.value and explanation.is_client_allowed

    async def _ask(self, forwarder: Forwarder, question: Question, table: PolicyTable) -> dict[str, Any]:
        began = self._now()
        result: asyncio.Future[Answered | Failed] = asyncio.get_running_loop().create_future()

        def done(outcome: Answered | Failed) -> None:
            if not result.done():  # Whoever asked may have gone.
                result.set_result(outcome)

        forwarder.ask(question, done)
        outcome = await result
        now = self._now()
        took_ms = round((now - began) * 1000, 1)
        if isinstance(outcome, Failed):
            code, text = outcome.ede
            failure = {"reason": outcome.reason, "code": int(code), "text": text}
            return {"server": None, "took_ms": took_ms, "failure": failure}
        response = outcome.response
        return {
            "server": outcome.upstream.name,
            "took_ms": took_ms,
            "failure": None,
            **response_json(response, response.body, question, table, now),
        }

    def _document(
        self,
        explanation: Explanation,
        policy: Policy,
        cached: list[dict[str, Any]] | None,
        upstream: dict[str, Any] | None,
    ) -> dict[str, Any]:
        server = {
            "version": __version__,
            "engine": self._engine,
            "generation": policy.generation,
            "cached": cached or [],
            "upstream": upstream,
        }
        return {**explanation.for_others().as_json(), "server": server}
