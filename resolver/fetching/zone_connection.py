"""A connection to one primary: questions about a zone, signed if so wished, and the messages that answer.

Knows: DNS over TCP and TLS for transfers (RFC 7766, RFC 9103), TSIG over many messages (RFC 8945 §5.3.1).
Does not know: what the records mean, files, which primary is next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig

from resolver.blocklist.transfers import Primary
from resolver.fetching.outcome import FetchFailed, Result
from resolver.fetching.zone_message import Asked, Message, SignatureCheck, read_message
from resolver.wire.numbers import Qclass

CONNECT_S: Final = 5.0
WRITE_S: Final = 5.0

TakeOctets = Callable[[int], None]
"""Called with the size of each message, in octets; raises FetchFailed when there were too many."""


class ZoneConnection:
    """One open connection.  Make it with `connected`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        key: dns.tsig.Key | None,
        *,
        idle_s: float,
        on_octets: TakeOctets,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key
        self._idle_s = idle_s
        self._on_octets = on_octets

    async def ask(
        self, zone: dns.name.Name, rtype: dns.rdatatype.RdataType, soa: dns.rrset.RRset | None = None
    ) -> AsyncIterator[tuple[Message, bool]]:
        """Ask and give the messages of the answer, for as long as they are taken.

        With each comes whether all that came so far is proven: a message may be unsigned, the last may not.
        `soa`: of the zone that is here, for IXFR.  Raises FetchFailed.
        """
        query = dns.message.make_query(zone, rtype)
        query.flags = 0
        if soa is not None:
            query.authority.append(soa)
        if self._key is not None:
            query.use_tsig(self._key)
        wire = query.to_wire()
        self._writer.write(len(wire).to_bytes(2) + wire)
        try:
            async with asyncio.timeout(WRITE_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise FetchFailed(Result.CONNECT, f"cannot send: {error or 'no progress'}") from None
        asked = Asked(zone.to_digestable(), rtype, Qclass.IN)
        signatures = None if self._key is None else SignatureCheck(self._key, query.mac or b"")
        is_first = True
        while True:
            message = read_message(await self._next())
            if signatures is not None:
                signatures.check(message)
            elif message.tsig is not None:
                raise FetchFailed(Result.TSIG, "an answer is signed, and the list has no key (tsig)")
            _check(message, query.id, asked, is_first=is_first)
            is_first = False
            yield message, signatures is None or signatures.is_complete

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_s):
                length = int.from_bytes(await self._reader.readexactly(2))
                self._on_octets(length)
                return await self._reader.readexactly(length)
        except TimeoutError:
            raise FetchFailed(Result.TIMEOUT, f"nothing came for {self._idle_s:g} s") from None
        except asyncio.IncompleteReadError:
            raise FetchFailed(Result.TRUNCATED, "the connection ended before the answer did") from None
        except OSError as error:
            raise FetchFailed(Result.CONNECT, f"the connection broke: {error.strerror or error}") from None


def _check(message: Message, id_: int, asked: Asked, *, is_first: bool) -> None:
    if message.id != id_ or not message.is_response:
        raise FetchFailed(Result.BAD_TRANSFER, "an answer to another question")
    if message.rcode != dns.rcode.NOERROR:
        raise RcodeFailed(message.rcode)
    # RFC 5936 §2.2.1: later messages may leave the question out.
    if message.question != asked and (is_first or message.question is not None):
        raise FetchFailed(Result.BAD_TRANSFER, "an answer to another question")


class RcodeFailed(FetchFailed):
    """The primary answered, with an error code."""

    def __init__(self, rcode: int) -> None:
        super().__init__(
            Result.REFUSED, f"the primary answered {dns.rcode.to_text(dns.rcode.Rcode.make(rcode))}"
        )


@contextlib.asynccontextmanager
async def connected(
    primary: Primary,
    key: dns.tsig.Key | None,
    tls: ssl.SSLContext | None,
    *,
    idle_s: float,
    on_octets: TakeOctets,
) -> AsyncIterator[ZoneConnection]:
    """A connection to a primary, closed at the end.  Raises FetchFailed."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                primary.address, primary.port, ssl=tls, server_hostname=primary.tls_name
            )
    except TimeoutError:
        raise FetchFailed(Result.CONNECT, "no answer") from None
    except ssl.SSLCertVerificationError as error:
        raise FetchFailed(Result.CONNECT, f"its certificate: {error.verify_message}") from None
    except (OSError, ssl.SSLError) as error:
        raise FetchFailed(Result.CONNECT, f"no connection: {error.strerror or error}") from None
    try:
        if tls is not None:
            _check_alpn(writer)
        yield ZoneConnection(reader, writer, key, idle_s=idle_s, on_octets=on_octets)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()


def zone_tls(context: ssl.SSLContext) -> ssl.SSLContext:
    """A context as RFC 9103 §7 has it: TLS 1.3, ALPN `dot`."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    return context


def _check_alpn(writer: asyncio.StreamWriter) -> None:
    session = writer.get_extra_info("ssl_object")
    if session.selected_alpn_protocol() not in ("dot", None):
        raise FetchFailed(Result.CONNECT, "it speaks another protocol than DNS over TLS")
