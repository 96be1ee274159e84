"""`GET /api/v1/explain`: what is decided about a name, for people on this machine.

Knows: who may ask, which parameters there are, status codes.  Does not know: how anything is decided.
Theory: an explanation says more than an answer does, and may ask upstreams: so it is for loopback alone, also
where metrics are scraped over a network.  A proxy on this machine speaks for somebody else; a browser may
speak for a page from anywhere (its `Sec-Fetch-Site` says so; what it could read, `web.hosts` guards).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PATH = "/api/v1/explain"
PARAMETERS = ("name", "type", "client", "ask")
TEXT_CHARACTERS_MAX = 2_048
"""A name has 255 octets at most, each up to four characters where it is escaped."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What a proxy adds."""
FROM_ELSEWHERE = ("cross-site", "same-site")


class Busy(Exception):
    """Too many ask; the text says how many may."""


class NotReady(Exception):
    """There is nothing to explain by yet; the text says why."""


class Explains(Protocol):
    """Who answers."""

    def __call__(
        self, name: str, qtype_text: str, client: str | None, *, asks: bool
    ) -> Awaitable[dict[str, Any]]:
        """The document.  Raises ValueError (an argument), `Busy`, `NotReady`."""


def explain_page(explains: Explains) -> Callable[[Request], Awaitable[Response]]:
    """The page over what `explains`."""

    async def page(request: Request) -> Response:
        refusal = why_refused(request.client.host if request.client else "", request.headers)
        if refusal:
            return _failed(403, refusal)
        parameters = request.query_params
        unknown = [key for key in parameters if key not in PARAMETERS]
        name = parameters.get("name", "")
        if unknown or not name or len(str(request.url.query)) > 4 * TEXT_CHARACTERS_MAX:
            said = f"unknown parameter {unknown[0][:40]!r}" if unknown else "needs one name"
            return _failed(400, f"{said}; known: {', '.join(PARAMETERS)}")
        asks = parameters.get("ask", "1") != "0"
        try:
            document = await explains(name, parameters.get("type", "A"), parameters.get("client"), asks=asks)
        except ValueError as error:
            return _failed(400, str(error))
        except Busy as error:
            return _failed(429, str(error), {"retry-after": "1"})
        except NotReady as error:
            return _failed(503, str(error), {"retry-after": "1"})
        return JSONResponse(document, headers={"cache-control": "no-store"})

    return page


def why_refused(address: str, headers: Mapping[str, str]) -> str:
    """Why this client is told nothing; empty: it may ask."""
    try:
        here = ip_address(address)
    except ValueError:
        return "only this machine may ask"
    mapped = getattr(here, "ipv4_mapped", None)
    if not (mapped or here).is_loopback:
        return "only this machine may ask"
    if any(header in headers for header in FORWARDED):
        return "only this machine may ask, not who comes through a proxy on it"
    if headers.get("sec-fetch-site", "") in FROM_ELSEWHERE:
        return "no page of another site may ask"
    return ""


def _failed(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        {"error": why}, status_code=status, headers={"cache-control": "no-store", **(headers or {})}
    )
