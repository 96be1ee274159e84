"""Endpoints -> what the web server routes requests by, and the description of them all.

Knows: starlette, how a refusal and a defect are told.  Does not know: any endpoint.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resolver.api.access import Guard, Need
from resolver.api.endpoint import BASE, Call, Endpoint, body_of, query_of
from resolver.api.refusal import Kind, Refusal, json_response, response_to
from resolver.problems import show

NO_STORE = {"cache-control": "no-store"}

_log = logging.getLogger("resolver.api")

OnRefused = Callable[[str], None]


def routes_of(endpoints: Iterable[Endpoint], guard: Guard, on_refused: OnRefused) -> list[BaseRoute]:
    """A route for each path, and one for all that there is not.

    `on_refused`: called with one of `facts.HTTP_REFUSALS` for what is refused behind the guard.
    """
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    routes: list[BaseRoute] = [
        Route(BASE + path, _page(rows, guard, on_refused), methods=_METHODS) for path, rows in by_path.items()
    ]
    nothing = _page([], guard, on_refused)
    return [
        *routes,
        Route(BASE, nothing, methods=_METHODS),
        Route(f"{BASE}/{{rest:path}}", nothing, methods=_METHODS),
    ]


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"]
"""All of them lead here, so that every refusal looks the same."""


def _page(rows: Sequence[Endpoint], guard: Guard, on_refused: OnRefused) -> Callable[[Request], Any]:
    """What answers one path."""
    by_method = {row.method: row for row in rows}
    allowed = sorted({*by_method, *(["HEAD"] if "GET" in by_method else [])})

    async def page(request: Request) -> Response:
        endpoint = by_method.get("GET" if request.method == "HEAD" else request.method)  # type: ignore[call-overload]
        try:
            # Who may not read is not told what there is.
            caller = guard.caller(request, Need.READ if endpoint is None else endpoint.need)
            if not rows:
                raise Refusal(Kind.NOT_FOUND, "there is no such path", remedy=f"See {BASE}/openapi.json.")
            if endpoint is None:
                said = f"{request.method[:20]} does not exist here; {', '.join(allowed)} do"
                return response_to(Refusal(Kind.METHOD, said), {"allow": ", ".join(allowed)})
            return await _answer(endpoint, request, caller)
        except Refusal as refusal:
            if refusal.kind in _COUNTED:
                on_refused(_COUNTED[refusal.kind])
            return response_to(refusal)
        except Exception:
            _log.exception("defect in the API", extra={"path": request.url.path})
            return response_to(Refusal(Kind.DEFECT, "the log has it", remedy="Please report it."))

    return page


_COUNTED = {Kind.TOO_LARGE: "body", Kind.TOO_SLOW: "body", Kind.RATE: "busy", Kind.BUSY: "busy"}
"""Those that the guard does not count."""


async def _answer(endpoint: Endpoint, request: Request, caller: Any) -> Response:
    path = {name: str(value) for name, value in request.path_params.items()}
    for name, part in endpoint.parts.items():
        if not re.fullmatch(part.pattern, path[name]):
            raise Refusal(Kind.NOT_FOUND, f"{show(path[name])} names nothing here")
    query = query_of(request, endpoint.query)
    body = None if endpoint.body is None else await body_of(request, endpoint.body)
    found = await endpoint.answer(Call(request, caller, path, query, body))
    if isinstance(found, Response):
        return found
    content = found.model_dump(mode="json", by_alias=True) if isinstance(found, BaseModel) else found
    return json_response(content, endpoint.status, NO_STORE)
