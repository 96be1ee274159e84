"""A primary that says what it is told, message by message, signed with whatever key it is given.

Knows: TCP on loopback, TSIG.  Does not know: what is under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.tsig

ZONE = "rpz.example."
APEX = dns.name.from_text(ZONE)


def soa(serial: int) -> dns.rrset.RRset:
    """The zone's SOA."""
    return rrset("@", "SOA", f"ns.example. admin.example. {serial} 3600 600 86400 60")


def rrset(owner: str, rtype: str, data: str, ttl: int = 300, rclass: str = "IN") -> dns.rrset.RRset:
    """One record; `owner` is relative to the zone unless it ends in a dot."""
    return dns.rrset.from_text(dns.name.from_text(owner, APEX), ttl, rclass, rtype, data)


def blocked(*names: str) -> list[dns.rrset.RRset]:
    """Names of a policy zone that get NXDOMAIN."""
    return [rrset(name, "CNAME", ".") for name in names]


@dataclass
class Script:
    """What the primary does; tests change it as they like."""

    serial: int = 1
    axfr: Sequence[Sequence[dns.rrset.RRset]] = ()
    """Messages, as lists of records."""
    ixfr: Sequence[Sequence[dns.rrset.RRset]] | None = None
    """None: the whole zone."""
    key: dns.tsig.Key | None = None
    alter: Callable[[int, bytes], bytes | None] = lambda _number, octets: octets
    """What becomes of a message of a transfer (counted from 0); None: the connection closes there."""
    is_signed: Callable[[int], bool] = lambda _number: True
    time_shift_s: int = 0
    stalls_after: int | None = None
    """A transfer stops, the connection stays."""
    rcode: int = 0
    """Of answers to IXFR and AXFR."""
    asked: list[str] = field(default_factory=list)


class ZoneServer:
    """One running primary."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                query = dns.message.from_wire(
                    await reader.readexactly(length), keyring=self.script.key or False
                )
                if not await self._answer(query, writer):
                    break

    async def _answer(self, query: dns.message.Message, writer: asyncio.StreamWriter) -> bool:
        script = self.script
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        script.asked.append(kind)
        if kind == "SOA":
            messages: Sequence[Sequence[dns.rrset.RRset]] = [[soa(script.serial)]]
        else:
            messages = script.axfr if kind == "AXFR" or script.ixfr is None else script.ixfr
        context = None
        for number, records in enumerate(messages):
            if kind != "SOA" and script.stalls_after == number:
                await asyncio.sleep(3600)
            response = dns.message.make_response(query)
            response.answer = list(records)
            if kind != "SOA" and script.rcode:
                response.set_rcode(dns.rcode.Rcode.make(script.rcode))
            octets, context = self._signed(
                query, response, context, kind == "SOA" or script.is_signed(number)
            )
            altered = octets if kind == "SOA" else script.alter(number, octets)
            if altered is None:
                return False
            writer.write(len(altered).to_bytes(2) + altered)
            await writer.drain()
        return True

    def _signed(
        self,
        query: dns.message.Message,
        response: dns.message.Message,
        context: object,
        is_signed: bool,
    ) -> tuple[bytes, object]:
        key = self.script.key
        if key is None:
            return response.to_wire(), None
        if not is_signed:
            response.tsig = None
            octets = response.to_wire()
            if context is not None:
                context.update(octets)  # type: ignore[attr-defined]
            return octets, context
        response.use_tsig(key)
        response.request_mac = query.mac or b""
        octets = response.to_wire(multi=True, tsig_ctx=context)
        return octets, response.tsig_ctx


@contextlib.asynccontextmanager
async def zone_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[ZoneServer]:
    """A primary on 127.0.0.1."""
    server = ZoneServer(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in server.connections:
            task.cancel()
        await asyncio.gather(*server.connections, return_exceptions=True)
        await asyncio.sleep(0)
