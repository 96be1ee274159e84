"""A URL -> the reply at the end of its redirects, each hop judged like the first.

Knows: GET, conditions, redirects, what HTTP errors mean to a download.  Does not know: what the body is.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urldefrag, urljoin

import httpcore

from resolver import __version__
from resolver.blocklist.downloads import Download, split_url
from resolver.fetching.outcome import FetchFailed, Result
from resolver.problems import show

REDIRECTS_MAX = 5
"""Hops after the first URL; lists on code hosts need two."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADERS = {
    "User-Agent": f"exchange-resolver/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, identity",
}


@contextlib.asynccontextmanager
async def following(
    client: httpcore.AsyncConnectionPool,
    url: str,
    conditions: Mapping[str, str],
    download: Download,
    *,
    idle_s: float,
) -> AsyncIterator[httpcore.Response]:
    """GET: a reply with status 200, or 304 if there are conditions.  Raises FetchFailed, in its body too."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), idle_s)
    try:
        for hops in range(REDIRECTS_MAX + 1):
            _check_scheme(url, download, is_first=hops == 0)
            headers = {**_HEADERS, **conditions}
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
