"""The forwarder on real sockets and a real event loop, against a small upstream on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from resolver.cli.demo_upstream import bind_pair
from resolver.clock import LoopClock
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.source_ports import ANY_PORTS, SourcePorts
from resolver.wire.question import Question
from tests.support.forwarding_rig import ADDRESS, WWW, A, keep_nothing, reply_to
from tests.support.wirebuild import QNAME, rr

GOOD = rr(QNAME, A, ADDRESS)
Answerer = Callable[[bytes], list[bytes]]


class DatagramUpstream(asyncio.DatagramProtocol):
    """Answers each datagram with whatever `answerer` says."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.append(data)
        for reply in self.answerer(data):
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]


class Stage:
    """A forwarder, and an upstream that speaks UDP and TCP on one port."""

    async def open(self, over_udp: Answerer, over_tcp: Answerer | None) -> None:
        loop = asyncio.get_running_loop()
        datagrams, streams = bind_pair("127.0.0.1")
        port = datagrams.getsockname()[1]
        _, self.upstream = await loop.create_datagram_endpoint(
            lambda: DatagramUpstream(over_udp), sock=datagrams
        )

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert over_tcp is not None
            query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            for reply in over_tcp(query):
                writer.write(len(reply).to_bytes(2, "big") + reply)
            await reader.read()
            writer.close()

        self.tcp = await asyncio.start_server(serve, sock=streams) if over_tcp else None
        if self.tcp is None:
            streams.close()
        clock, entropy = LoopClock(loop), Entropy()
        self.network = SocketNetwork(loop, clock, entropy, SourcePorts(ANY_PORTS.usable, 32, 32))
        self.forwarder = Forwarder(
            ForwardPlan([Server("udp", "127.0.0.1", port)]),
            self.network,
            clock,
            entropy,
            keep=keep_nothing,
            timeout_s=5.0,
        )

    async def ask(self, qname: bytes = WWW) -> Answered | Failed:
        future: asyncio.Future[Answered | Failed] = asyncio.get_running_loop().create_future()
        self.forwarder.ask(Question(qname, A), future.set_result)
        return await future

    async def close(self) -> None:
        await self.forwarder.close()
        self.upstream.transport.close()
        if self.tcp is not None:
            self.tcp.close()
        await asyncio.sleep(0.01)


@pytest.fixture(params=["asyncio", "uvloop"])
def perform(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a play on either event loop."""

    async def run(
        play: Callable[[Stage], Coroutine[Any, Any, None]], over_udp: Answerer, over_tcp: Answerer | None
    ) -> None:
        stage = Stage()
        await stage.open(over_udp, over_tcp)
        try:
            await asyncio.wait_for(play(stage), 10.0)
        finally:
            await stage.close()

    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def perform(
        play: Callable[[Stage], Coroutine[Any, Any, None]],
        over_udp: Answerer,
        over_tcp: Answerer | None = None,
    ) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(play, over_udp, over_tcp))

    return perform


Perform = Callable[..., None]


def good(query: bytes) -> list[bytes]:
    return [reply_to(query, GOOD)]


def addresses(result: Answered | Failed) -> tuple[bytes, ...]:
    assert isinstance(result, Answered), result
    return result.response.addresses


def test_question_is_answered_over_udp(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        assert addresses(await stage.ask()) == (ADDRESS,)
        assert stage.network.udp.counts.opened == 1

    perform(play, good)


def test_many_questions_share_the_pool_and_none_is_lost(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        names = [b"\x03%03d" % number + WWW for number in range(300)]
        results = await asyncio.gather(*map(stage.ask, names))
        assert {addresses(result) for result in results} == {(ADDRESS,)}
        assert stage.network.udp.open_sockets == 32

    perform(play, good)


def test_truncated_answer_comes_whole_over_tcp(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        assert addresses(await stage.ask()) == (ADDRESS,)
        assert stage.network.streams.counts.opened == 1

    perform(play, lambda query: [reply_to(query, flags=0x8380)], good)


def test_forged_packets_first_and_tcp_closed_still_gives_the_good_answer(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        assert addresses(await stage.ask()) == (ADDRESS,)
        assert stage.forwarder.upstreams[0].failures["near_miss"] == 2

    forged = rr(QNAME, A, b"\xc6\x33\x64\x01")
    perform(
        play,
        lambda query: [
            reply_to(query, forged, id_=(query[0] << 8 | query[1]) ^ 1),
            b"",
            reply_to(query, forged, question=b"\x03ftp" + query[16:-11]),
            reply_to(query, GOOD),
        ],
    )


def test_forged_packets_first_and_tcp_open_gives_the_answer_over_tcp(perform: Perform) -> None:
    other = b"\xc0\x00\x02\x08"

    async def play(stage: Stage) -> None:
        assert addresses(await stage.ask()) == (other,)

    perform(
        play,
        lambda query: [reply_to(query, GOOD, id_=(query[0] << 8 | query[1]) ^ 1), reply_to(query, GOOD)],
        lambda query: [reply_to(query, rr(QNAME, A, other))],
    )


def test_dead_upstream_fails_at_once_and_recovers(perform: Perform) -> None:
    async def play(stage: Stage) -> None:
        address = stage.upstream.transport.get_extra_info("sockname")
        stage.upstream.transport.close()
        await asyncio.sleep(0.01)
        result = await stage.ask()
        assert isinstance(result, Failed) and result.reason == "network"
        _, stage.upstream = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: DatagramUpstream(good), local_addr=address
        )
        assert addresses(await stage.ask()) == (ADDRESS,)

    perform(play, good)
