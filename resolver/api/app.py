"""The API of one server: all its endpoints, its guard, its streams of events, and its description.

Knows: which files have endpoints.  Does not know: what any of them answers, sockets.
Whoever has more endpoints (those that change something) hands a list of rows in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from starlette.routing import BaseRoute

from resolver.api.access import Guard
from resolver.api.change_pages import change_endpoints
from resolver.api.description import describe
from resolver.api.desk import Desk
from resolver.api.endpoint import Endpoint
from resolver.api.events import Events
from resolver.api.figures_pages import figures_endpoints
from resolver.api.history_pages import history_endpoints
from resolver.api.policy_pages import policy_endpoints
from resolver.api.proof_pages import proof_endpoints
from resolver.api.routes import routes_of
from resolver.api.server_pages import server_endpoints
from resolver.api.token_file import TokenFile

API_VERSION = "1.0"
"""Raised when something is added; what is there stays as it is as long as the path says `v1`."""


class Api:
    """All of it."""

    def __init__(
        self,
        desk: Desk,
        tokens: TokenFile,
        on_refused: Callable[[str], None],
        *,
        event_streams_max: int,
        more: Iterable[Endpoint] = (),
    ) -> None:
        """`on_refused`: called with one of `facts.HTTP_REFUSALS`.  `more`: further endpoints."""
        self.tokens = tokens
        self.guard = Guard(tokens, desk.now, on_refused)
        self.events = Events(desk, tokens, on_refused, most=event_streams_max)
        self.endpoints: list[Endpoint] = [
            *server_endpoints(desk, lambda: self.description),
            self.events.endpoint(),
            *policy_endpoints(desk),
            *figures_endpoints(desk),
            *proof_endpoints(desk),
            *history_endpoints(desk),
            *change_endpoints(desk.changing),
            *more,
        ]
        self._on_refused = on_refused

    @property
    def routes(self) -> list[BaseRoute]:
        """What the web server routes by."""
        return routes_of(self.endpoints, self.guard, self._on_refused)

    @cached_property
    def description(self) -> dict[str, Any]:
        """OpenAPI 3.1."""
        return describe(self.endpoints, API_VERSION)


def description_of_all() -> dict[str, Any]:
    """The description of the API, without a server."""
    tokens = TokenFile(None, {}, lambda: 0.0)
    return Api(Desk(), tokens, lambda reason: None, event_streams_max=1).description
