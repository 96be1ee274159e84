"""Clients behind proxies that speak the PROXY protocol: over datagrams, TCP and TLS, in front of a scripted service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import cast

import pytest
import uvloop

from resolver.certificates.contexts import DOT_PROTOCOLS, FrontContexts
from resolver.certificates.pair import read_pair
from resolver.clock import LoopClock
from resolver.flow.client_names import ClientNames
from resolver.flow.clients import Clients
from resolver.flow.identities import Identities
from resolver.flow.outcome import Outcome, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.proxies import PROXY_HEAD, Proxies
from resolver.flow.service import Service
from resolver.listeners import mmsg
from resolver.listeners.address import SocketAddress, bind_tcp
from resolver.listeners.limits import ConnectionLimits
from resolver.listeners.reporter import Reporter
from resolver.listeners.stream import StreamListener
from resolver.listeners.tls_connection import TlsSide
from resolver.listeners.udp import UdpListener
from resolver.observe.tally import Tallies
from resolver.wire.proxy import SIGNATURE
from tests.support.certificates import make

pytestmark = pytest.mark.skipif(not mmsg.is_available(), reason="needs Linux on a 64-bit machine")

WAIT_S = 5.0
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
CLIENT, OTHER = ip_address("203.0.113.5").packed, ip_address("2001:db8::5").packed
IDENTITIES = Identities(Proxies([ip_network(f"{PROXY}/32")]), ClientNames(below="dns.example.net"))
QUERY = b"\x12\x34" + b"." * 10
LOCAL = SIGNATURE + b"\x20\0\0\0"


def head(source: bytes, rest: bytes = b"") -> bytes:
    """As a proxy writes it for a client over TCP."""
    family = b"\x11" if len(source) == 4 else b"\x21"
    block = source + bytes(len(source)) + b"\xc0\x01\0\x35" + rest
    return SIGNATURE + b"\x21" + family + len(block).to_bytes(2, "big") + block


class RecordingService:
    """Answers everything, and remembers who asked."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        assert octets == QUERY
        self.peers.append(peer)
        return Respond(octets[2:], 0, 1, Source.LOCAL)

    @property
    def addresses(self) -> list[bytes]:
        return [peer.address for peer in self.peers]


def refused(reporter: Reporter) -> int:
    return reporter.drops[PROXY_HEAD]


def in_loop(play: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(play(), 4 * WAIT_S)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_datagram_is_answered_to_the_proxy_for_the_client_that_it_names() -> None:
    service, reporter = RecordingService(), Reporter(Tallies())

    async def play() -> None:
        loop = asyncio.get_running_loop()
        address = SocketAddress("127.0.0.1", 0)
        listener = UdpListener(
            address, cast(Service, service), reporter, LoopClock(loop), loop, proxies=IDENTITIES.proxies
        )
        listener.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as proxy:
            proxy.setblocking(False)
            proxy.bind((PROXY, 0))
            proxy.connect(listener.bound_to)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.setblocking(False)
                stranger.bind((STRANGER, 0))
                stranger.connect(listener.bound_to)
                # What is refused stands between what is answered, so that each answer must find its own way.
                stranger.send(head(CLIENT) + QUERY)
                for octets in (
                    head(CLIENT) + QUERY,
                    QUERY,
                    head(OTHER, b"\x01\0\0") + QUERY,
                    head(CLIENT)[:20],
                ):
                    proxy.send(octets)
                proxy.send(LOCAL + QUERY)
                stranger.send(QUERY)
                for _ in range(3):
                    assert await asyncio.wait_for(loop.sock_recv(proxy, 512), WAIT_S) == QUERY
                assert await asyncio.wait_for(loop.sock_recv(stranger, 512), WAIT_S) == QUERY
        listener.close()

    in_loop(play)
    own, others = ip_address(PROXY).packed, ip_address(STRANGER).packed
    assert service.addresses == [CLIENT, OTHER, own, others]
    assert refused(reporter) == 3


Chunks = Sequence[bytes]
Play = Callable[[Callable[..., Awaitable[bytes]]], Awaitable[None]]


def over_streams(
    service: RecordingService,
    play: Play,
    *,
    tls: TlsSide | None = None,
    limits: ConnectionLimits | None = None,
    bound: list[tuple[str, int]] | None = None,
    clients: Clients | None = None,
) -> Reporter:
    """Run `play`, which gets a function: octets in pieces, source address -> what came back until the end.

    `bound`: gets where the listener is.
    """
    reporter = Reporter(Tallies())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = StreamListener(
            bind_tcp(SocketAddress("127.0.0.1", 0)),
            cast(Service, service),
            reporter,
            LoopClock(loop),
            loop,
            limits or ConnectionLimits(),
            identities=IDENTITIES,
            transport=Transport.TCP if tls is None else Transport.TLS,
            tls=tls,
            clients=clients,
        )
        await listener.start()
        if bound is not None:
            bound.append(listener.bound_to)

        async def exchange(chunks: Chunks, source: str = PROXY, *, ends: bool = True) -> bytes:
            reader, writer = await asyncio.open_connection(*listener.bound_to, local_addr=(source, 0))
            try:
                for chunk in chunks:
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0.002)
                if ends:
                    writer.write_eof()
                return await asyncio.wait_for(reader.read(), WAIT_S)
            except ConnectionError:
                return b""
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

        try:
            await play(exchange)
        finally:
            listener.close()
            await asyncio.sleep(0.01)

    in_loop(main)
    return reporter


