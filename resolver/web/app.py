"""The pages: /metrics, /healthz, /readyz; and whatever others are handed in.

Knows: paths and status codes.  Does not know: how anything is counted or decided, the server's names, who may
ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from resolver.observe.facts import Facts
from resolver.observe.metrics import page_for
from resolver.web.hosts import HostCheck
from resolver.web.manners import Manners

FRONT_PAGE = """exchange-resolver

/metrics   for Prometheus
/healthz   200 while the process answers
/readyz    200 when the policy is loaded and the sockets are bound, else 503 and why
/api/v1    the API; /api/v1/openapi.json describes it
"""

_NO_STORE = {"cache-control": "no-store"}


class _JsonLine(JSONResponse):
    """JSON that ends a terminal's line."""

    def render(self, content: object) -> bytes:
        return super().render(content) + b"\n"


Page = Callable[[Request], Awaitable[Response]]
Objects = Callable[[Request], Response | None]
"""Why a request for a page of monitoring is not answered; None: it is."""
OnRefused = Callable[[str], None]


def make_app(
    facts: Callable[[], Facts],
    *,
    hosts: Iterable[str] = (),
    routes: Sequence[BaseRoute] = (),
    objects: Objects | None = None,
    may_read: Callable[[Request], bool] = lambda request: False,
    on_refused: OnRefused = lambda reason: None,
) -> Starlette:
    """The web application over one server's facts, which are read anew for each request that shows them.

    `hosts`: names that it is called by, besides addresses and names of one label.  `routes`: of further
    pages; the first that fits answers, so one for `/` takes the front page's place.  `objects`: who says that
    monitoring may not ask; None: it may.  `may_read`: whether somebody may see who does what; strangers are
    told what state the server is in.  `on_refused`: called with one of `facts.HTTP_REFUSALS`.
    """
    scraping = asyncio.Lock()

    async def front(request: Request) -> Response:
        return PlainTextResponse(FRONT_PAGE)

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
        return _JsonLine({"status": "alive"}, headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        health = facts().health
        body: dict[str, object] = {"status": "ready" if health.is_ready else "not ready"}
        if not health.is_ready:
            body["reasons"] = dict(health.reasons)
        if health.remarks:
            told = {} if may_read(request) else health.outside
            body["remarks"] = {topic: told.get(topic, said) for topic, said in health.remarks.items()}
        return _JsonLine(body, status_code=200 if health.is_ready else 503, headers=_NO_STORE)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse(f"{error.detail.lower()}\n", error.status_code, error.headers)

    async def defect(request: Request, error: Exception) -> Response:
        return PlainTextResponse("a defect of the program; the log has it\n", 500, _NO_STORE)

    def guarded(page: Page) -> Page:
        async def answer(request: Request) -> Response:
            objection = None if objects is None else objects(request)
            return objection or await page(request)

        return answer

    return Starlette(
        routes=[
            *routes,
            Route("/", front),
            Route("/metrics", guarded(show_metrics)),
            Route("/healthz", guarded(healthz)),
            Route("/readyz", guarded(readyz)),
        ],
        exception_handlers={HTTPException: refuse, Exception: defect},
        middleware=[
            Middleware(Manners, on_refused=on_refused),
            Middleware(HostCheck, names=hosts, on_refused=on_refused),
        ],
    )
