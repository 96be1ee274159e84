"""Encrypted listeners, put together: certificates, what they are served by in both planes, what handshakes
came to.

Knows: which settings they are made of, who has to take a new set before it is served.  Does not know:
sockets, what stands in a certificate.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import Protocol

from resolver.certificates.contexts import DOT_PROTOCOLS, HTTPS_PROTOCOLS, CannotServe, FrontContexts
from resolver.certificates.files import Source
from resolver.certificates.keeper import CertificateKeeper
from resolver.certificates.outcomes import FAILURES, TlsCounts, every_session
from resolver.certificates.pair import Pair
from resolver.config.settings import Settings
from resolver.flow.peer import Transport
from resolver.listeners.handshakes import HandshakeLimits
from resolver.listeners.http import STATUSES
from resolver.listeners.https_connection import HttpSide
from resolver.listeners.tls_connection import TlsSide
from resolver.observe.facts import CertificateFacts, Facts, TlsFacts
from resolver.server.native import NativeEngine

_log = logging.getLogger(__name__)


class TakesCertificates(Protocol):
    """The native plane, as far as certificates are concerned."""

    def set_certificates(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Serve these pairs of PEM chain and PEM key, all or none.  Raises ValueError with the reason."""


class Encryption:
    """The certificates of one server, and what its encrypted listeners share."""

    def __init__(
        self, settings: Settings, wall: Callable[[], float], on_served: Callable[[Sequence[Pair]], None]
    ) -> None:
        """`on_served`: called with the pairs that are served from then on."""
        self._on_served = on_served
        limits = settings.limits
        self.counts = TlsCounts()
        self._fronts = {
            Transport.TLS: FrontContexts(DOT_PROTOCOLS),
            Transport.HTTPS: FrontContexts(HTTPS_PROTOCOLS),
        }
        handshakes = HandshakeLimits(
            limits.tls_handshakes_per_s_max, limits.tls_handshakes_per_s_per_client_max
        )
        self.sides = {
            transport: TlsSide(front.at, self.counts, handshakes) for transport, front in self._fronts.items()
        }
        self.http = HttpSide(
            _DateLine(wall).at,
            streams_max=limits.https_streams_max,
            header_octets_max=limits.https_header_octets_max,
        )
        self._sources = sources_of(settings)
        self._keeper = CertificateKeeper(self._sources, self._prepare, wall)
        self._takers: list[TakesCertificates] = []

    async def start(self) -> None:
        """Read the certificates.  Raises CertificatesRefused."""
        await self._keeper.start()

    async def close(self) -> None:
        """Look at their files no more."""
        await self._keeper.close()

    def serve_by(self, taker: TakesCertificates) -> None:
        """Give somebody the set that is served, and every one after it.  Raises ValueError."""
        if self._keeper.pairs:
            taker.set_certificates([(pair.chain, pair.key) for pair in self._keeper.pairs])
        self._takers.append(taker)

    @property
    def served(self) -> list[tuple[Source, Pair]]:
        """The certificates that are served, and where each comes from."""
        return list(zip(self._sources, self._keeper.pairs, strict=bool(self._keeper.pairs)))

    @property
    def remark(self) -> str:
        """What a person should know of the certificates; empty: nothing."""
        return self._keeper.remark

    def told_of(self, facts: Facts, native: NativeEngine | None) -> Facts:
        """The same facts, with those of certificates and handshakes, of both planes."""
        keeper, counts = self._keeper, self.counts
        sessions, failures = (Counter(), Counter()) if native is None else native.handshakes()
        responses = Counter({str(status): count for status, count in self.http.statuses.items()})
        if native is not None:
            responses += native.https_responses()
        return replace(
            facts,
            tls=TlsFacts(
                dict.fromkeys(every_session(), 0) | (counts.sessions + sessions),
                dict.fromkeys(FAILURES, 0) | (counts.failures + failures),
            ),
            https_responses=dict.fromkeys(map(str, STATUSES), 0) | responses,
            certificates=CertificateFacts(
                keeper.ends_at, bool(keeper.failure), keeper.successes, keeper.failures
            ),
        )

    def _prepare(self, pairs: Sequence[Pair]) -> Callable[[], None]:
        """See `keeper.Prepare`: whoever may object is asked before anything is served."""
        inner = {transport: front.prepare(pairs) for transport, front in self._fronts.items()}
        told = tuple(self._takers)
        for taker in told:
            try:
                taker.set_certificates([(pair.chain, pair.key) for pair in pairs])
            except ValueError as error:
                # It says which, counted from 1.
                found = re.match(r"certificate (\d+): ", str(error))
                place = min(int(found[1]), len(pairs)) - 1 if found else 0
                raise CannotServe(place, f"the native plane does not take it: {error}") from None

        def commit() -> None:
            for transport, front in self._fronts.items():
                front.use(inner[transport])
            # Who came while the set was read has got the one before it.
            for taker in self._takers:
                if taker not in told:
                    try:
                        taker.set_certificates([(pair.chain, pair.key) for pair in pairs])
                    except ValueError as error:
                        _log.error("the native plane does not take new certificates: %s", error)
            self._on_served(pairs)

        return commit


class _DateLine:
    """The date as answers over HTTP have it (RFC 9110 §5.6.7), made once a second."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._until = float("-inf")
        self._text = b""

    def at(self, now: float) -> bytes:
        """`now`: monotonic seconds."""
        if now >= self._until:
            self._until = now + 1.0
            self._text = formatdate(self._wall(), usegmt=True).encode()
        return self._text


def sources_of(settings: Settings) -> list[Source]:
    """Where certificates come from, as far as somebody uses them."""
    tls = settings.tls
    if tls.certificate is None or tls.key is None or not (settings.listen.tls or settings.listen.https):
        return []
    more = [Source(pair.certificate, pair.key, ("tls", "more", index)) for index, pair in enumerate(tls.more)]
    return [Source(tls.certificate, tls.key), *more]
