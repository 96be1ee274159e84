"""The pages: /metrics, /healthz, /readyz; `explain` and `dashboard` have their own.

Knows: paths and status codes.  Does not know: how anything is counted or decided, the server's names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from resolver.dashboard import BUILT
from resolver.observe.facts import Facts
from resolver.observe.metrics import page_for
from resolver.web import explain
from resolver.web.dashboard import front_routes
from resolver.web.explain import Explains
from resolver.web.hosts import HostCheck

_NO_STORE = {"cache-control": "no-store"}


def make_app(
    facts: Callable[[], Facts],
    *,
    hosts: Iterable[str] = (),
    explains: Explains | None = None,
    dashboard: Path = BUILT,
) -> Starlette:
    """The web application over one server's facts, which are read anew for each request that shows them.

    `hosts`: names that it is called by, besides addresses and names of one label.  `explains`: who says what
    is decided about a name; None: nobody.  `dashboard`: where its files are, if they were built.
    """
    scraping = asyncio.Lock()

    async def show_metrics(request: Request) -> Response:
        # One at a time: scrapers that pile up must not take the threads of the pool.
        async with scraping:
            # Rendering takes milliseconds, which no query should wait for.
            page = await asyncio.to_thread(
                page_for,
                facts(),
                accept=", ".join(request.headers.getlist("accept")),
                accept_encoding=", ".join(request.headers.getlist("accept-encoding")),
            )
        return Response(page.octets, headers={**page.headers, **_NO_STORE})

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        health = facts().health
        body: dict[str, object] = {"status": "ready" if health.is_ready else "not ready"}
        if not health.is_ready:
            body["reasons"] = dict(health.reasons)
        if health.remarks:
            body["remarks"] = dict(health.remarks)
        return JSONResponse(body, status_code=200 if health.is_ready else 503, headers=_NO_STORE)

    routes = [
        *front_routes(dashboard),
        Route("/metrics", show_metrics),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    if explains is not None:
        routes.append(Route(explain.PATH, explain.explain_page(explains)))
    return Starlette(
        routes=routes,
        middleware=[Middleware(HostCheck, names=hosts)],
    )
