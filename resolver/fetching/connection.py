"""HTTP connections to checked addresses only.

Knows: how to make httpcore connect to the very address that was judged.  Does not know: what is asked
there.
Theory: a name is resolved here, once, each address is judged, and the socket is opened to one that
passed; nothing asks for the name again, so an answer that changes between the check and the
connection (DNS rebinding) changes nothing.  Host and SNI stay the name's, so the certificate is its own.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import httpcore

from resolver.fetching.addresses import Address, is_on_the_internet
from resolver.fetching.outcome import FetchFailed, Result

CONNECT_S = 5.0
"""For one address of several: one that drops packets must not eat the whole time."""
ADDRESSES_TRIED_MAX = 6


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections for httpcore."""

    def __init__(self, resolve: Callable[[str], Awaitable[list[Address]]], *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that may be used and answers.  Raises FetchFailed."""
        found = await self._resolve(host)
        usable = [address for address in found if self._allow_private or is_on_the_internet(address)]
        if not usable:
            shown = ", ".join(map(str, found[:4]))
            raise FetchFailed(
                Result.ADDRESS, f"{host} is at {shown}: not on the Internet (allow_private: true permits it)"
            )
        reasons = []
        for address in usable[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._sockets.connect_tcp(
                    str(address), port, timeout=min(timeout or CONNECT_S, CONNECT_S)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                reasons.append(f"{address}: {error or 'no answer'}")
        raise FetchFailed(Result.CONNECT, f"cannot connect to {host} port {port}: {'; '.join(reasons)}")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: no list is behind a socket of this machine."""
        raise FetchFailed(Result.ADDRESS, "lists do not come from local sockets")

    async def sleep(self, seconds: float) -> None:
        """See httpcore; it sleeps between its own retries, of which we want none."""
        await self._sockets.sleep(seconds)


def default_tls() -> ssl.SSLContext:
    """Trust as this machine does; where it has no certificates at all, as Mozilla does."""
    context = ssl.create_default_context()
    folder = ssl.get_default_verify_paths().capath
    is_empty = folder is None or not any(Path(folder).iterdir())
    if not context.cert_store_stats()["x509_ca"] and is_empty:
        return httpcore.default_ssl_context()
    return context
