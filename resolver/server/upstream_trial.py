"""Tries each upstream as a server would reach it, and says how long each step took.

Knows: which question each should answer, what is worth knowing of a connection.  Does not know: how results
are shown, wall time.
Theory: the same network, terms of TLS, bootstrap and transaction as in a server, so what fails here fails
there, for the same reason.  The first question pays for the connection; the second finds it open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass, field
from typing import Final

from resolver.clock import LoopClock
from resolver.config.settings import Settings
from resolver.forwarding.connection import Connection
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.tls_terms import ALPN, Certificate, certificate_of
from resolver.forwarding.upstream import Upstream
from resolver.server.first_questions import first_questions
from resolver.server.forwarding import make_forwarding
from resolver.wire.question import Question

LOOK_S: Final = 5.0
"""For a look at a certificate."""


@dataclass(slots=True)
class Tried:
    """What came of one upstream; times in seconds, None: not measured."""

    upstream: Upstream
    address: str = ""
    """Where it was reached; empty: nowhere."""
    connect_s: float | None = None
    handshake_s: float | None = None
    first_s: float | None = None
    """The first answer, connection and handshake included."""
    warm_s: float | None = None
    """The second answer."""
    tls: str = ""
    """`TLSv1.3`; empty: none was spoken."""
    certificate: Certificate | None = None
    """What it shows, believed or not."""
    reason: str = ""
    """Why it gave no answer of use, a word of `upstream.FAILURE_REASONS`; empty: it gave one."""
    words: str = ""
    """The same for people, where there is more to say."""
    _connections: list[Connection] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Whether it answered."""
        return not self.reason


async def try_upstreams(settings: Settings) -> list[Tried]:
    """Try all of them at once.  Raises OSError: the authorities of `tls_ca` cannot be read."""
    # What it finds is its result.  Where nobody has set logging up, its warnings would be printed besides.
    logging.getLogger("resolver.forwarding").addHandler(logging.NullHandler())
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    forwarding = make_forwarding(settings, clock, loop, threads=0, keep=lambda *_: None)
    tried = {upstream: Tried(upstream) for upstream in forwarding.forwarder.upstreams}
    forwarding.network.streams.on_ready.append(
        lambda connection: (
            tried[connection.upstream]._connections.append(connection)
            if connection.upstream in tried
            else None
        )
    )
    try:
        questions = dict(first_questions(forwarding.forwarder.plan))
        await asyncio.gather(
            *(_try(one, forwarding.forwarder, questions[upstream], clock) for upstream, one in tried.items())
        )
    finally:
        await forwarding.close()
    return list(tried.values())


async def _try(tried: Tried, forwarder: Forwarder, question: Question, clock: LoopClock) -> None:
    upstream = tried.upstream
    began = clock.now()
    result = await _ask(forwarder, upstream, question)
    if isinstance(result, Answered):
        tried.first_s = clock.now() - began
        began = clock.now()
        again = await _ask(forwarder, upstream, question)
        tried.warm_s = clock.now() - began if isinstance(again, Answered) else None
    else:
        tried.reason = upstream.last_failure or result.reason
        tried.words = upstream.details.get(tried.reason, "")
    if upstream.addresses:
        tried.address = upstream.addresses[0]
    if tried._connections and upstream.is_stream:
        first = tried._connections[0]
        tried.address = first.address
        tried.connect_s = first.connected_at - first.began_at
        tried.handshake_s = first.ready_at - first.connected_at if upstream.is_encrypted else None
    if upstream.is_encrypted and tried.address:
        with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
            await asyncio.wait_for(_look(tried), LOOK_S)


async def _ask(forwarder: Forwarder, upstream: Upstream, question: Question) -> Answered | Failed:
    done: asyncio.Future[Answered | Failed] = asyncio.get_running_loop().create_future()
    forwarder.ask_one(upstream, question, done.set_result)
    return await done


async def _look(tried: Tried) -> None:
    """See the certificate, whether it is to be believed or not; nothing is asked there."""
    upstream = tried.upstream
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN[upstream.scheme]])
    name = upstream.host or tried.address
    _, writer = await asyncio.open_connection(tried.address, upstream.port, ssl=context, server_hostname=name)
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    tried.tls = tls.version() or ""
    tried.certificate = certificate_of(tls.getpeercert(True))
    writer.transport.abort()
