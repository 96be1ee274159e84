"""A stub resolver for our own downloads: host name -> addresses, from numbered servers.

Knows: a few questions over UDP and TCP.  Does not know: caches, policy, the system's resolver, which may
well be ourselves: a server that needs itself to start never starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from resolver.fetching.addresses import Address
from resolver.fetching.outcome import FetchFailed, Result
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qclass, Qtype, Rcode
from resolver.wire.response import (
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
    accept_response,
)

ATTEMPT_S = 2.0
"""For one question to one server; a reply that takes longer is as good as lost."""
ROUNDS = 2
"""Times that every server is asked."""
ADDRESSES_MAX = 16
"""Addresses of one host that are looked at."""
LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_QUEUE_MAX = 64
"""Packets of one exchange that are looked at; forged ones beyond it are left unread."""

Server = tuple[str, int]
"""Numeric address and port."""


class _Packets(asyncio.DatagramProtocol):
    """The packets that come to one socket."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE_MAX)

    def datagram_received(self, data: bytes, addr: object) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.arrived.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        # Port unreachable and its like: nothing will come.
        with contextlib.suppress(asyncio.QueueFull):
            self.arrived.put_nowait(None)


class Stub:
    """Asks `servers`, in turn."""

    def __init__(self, servers: Sequence[Server], *, attempt_s: float = ATTEMPT_S) -> None:
        self._servers = tuple(servers)
        self._attempt_s = attempt_s

    async def addresses(self, host: str) -> list[Address]:
        """A host's addresses, IPv4 and IPv6 by turns.  Raises FetchFailed."""
        with contextlib.suppress(ValueError):
            return [ip_address(host)]
        name = name_from_text(host)
        if name == b"\x09localhost\0" or name.endswith(b"\x09localhost\0"):
            return list(LOOPBACK)  # RFC 6761 §6.3: never a question for DNS.
        found = await asyncio.gather(self._ask(name, Qtype.A), self._ask(name, Qtype.AAAA))
        if all(addresses is None for addresses in found):
            servers = ", ".join(f"{address} port {port}" for address, port in self._servers)
            servers = (
                servers or "nobody: only encrypted upstreams are named, and upstreams.bootstrap is empty"
            )
            raise FetchFailed(Result.DNS, f"no DNS server answered for {host} (asked: {servers})")
        ipv4, ipv6 = ([] if addresses is None else addresses[:ADDRESSES_MAX] for addresses in found)
        if not ipv4 and not ipv6:
            raise FetchFailed(Result.DNS, f"{host} has no address")
        mixed: list[Address] = []
        for at in range(max(len(ipv4), len(ipv6))):
            mixed += ipv4[at : at + 1] + ipv6[at : at + 1]
        return mixed

    async def _ask(self, name: bytes, qtype: Qtype) -> list[Address] | None:
        """Addresses of one family, perhaps none; None: nobody answered."""
        for _ in range(ROUNDS):
            for server in self._servers:
                try:
                    async with asyncio.timeout(self._attempt_s):
                        answer = await self._exchange(server, name, qtype)
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    continue
                if isinstance(answer, Response) and answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
                    size = 4 if qtype is Qtype.A else 16
                    return [ip_address(octets) for octets in answer.addresses if len(octets) == size]
        return None

    async def _exchange(
        self, server: Server, name: bytes, qtype: Qtype
    ) -> Response | UpstreamFailure | Refused | Truncated:
        answer = await _over_udp(server, name, qtype, edns=True)
        if isinstance(answer, UpstreamFailure) and answer.edns_refused:
            answer = await _over_udp(server, name, qtype, edns=False)
        # A near miss looks like forging: over TCP nobody off the path can.
        if isinstance(answer, Truncated | Refused):
            answer = await _over_tcp(server, name, qtype)
        return answer


async def _over_udp(
    server: Server, name: bytes, qtype: Qtype, *, edns: bool
) -> Response | UpstreamFailure | Refused | Truncated:
    octets, sent = _question(name, qtype, edns=edns, is_stream=False)
    loop = asyncio.get_running_loop()
    # A new socket for each question: its port is the kernel's random choice (RFC 5452 §9.2).
    transport, packets = await loop.create_datagram_endpoint(_Packets, remote_addr=server)
    try:
        transport.sendto(octets)
        while True:
            packet = await packets.arrived.get()
            if packet is None:
                raise ConnectionRefusedError
            answer = accept_response(packet, sent)
            if not isinstance(answer, Refused) or answer.near_miss:
                return answer
    finally:
        transport.close()


async def _over_tcp(
    server: Server, name: bytes, qtype: Qtype
) -> Response | UpstreamFailure | Refused | Truncated:
    octets, sent = _question(name, qtype, edns=True, is_stream=True)
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(octets).to_bytes(2, "big") + octets)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return accept_response(await reader.readexactly(length), sent)
    finally:
        writer.close()


def _question(name: bytes, qtype: Qtype, *, edns: bool, is_stream: bool) -> tuple[bytes, SentQuery]:
    number = secrets.randbelow(1 << 16)
    octets = encode_query(name, qtype, id=number, dnssec_ok=False, checking_disabled=False, edns=edns)
    sent = SentQuery(number, name, qtype, Qclass.IN, edns, dnssec_ok=False, is_stream=is_stream)
    return octets, sent
