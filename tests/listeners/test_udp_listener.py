"""Datagrams in, answers out, over real sockets on loopback, in front of a scripted service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from resolver.clock import LoopClock
from resolver.flow.outcome import Ask, Drop, Outcome, Respond, Source
from resolver.flow.peer import Peer
from resolver.flow.service import Service
from resolver.flow.waiting import Deliver
from resolver.listeners import mmsg, udp
from resolver.listeners.address import SocketAddress
from resolver.listeners.reporter import Reporter
from resolver.listeners.udp import UdpListener
from resolver.observe.tally import Tallies

pytestmark = pytest.mark.skipif(not mmsg.is_available(), reason="needs Linux on a 64-bit machine")

WAIT_S = 5.0


class ScriptedService:
    """Echoes a datagram behind its ID; `w` as third octet waits, `d` drops, `x` is a defect."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Ask, Deliver]] = []
        self.peers: list[Peer] = []

    def answer_now(self, octets: bytes, peer: Peer, now: float) -> Outcome:
        self.peers.append(peer)
        kind = octets[2:3]
        if kind == b"d":
            return Drop("policy")
        if kind == b"x":
            raise ZeroDivisionError
        if kind == b"w":
            return Ask(cast(Any, SimpleNamespace(octets=octets)), peer, cast(Any, None), 0, now)
        return Respond(octets[2:], 0, 1, Source.LOCAL)

    def resolve(self, ask: Ask, deliver: Deliver) -> None:
        self.waiting.append((ask, deliver))

    def release_all(self) -> None:
        for ask, deliver in self.waiting:
            deliver(ask, Respond(ask.query.octets[2:], 0, 1, Source.UPSTREAM))
        self.waiting.clear()


class Client:
    """A connected UDP socket: hears only what comes from where it asked."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect((host, port))

    def send(self, message_id: int, text: bytes) -> None:
        self.sock.send(message_id.to_bytes(2, "big") + text)

    async def receive(self) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.sock, 65535), WAIT_S)


Play = Callable[[ScriptedService, UdpListener, Client], Awaitable[None]]


def run(play: Play, host: str = "127.0.0.1") -> Reporter:
    """Run `play` against a listener on a free port; returns what the listener reported."""
    reporter = Reporter(Tallies())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        service = ScriptedService()
        listener = UdpListener(
            SocketAddress(host, 0), cast(Service, service), reporter, LoopClock(loop), loop
        )
        client = Client({"0.0.0.0": "127.0.0.3", "::": "::1"}.get(host, host), listener.bound_to[1])
        listener.start()
        try:
            await asyncio.wait_for(play(service, listener, client), 4 * WAIT_S)
        finally:
            client.sock.close()
            listener.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return reporter


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- the listener has no event to wait for
            await asyncio.sleep(0)

    await asyncio.wait_for(poll(), WAIT_S)


def counted(reporter: Reporter) -> dict[str | None, int]:
    """Answers by source; drops under their reason."""
    counts: dict[str | None, int] = {}
    for key, count, _ in reporter.tallies.snapshot().counts:
        counts[key.source or key.reason] = counts.get(key.source or key.reason, 0) + count
    return counts


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_answers_come_at_once_and_late_on_every_kind_of_address(host: str) -> None:
    async def play(service: ScriptedService, _: UdpListener, client: Client) -> None:
        client.send(1, b"wait")
        client.send(2, b"quick")
        assert await client.receive() == b"\0\2quick"
        service.release_all()
        assert await client.receive() == b"\0\1wait"

    assert counted(run(play, host)) == {"local": 1, "upstream": 1}


def test_hundreds_of_late_answers_all_leave() -> None:
    async def play(service: ScriptedService, _: UdpListener, client: Client) -> None:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(300):
            client.send(number, b"wait")
        await until(lambda: len(service.waiting) == 300)
        service.release_all()
        received = {await client.receive() for _ in range(300)}
        assert received == {number.to_bytes(2, "big") + b"wait" for number in range(300)}

    assert counted(run(play)) == {"upstream": 300}


def test_a_crowd_that_waited_for_one_answer_is_answered_without_a_queue() -> None:
    async def play(service: ScriptedService, listener: UdpListener, client: Client) -> None:
        client.send(1, b"wait")
        await until(lambda: bool(service.waiting))
        crowd = 20_000
        [(ask, deliver)] = service.waiting
        for _ in range(crowd):
            deliver(ask, Respond(ask.query.octets[2:], 0, 1, Source.UPSTREAM))
            assert len(listener._late) < mmsg.BATCH_MAX
        assert await client.receive() == b"\0\1wait"
        assert counted(listener._reporter) == {"upstream": crowd}

    run(play)


def test_a_drop_and_a_defect_cost_only_their_own_query(caplog: pytest.LogCaptureFixture) -> None:
    async def play(_: ScriptedService, __: UdpListener, client: Client) -> None:
        client.send(1, b"drop")
        client.send(2, b"x")
        client.send(3, b"fine")
        assert await client.receive() == b"\0\3fine"

    reporter = run(play)
    assert counted(reporter) == {"local": 1, "policy": 1}
    assert reporter.drops == {"defect": 1}
    assert "defect in answer_now" in caplog.text
    assert "000278" not in caplog.text


def test_a_client_is_one_peer_whatever_its_port() -> None:
    async def play(service: ScriptedService, listener: UdpListener, client: Client) -> None:
        other = Client("127.0.0.1", listener.bound_to[1])
        for each in (client, other):
            each.send(1, b"hello")
            await each.receive()
        other.sock.close()
        first, second = service.peers
        assert first is second
        assert first.address == bytes([127, 0, 0, 1])

    run(play)


def test_remembered_peers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "PEERS_MAX", 3)

    async def play(_: ScriptedService, listener: UdpListener, __: Client) -> None:
        for last in range(1, 11):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((f"127.0.0.{last}", 0))
                sock.setblocking(False)
                sock.connect(listener.bound_to)
                sock.send(b"\0\1hello")
                assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"\0\1hello"
            assert len(listener._peers) <= 3

    run(play)


def test_a_listener_that_stopped_reading_still_sends_what_is_late() -> None:
    async def play(service: ScriptedService, listener: UdpListener, client: Client) -> None:
        client.send(1, b"wait")
        await until(lambda: bool(service.waiting))
        listener.stop_reading()
        client.send(2, b"quick")
        service.release_all()
        assert await client.receive() == b"\0\1wait"
        assert len(service.peers) == 1

    run(play)
