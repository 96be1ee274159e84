"""A small authoritative server on loopback: the Internet of the demo.

Knows: one zone, UDP and TCP.  Does not know: the resolver in front of it.
No model of a name server: no delegations, no DNSSEC, and every name is of one zone.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from resolver.wire.encode import encode_response, response_limit
from resolver.wire.message import ReadRecord, records_from_zone
from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.query import Malformed, Query, parse_query
from resolver.wire.records import record

SOA = "example. 60 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"


PORT_TRIES_MAX = 20


def bind_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port of `host` that nobody has; OSError: none was found.

    Whoever lets the kernel choose for one of them finds the other taken now and then.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tries_left in reversed(range(PORT_TRIES_MAX)):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        streams = socket.socket(family, socket.SOCK_STREAM)
        try:
            datagrams.bind((host, 0))
            streams.bind((host, datagrams.getsockname()[1]))
            return datagrams, streams
        except OSError:
            datagrams.close()
            streams.close()
            if not tries_left:
                raise
    raise AssertionError("the last try raises")


class DemoUpstream:
    """Serves the records of `zone` (zone text, absolute names) on one port of `host`."""

    def __init__(self, zone: str) -> None:
        self._records: dict[bytes, list[ReadRecord]] = {}
        for read in records_from_zone(zone):
            self._records.setdefault(read.owner, []).append(read)
        self._soa = _octets_of(records_from_zone(SOA)[0])
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self.asked = 0
        """Queries received."""

    async def start(self, host: str = "127.0.0.1") -> int:
        """Serve; gives the port, the same for UDP and TCP.  Raises OSError."""
        loop = asyncio.get_running_loop()
        datagrams, streams = bind_pair(host)
        port = int(datagrams.getsockname()[1])
        self._server = await asyncio.start_server(self._on_connection, sock=streams)
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
        return port

    def stop(self) -> None:
        """Close both sockets."""
        if self._server is not None:
            self._server.close()
        if self._datagrams is not None:
            self._datagrams.close()

    def answer(self, octets: bytes, *, is_stream: bool) -> bytes:
        """The reply to one query; empty for what is none."""
        self.asked += 1
        query = parse_query(octets)
        if isinstance(query, Malformed):
            return b""
        return self._answer(query, response_limit(query, is_stream))

    def _answer(self, query: Query, limit: int) -> bytes:
        answers: list[ReadRecord] = []
        owner = query.qname
        # A chain is followed as real servers do; this zone has no loops.
        while True:
            here = self._records.get(owner, [])
            found = [read for read in here if read.rtype == query.qtype]
            links = [] if found else [read for read in here if read.rtype == Qtype.CNAME]
            answers += found or links
            if not links:
                break
            owner = links[0].rdata.lower()
        body = b"".join(map(_octets_of, answers))
        return encode_response(
            query,
            Rcode.NOERROR if here else Rcode.NXDOMAIN,
            body=body if found else body + self._soa,
            ancount=len(answers),
            nscount=0 if found else 1,
            limit=limit,
            aa=True,
            ra=False,
        )

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                reply = self.answer(await reader.readexactly(length), is_stream=True)
                writer.write(struct.pack("!H", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The resolver closes its connections when it likes.
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, upstream: DemoUpstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._upstream.answer(data, is_stream=False)
        if reply and self._transport is not None:
            self._transport.sendto(reply, addr)


def _octets_of(read: ReadRecord) -> bytes:
    return record(read.owner, read.rtype, read.ttl_s, read.rdata)
