"""An API without a server, and requests to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from resolver.api.app import Api
from resolver.api.desk import Desk
from resolver.api.token_file import TokenFile
from resolver.api.tokens import ENVIRONMENT, Role, line_of
from resolver.web import make_app

TOKENS = {role: f"xr_{role.word}" for role in Role}
"""Of `reader`, `editor` and `approver`, by role."""
ENVIRON = {ENVIRONMENT: ";".join(line_of(role.word, role, token) for role, token in TOKENS.items())}


class Made:
    """The API of a desk, on a clock that stands still until it is moved."""

    def __init__(
        self,
        *,
        tokens: dict[str, str] | None = None,
        file: Path | None = None,
        event_streams_max: int = 2,
        **desk: Any,
    ) -> None:
        self.at = 1_000.0
        self.refused: Counter[str] = Counter()
        self.desk = Desk(**{"now": lambda: self.at, "wall": lambda: 1_796_000_000.0, **desk})
        self.tokens = TokenFile(file, ENVIRON if tokens is None else tokens, lambda: self.at)
        self.api = Api(self.desk, self.tokens, self.count, event_streams_max=event_streams_max)
        self.app = make_app(
            self.desk.facts, routes=self.api.routes, may_read=self.api.guard.may_read, on_refused=self.count
        )

    def count(self, reason: str) -> None:
        self.refused[reason] += 1

    def client(self, address: str = "127.0.0.1", host: str = "localhost") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(address, 40_000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        address: str = "127.0.0.1",
        role: Role | None = None,
        headers: dict[str, str] | None = None,
        **sent: Any,
    ) -> httpx.Response:
        shown = {} if role is None else {"authorization": f"Bearer {TOKENS[role]}"}

        async def fetch() -> httpx.Response:
            async with self.client(address) as client:
                return await client.request(method, path, headers={**shown, **(headers or {})}, **sent)

        return asyncio.run(fetch())


def ask(
    path: str, *, address: str = "127.0.0.1", headers: dict[str, str] | None = None, **desk: Any
) -> httpx.Response:
    """One request to an API made for it."""
    return Made(**desk).ask(path, address=address, headers=headers)
