"""Which names this server is called by: what else a request asks for is not answered.

Knows: the Host header.  Does not know: the pages.
Theory: a page from anywhere can give its own name the address of this server (DNS rebinding), and then read
what is here by a browser that may reach it.  The browser says that name in `Host`.  Addresses, `localhost`
and names of one label (a container's, a machine's in its own domain) cannot be registered by a stranger;
other names the operator lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MISDIRECTED_REQUEST = 421
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
"""A name, an IPv4 address, or an IPv6 address in brackets; perhaps a port (RFC 9110 §7.2)."""
REFUSAL = "this server is not called by that name; http.hosts in its settings lists more\n"


def is_own_host(host: str, names: Iterable[str]) -> bool:
    """Whether a request for `host` is meant for this server; `names`: those that the operator lists."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].strip("[]").rstrip(".").lower()
    if not name:
        return False
    try:
        ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(".localhost") or name in names
    return True


class HostCheck:
    """Stands before every page, those that do not exist too."""

    def __init__(
        self, app: ASGIApp, names: Iterable[str], on_refused: Callable[[str], None] = lambda reason: None
    ) -> None:
        """`on_refused`: called with `host` for each request that is not answered."""
        self._app = app
        self._names = frozenset(names)
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 (RFC 9110 §15.5.20) to what is meant for another; HTTP/1.0 may leave `Host` out."""
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if not all(is_own_host(host, self._names) for host in hosts):
                self._on_refused("host")
                await PlainTextResponse(REFUSAL, MISDIRECTED_REQUEST)(scope, receive, send)
                return
        await self._app(scope, receive, send)
