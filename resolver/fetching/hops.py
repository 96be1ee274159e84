"""A URL -> the reply at the end of its redirects, each hop judged like the first.

Knows: GET, conditions, redirects, what HTTP errors mean to a download.  Does not know: what the body is.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import urldefrag, urljoin

import httpcore

from resolver import __version__
from resolver.blocklist.access import Login
from resolver.blocklist.downloads import Download, split_url
from resolver.fetching.access import Secrets
from resolver.fetching.outcome import FetchFailed, Result
from resolver.problems import show

TOKEN_OCTETS_MAX = 1 << 16
"""Longest answer to a login."""
REDIRECTS_MAX = 5
"""Hops after the first URL; lists on code hosts need two."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADERS = {
    "User-Agent": f"exchange-resolver/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, identity",
}


class Clients(NamedTuple):
    """Connections to the list's own server, which may be shown a certificate, and to all others."""

    own: httpcore.AsyncConnectionPool
    others: httpcore.AsyncConnectionPool


async def post_for_token(
    clients: Clients, login: Login, body: bytes, download: Download, *, idle_s: float
) -> bytes:
    """Send a login; the answer's octets.  Raises FetchFailed; a redirect is one."""
    _check_scheme(login.url, download, is_first=True)
    headers = {**_HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), idle_s)
    try:
        async with clients.own.stream(
            "POST", login.url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
        ) as reply:
            if reply.status not in (200, 201):
                raise FetchFailed(Result.HTTP_STATUS, f"login: status {reply.status}")
            return await read_small(reply, TOKEN_OCTETS_MAX, "the login's answer")
    except httpcore.TimeoutException:
        raise FetchFailed(Result.TIMEOUT, f"login: no data for {idle_s:g} s") from None
    except httpcore.ConnectError as error:
        raise FetchFailed(Result.CONNECT, f"login: no trusted connection: {error}") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchFailed(Result.TRUNCATED, f"login: the connection broke off: {error}") from None


async def read_small(reply: httpcore.Response, octets_max: int, what: str) -> bytes:
    """A whole body that is small and unpacked.  Raises FetchFailed."""
    kept = bytearray()
    coding = header(reply, b"content-encoding").lower()
    unpacker = zlib.decompressobj(wbits=31) if coding in ("gzip", "x-gzip") else None
    async for octets in reply.aiter_stream():
        try:
            kept += octets if unpacker is None else unpacker.decompress(octets, octets_max + 1 - len(kept))
        except zlib.error as error:
            raise FetchFailed(Result.TRUNCATED, f"{what} is damaged: {error}") from None
        if len(kept) > octets_max:
            raise FetchFailed(Result.TOO_LARGE, f"{what} has over {octets_max:,} bytes")
    return bytes(kept)


@contextlib.asynccontextmanager
async def following(
    clients: Clients,
    url: str,
    conditions: Mapping[str, str],
    download: Download,
    secrets: Secrets,
    *,
    idle_s: float,
) -> AsyncIterator[httpcore.Response]:
    """GET: a reply with status 200, or 304 if there are conditions.  Raises FetchFailed, in its body too.

    Only the first request carries `secrets`, and only to the list's own server: whoever can redirect it
    could have them sent to himself.
    """
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), idle_s)
    try:
        for hops in range(REDIRECTS_MAX + 1):
            _check_scheme(url, download, is_first=hops == 0)
            headers = {**_HEADERS, **conditions, **secrets.headers_for(url, is_first=hops == 0)}
            client = clients.own if hops == 0 and secrets.is_for(url) else clients.others
            async with client.stream(
                "GET", urldefrag(url).url, headers=list(headers.items()), extensions={"timeout": timeouts}
            ) as reply:
                if reply.status in _REDIRECTS:
                    url = _next_url(url, reply)
                    continue
                if reply.status != 200 and not (reply.status == 304 and conditions):
                    reason = reply.extensions.get("reason_phrase", b"").decode("ascii", "replace")[:100]
                    raise FetchFailed(Result.HTTP_STATUS, f"status {reply.status} {reason}".rstrip())
                yield reply
                return
        raise FetchFailed(Result.REDIRECT, f"more than {REDIRECTS_MAX} redirects")
    except httpcore.TimeoutException:
        raise FetchFailed(Result.TIMEOUT, f"no data for {idle_s:g} s") from None
    except httpcore.ConnectError as error:
        # The address answered, so what failed is TLS.
        raise FetchFailed(Result.CONNECT, f"no trusted connection: {error}") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchFailed(Result.TRUNCATED, f"the connection broke off: {error}") from None


def header(reply: httpcore.Response, name: bytes) -> str:
    """A header's value, or an empty text; `name` in lower case."""
    for key, value in reply.headers:
        if key.lower() == name:
            return bytes(value).decode("latin-1").strip()
    return ""


def _next_url(url: str, reply: httpcore.Response) -> str:
    location = header(reply, b"location")
    try:
        following_url = urljoin(url, location)
        if not location or "://" not in following_url:
            raise ValueError(f"to {show(location)}")
        split_url(following_url)
    except ValueError as error:
        raise FetchFailed(Result.REDIRECT, f"redirected to where no list may come from: {error}") from None
    return following_url


def _check_scheme(url: str, download: Download, *, is_first: bool) -> None:
    if split_url(url).scheme == "http" and not download.may_use_http:
        where = "" if is_first else "redirected "
        raise FetchFailed(Result.REDIRECT, f"{where}to http://, where anyone on the way can change it")