FRAMED = len(QUERY).to_bytes(2, "big") + QUERY


def test_a_connection_is_that_of_the_client_whose_head_comes_first() -> None:
    service = RecordingService()

    async def play(exchange: Callable[..., Awaitable[bytes]]) -> None:
        assert await exchange([head(CLIENT) + FRAMED * 2]) == FRAMED * 2
        # Octet by octet.
        whole = head(OTHER, b"\xe0\0\1x") + FRAMED
        assert await exchange([whole[at : at + 1] for at in range(len(whole))]) == FRAMED
        assert await exchange([LOCAL, FRAMED]) == FRAMED
        assert await exchange([FRAMED], STRANGER) == FRAMED

    reporter = over_streams(service, play)
    own, others = ip_address(PROXY).packed, ip_address(STRANGER).packed
    assert service.addresses == [CLIENT, CLIENT, OTHER, own, others]
    assert refused(reporter) == 0


@pytest.mark.parametrize(
    ("octets", "source"),
    [
        (FRAMED, PROXY),
        (b"PROXY TCP4 203.0.113.5 192.0.2.1 49153 53\r\n" + FRAMED, PROXY),
        (head(CLIENT)[:13] + b"\x41" + head(CLIENT)[14:] + FRAMED, PROXY),
        (head(CLIENT) + FRAMED, STRANGER),
    ],
)
def test_a_connection_without_the_head_that_is_due_or_with_one_that_is_not_is_cut(
    octets: bytes, source: str
) -> None:
    service = RecordingService()

    async def play(exchange: Callable[..., Awaitable[bytes]]) -> None:
        assert await exchange([octets], source, ends=False) == b""

    assert refused(over_streams(service, play)) == 1
    assert service.peers == []


def test_each_client_behind_a_proxy_has_its_own_share_of_connections() -> None:
    service, limits = RecordingService(), ConnectionLimits(20, 2)

    async def play(exchange: Callable[..., Awaitable[bytes]]) -> None:
        async def hold(source: bytes) -> bytes:
            return await exchange([head(source), FRAMED, b"\0"], ends=False)

        waiting = [asyncio.create_task(hold(CLIENT)) for _ in range(2)]
        while len(service.peers) < 2:  # noqa: ASYNC110 -- the service has no event to wait for
            await asyncio.sleep(0.002)
        assert await exchange([head(CLIENT) + FRAMED]) == b""
        assert await exchange([head(OTHER) + FRAMED]) == FRAMED
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    reporter = over_streams(service, play, limits=limits)
    assert reporter.drops["tcp_connections_per_client_max"] == 1
    assert service.addresses == [CLIENT, CLIENT, OTHER]


def test_the_head_stands_before_tls_and_the_server_name_names_the_client() -> None:
    made = make("dns.example.net", "*.dns.example.net")
    fronts = FrontContexts(DOT_PROTOCOLS)
    fronts.use(fronts.prepare([read_pair(made.pem, made.key)]))
    bound: list[tuple[str, int]] = []
    service = RecordingService()

    async def play(exchange: Callable[..., Awaitable[bytes]]) -> None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client.wrap_bio(incoming, outgoing, server_hostname="Phones.dns.example.net")
        reader, writer = await asyncio.open_connection(*bound[0], local_addr=(PROXY, 0))
        writer.write(head(CLIENT))
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await asyncio.wait_for(reader.read(65536), WAIT_S))
        session.write(FRAMED)
        writer.write(outgoing.read())
        while not service.peers:  # noqa: ASYNC110 -- the service has no event to wait for
            await asyncio.sleep(0.002)
        writer.close()

    over_streams(service, play, tls=TlsSide(fronts.at), bound=bound)
    assert [(peer.address, peer.name) for peer in service.peers] == [(CLIENT, "phones")]
