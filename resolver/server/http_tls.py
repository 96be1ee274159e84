"""Encryption of `listen.http`: its certificate, its clients' authorities, read again when they change.

Knows: the settings it is made of, what is said while nothing can be served.  Does not know: sockets, pages,
what makes a certificate good (`certificates`).
Theory: nobody's query may wait for the page of a monitor.  Files that cannot be used at the start keep HTTP
alone from being served, loudly, and are looked at until they can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence

from resolver.certificates.contexts import HTTP_PROTOCOLS, CannotServe, whole_context
from resolver.certificates.files import Source, read_certificates_file
from resolver.certificates.keeper import LOOK_EVERY_S, CertificateKeeper, CertificatesRefused
from resolver.certificates.pair import Pair
from resolver.config.settings import Settings
from resolver.observe.facts import CertificateFacts

_log = logging.getLogger(__name__)


class HttpTls:
    """The TLS of one server's HTTP."""

    def __init__(self, settings: Settings, wall: Callable[[], float]) -> None:
        http = settings.http
        self._sources = http_sources(settings)
        self._client_ca = http.client_ca
        beside = () if http.client_ca is None else (http.client_ca,)
        self._keeper = CertificateKeeper(self._sources, self.prepare, wall, beside=beside)
        self._context: ssl.SSLContext | None = None
        self._starting: asyncio.Task[None] | None = None
        self._refusal = ""
        """Why nothing can be served yet; empty: it can, or has not been tried."""

    @property
    def is_on(self) -> bool:
        """Whether HTTP is encrypted."""
        return bool(self._sources)

    def start(self) -> None:
        """Read the files, now or as soon as they can be used."""
        if self.is_on:
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="http-tls")

    async def close(self) -> None:
        """Look at the files no more."""
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        await self._keeper.close()

    def context(self) -> ssl.SSLContext | None:
        """What a connection that comes now is encrypted by; None: nothing can be served."""
        return self._context

    @property
    def served(self) -> list[tuple[Source, Pair]]:
        """The certificate that is served."""
        return list(zip(self._sources, self._keeper.pairs, strict=bool(self._keeper.pairs)))

    @property
    def remark(self) -> str:
        """What a person should know; empty: nothing."""
        if self._refusal:
            return f"http.tls: nothing is served over HTTP, for {self._refusal}"
        return f"http.tls: {remark}" if (remark := self._keeper.remark) else ""

    def facts(self) -> CertificateFacts:
        """How the certificate stands."""
        keeper = self._keeper
        is_stale = bool(keeper.failure or self._refusal)
        return CertificateFacts(keeper.ends_at, is_stale, keeper.successes, keeper.failures)

    async def _start(self) -> None:
        while True:
            try:
                await self._keeper.start()
            except CertificatesRefused as error:
                if str(error) != self._refusal:
                    _log.error("nothing is served over HTTP, for its certificate cannot be used: %s", error)
                self._refusal = str(error)
            else:
                self._refusal = ""
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def prepare(self, pairs: Sequence[Pair]) -> Callable[[], None]:
        """See `keeper.Prepare`."""
        context = whole_context(pairs[0], HTTP_PROTOCOLS, self._authorities())

        def commit() -> None:
            self._context = context

        return commit

    def _authorities(self) -> str | None:
        """The PEM of those that clients must have certificates of.  Raises CannotServe."""
        path = self._client_ca
        if path is None:
            return None
        try:
            text = read_certificates_file(path).decode("ascii", "replace")
        except OSError as error:
            raise CannotServe(0, f"http.client_ca {path} cannot be read: {error.strerror or error}") from None
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise CannotServe(0, f"http.client_ca {path} has no certificate (PEM) in it")
        return text


def http_sources(settings: Settings) -> list[Source]:
    """Where the certificate of HTTP comes from; none: it is not encrypted, or off."""
    tls = settings.http.tls
    if tls is None or settings.listen.http is None:
        return []
    return [Source(tls.certificate, tls.key, ("http", "tls"))]
