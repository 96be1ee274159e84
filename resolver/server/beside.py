"""What runs beside the answers: the history of hits, audits, acknowledgements, look-alikes, the block page.

Knows: in which order they start and end, what each is told of a new policy.  Does not know: how one of them
works, queries.
Nothing here costs an answer: each has a thread or a child process of its own, and what breaks is a remark.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from resolver.audit.secret import new_secret
from resolver.audit.targets import Listening
from resolver.clock import Clock
from resolver.config.settings import Settings
from resolver.listeners.inheritance import Inheritance
from resolver.observe.facts import Facts
from resolver.policy.policy import Policy
from resolver.server.acknowledgements import Acknowledgements
from resolver.server.audits import Audits
from resolver.server.block_page import BlockPage
from resolver.server.hits import NO_HIT_HISTORY, Copied, HitHistory
from resolver.server.suggestion_sink import SuggestionSink
from resolver.server.suggestions import Suggestions

_log = logging.getLogger(__name__)


class Beside:
    """All of them, for one server."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        wall: Callable[[], float],
        believed_wall: Callable[[], float],
        counts: Callable[[], Copied],
        endpoints: Callable[[], Listening],
        inheritance: Inheritance,
    ) -> None:
        """`counts`: those of all planes now.  `endpoints`: where DNS is served.

        `inheritance`: sockets that are there already.
        """
        self._clock = clock
        self._policy: Policy | None = None
        self._defects: set[str] = set()
        self.audit_secret = new_secret()
        self._hits: HitHistory | None = None
        if settings.hits.days:
            self._hits = HitHistory(settings.state_dir, settings.hits.days, clock, counts, wall=believed_wall)
        self._block_page = BlockPage(settings.block_page, settings.state_dir, clock, inheritance=inheritance)
        self.audits = Audits(
            settings,
            self.audit_secret,
            clock,
            wall=believed_wall,
            endpoints=endpoints,
            nat64_prefixes=lambda: () if self._policy is None else self._policy.nat64_prefixes,
        )
        self.acknowledgements = Acknowledgements(
            settings.acknowledge, settings.state_dir, clock, wall=believed_wall, job=self.audits.job
        )
        self._suggestions: Suggestions | None = None
        if settings.suggestions.enabled:
            self._suggestions = Suggestions(
                settings.blocklist,
                settings.state_dir,
                settings.suggestions.queries_min,
                judged=self._is_judged,
                wall=wall,
                own_zones=frozenset((*settings.upstreams.forward, *settings.records)),
            )

    @property
    def suggestion_sink(self) -> SuggestionSink | None:
        """Who counts look-alikes; None: nobody does."""
        return None if self._suggestions is None else self._suggestions.sink

    @property
    def sockets(self) -> list[tuple[str, socket.socket]]:
        """Those of the page, and what they are for."""
        return self._block_page.sockets

    def tell_late(self, on_late: Callable[[], None]) -> None:
        """`on_late` is called when the page is served where it could not be at the start."""
        self._block_page.on_late = on_late

    def start_without_policy(self) -> None:
        """What people see at once."""
        self._block_page.start()

    async def start_before_queries(self) -> None:
        """What counts from the first query on."""
        if self._hits is not None:
            self._guarded("the history of hits", self._hits.start)
        if self._suggestions is not None:
            await self._suggestions.start()

    def start_behind_sockets(self) -> None:
        """What asks this server."""
        self.audits.start()
        self.acknowledgements.start()

    def starts(self) -> list[tuple[str, Callable[[], Awaitable[None] | None]]]:
        """How all but the page are started one by one, behind sockets, and what each is a topic of."""
        found: list[tuple[str, Callable[[], Awaitable[None] | None]]] = []
        if self._hits is not None:
            found.append(("hits", self._hits.start))
        if self._suggestions is not None:
            found.append(("defects", self._suggestions.start))
        return [*found, ("audit", self.audits.start), ("acknowledge", self.acknowledgements.start)]

    def expect(self, policy: Policy) -> None:
        """This policy was read, and is going to judge."""
        self._policy = policy
        if self._suggestions is not None:
            self._guarded("look-alikes", self._suggestions.follow_policy)

    def before(self, policy: Policy) -> None:
        """This policy judges in a moment: what was counted until now is of the one before."""
        hits = self._hits
        if hits is not None:
            self._guarded("the history of hits", lambda: hits.judge_by(policy.everybody))

    def after(self, policy: Policy) -> None:
        """This policy judges."""
        self._guarded("audits", self.audits.on_policy)
        self._guarded("acknowledgements", lambda: self.acknowledgements.on_policy(policy.everybody))
        self._guarded("the block page", lambda: self._block_page.publish(policy))

    def _guarded(self, part: str, act: Callable[[], object]) -> None:
        """A defect beside the answers keeps no policy from judging; it is logged and remarked on."""
        try:
            act()
        except Exception:
            self._defects.add(part)
            _log.exception("defect in %s", part)

    async def close(self) -> None:
        """End all but the page: nobody answers any more."""
        await asyncio.gather(self.audits.close(), self.acknowledgements.close())
        if self._hits is not None:
            await self._hits.close()
        if self._suggestions is not None:
            await self._suggestions.close()

    async def close_page(self) -> None:
        """End the page."""
        await self._block_page.stop()

    def remarks(self) -> dict[str, str]:
        """What a person should know; empty texts: nothing."""
        defects = f"a defect in {', '.join(sorted(self._defects))}; see the log" if self._defects else ""
        return {
            "defects": defects,
            "block_page": self._block_page.remark,
            "audit": self.audits.remark(),
            "acknowledge": self.acknowledgements.remark(),
            "hits": "" if self._hits is None else self._hits.remark(),
        }

    def told_of(self, facts: Facts) -> Facts:
        """The same facts, with those of what runs here."""
        if self._suggestions is not None:
            facts = replace(facts, suggestions=self._suggestions.counts)
        return replace(
            facts,
            hit_history=NO_HIT_HISTORY if self._hits is None else self._hits.facts(),
            audit=self.audits.facts(),
            acknowledged=self.acknowledgements.facts(),
            block_page=self._block_page.facts(),
        )

    def _is_judged(self, name: bytes) -> bool:
        """Whether the policy in force says something about a name; any thread may ask."""
        policy = self._policy
        if policy is None:
            return True
        verdict = policy.everybody.judge_name(name, self._clock.now())
        return verdict.match is not None or verdict.shadow is not None
