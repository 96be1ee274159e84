"""What every answer has to say to browsers, and which bodies no page reads.

Knows: headers of security, lengths of bodies.  Does not know: the pages.
Theory: a page says by itself what a browser may do with it, where that is more than nothing: the others are
no documents, may load nothing, stand in no frame, and are nobody's but this server's.  A body that is longer
than any page takes is refused by its length, before it is read; one that comes where none belongs is refused,
for two programs could take its octets for different things.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_OCTETS_MAX: Final = 1 << 20
"""Of any request; what reads one counts, too, for not each says beforehand how long it is."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Set where the page has no other value."""

_WITHOUT_BODY: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "DELETE"))


class Manners:
    """Stands before every page."""

    def __init__(self, app: ASGIApp, on_refused: Callable[[str], None] = lambda reason: None) -> None:
        """`on_refused`: called with `body` for each request that is not answered."""
        self._app = app
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if its body may be."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_manners(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if status := _refusal_of(scope):
            self._on_refused("body")
            headers = {"connection": "close", "cache-control": "no-store"}
            refused = PlainTextResponse("this body is not read\n", status, headers)
            await refused(scope, receive, send_with_manners)
            return
        await self._app(scope, receive, send_with_manners)


def _refusal_of(scope: Scope) -> int:
    """The status of a request whose body is not read; 0: it may have the one it has."""
    length, is_chunked = 0, False
    for name, value in scope["headers"]:
        if name == b"content-length":
            # The library has read it as a number, and refused two that differ.
            length = max(length, int(value))
        elif name == b"transfer-encoding":
            is_chunked = True
    if scope["method"] in _WITHOUT_BODY and (length or is_chunked):
        return 400
    return 413 if length > BODY_OCTETS_MAX else 0
