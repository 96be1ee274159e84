"""The HTTP side of one server, put together: pages, API, tokens, what is wrong.

Knows: which part of the server each page is made of.  Does not know: what a page says, how HTTP is served.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from resolver.api.access import Need
from resolver.api.app import Api
from resolver.api.changing import Changing
from resolver.api.desk import Certificate, Desk, Listening
from resolver.api.refusal import Refusal, response_to
from resolver.api.token_file import TokenFile
from resolver.certificates.files import Source
from resolver.certificates.pair import Pair
from resolver.clock import Clock, TimerHandle
from resolver.config.settings import Settings
from resolver.dashboard import BUILT
from resolver.moments import iso_moment
from resolver.observe.facts import HTTP_REFUSALS, Facts, HttpFacts
from resolver.observe.problem import Standing
from resolver.observe.problems import Watch
from resolver.observe.tally import TallySnapshot
from resolver.observe.traffic import counted
from resolver.server.api_reading import Reader
from resolver.server.audit_log import Run
from resolver.server.http_tls import HttpTls
from resolver.server.traffic import Traffic
from resolver.web import WebServer, make_app
from resolver.web.dashboard import front_routes
from resolver.web.explain import Explains

_log = logging.getLogger("resolver.api")

LOOK_EVERY_S = 30.0
"""How often what is wrong is looked at while nobody asks, so that it is known since when it is."""


class Parts(Protocol):
    """What the HTTP side needs of a server."""

    @property
    def generation(self) -> int:
        """Of the policy that judges; 0: there is none yet."""

    def facts(self) -> Facts:
        """Everything at this moment."""

    def tallies(self) -> TallySnapshot:
        """Outcomes of queries, of both planes."""

    def listening(self) -> Listening:
        """Where it is reached."""

    def certificates(self) -> Sequence[tuple[Source, Pair]]:
        """Those that encrypted listeners show."""

    def audits(self) -> Sequence[Run]:
        """The last ones, the newest first."""


class HttpSide:
    """Pages and API of one server."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        clock: Clock,
        *,
        wall: Callable[[], float],
        explains: Explains,
        on_drop: Callable[[str], None],
        records: Callable[[int], Sequence[bytes]] | None,
        changing: Changing,
    ) -> None:
        """`wall`: Unix seconds, as far as they can be believed.  `on_drop`: counts lost connections.

        `changing`: carries out what the API changes.  `records`: gives the last query records; None: nobody
        wants any.
        """
        self._settings = settings
        self._parts = parts
        self._clock = clock
        self._wall = wall
        self._on_drop = on_drop
        self._refused: Counter[str] = Counter()
        self._watch = Watch()
        self.tls = HttpTls(settings, wall)
        self._tokens = TokenFile(settings.http.tokens_file, os.environ, clock.now)
        self._reader = Reader(
            settings.blocklist,
            settings.state_dir,
            generation=lambda: parts.generation,
            wall=wall,
            now=clock.now,
        )
        self.traffic = Traffic(
            settings.state_dir if settings.hits.days else None,
            clock,
            lambda: counted(parts.tallies()),
            wall=wall,
        )
        self.desk = Desk(
            facts=parts.facts,
            problems=self._problems,
            counted=lambda: counted(parts.tallies()),
            wall=wall,
            now=clock.now,
            started_at=wall(),
            listening=parts.listening,
            explains=explains,
            reads=self._reader,
            changing=changing,
            state_dir=settings.state_dir,
            blocklist=settings.blocklist,
            changes=settings.http.changes,
            has_tokens=lambda: self._tokens.has_any,
            certificates=self._certificates,
            traffic=self.traffic.steps,
            records=records,
            audits=lambda: [_told(run) for run in parts.audits()],
            has_suggestions=settings.suggestions.enabled,
        )
        self.api = Api(
            self.desk,
            self._tokens,
            self._count_refused,
            event_streams_max=settings.limits.http_event_streams_max,
        )
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to look: queries come from now on."""
        self.traffic.start()
        self._look()

    def make_server(self, bound: socket.socket) -> WebServer:
        """The web server on a listening socket."""
        settings = self._settings
        app = make_app(
            self._parts.facts,
            hosts=settings.http.hosts,
            routes=[*front_routes(BUILT), *self.api.routes],
            objects=self._objects if settings.http.metrics_token else None,
            may_read=self.api.guard.may_read,
            on_refused=self._count_refused,
        )
        return WebServer(
            app,
            bound,
            connections_max=settings.limits.http_connections_max,
            on_drop=self._on_drop,
            on_refused=self._count_refused,
            tls=self.tls.context if self.tls.is_on else None,
        )

    async def close(self) -> None:
        """End what runs for pages."""
        if self._timer is not None:
            self._timer.cancel()
        await self.traffic.close()
        await self.api.events.close()
        await self.tls.close()
        await self._reader.close()

    def told_of(self, facts: Facts) -> Facts:
        """The same facts, with those of HTTP."""
        return replace(
            facts,
            http=HttpFacts(
                refused={reason: self._refused[reason] for reason in HTTP_REFUSALS},
                event_streams=self.api.events.open,
                certificates=self.tls.facts(),
                tokens_trouble=self._tokens.trouble,
            ),
        )

    def _count_refused(self, reason: str) -> None:
        assert reason in HTTP_REFUSALS, reason
        self._refused[reason] += 1

    def _problems(self) -> Sequence[Standing]:
        return self._watch.look(self._parts.facts(), self._clock.now(), self._wall())

    def _look(self) -> None:
        """Look at what is wrong although nobody asks."""
        try:
            self._problems()
        except Exception:
            _log.exception("defect while looking at what is wrong")
        self._timer = self._clock.call_later(LOOK_EVERY_S, self._look)

    def _objects(self, request: Request) -> Response | None:
        """Why a request for a page of monitoring is not answered."""
        try:
            self.api.guard.caller(request, Need.TOKEN)
        except Refusal as refusal:
            return response_to(refusal)
        return None

    def _certificates(self) -> list[Certificate]:
        wall = self._wall()
        return [
            Certificate(
                use,
                str(source.certificate),
                (*pair.names, *map(str, pair.addresses)),
                pair.starts_at,
                pair.ends_at,
                pair.when_not(wall) or "; ".join(pair.remarks),
            )
            for use, served in (("tls", self._parts.certificates()), ("http.tls", self.tls.served))
            for source, pair in served
        ]


def _told(run: Run) -> dict[str, Any]:
    return {
        "ended_at": iso_moment(run.ended_at),
        "cause": run.cause,
        "result": run.result,
        "questions": run.questions,
        "counts": run.counts,
        "reason": run.reason or None,
    }
