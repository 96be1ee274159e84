"""A listener over a fake plane that leaves everything to Python."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from resolver.cache import ResponseCache
from resolver.flow.clients import Clients
from resolver.flow.peer import Transport
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.listeners.address import SocketAddress, bind_udp
from resolver.listeners.native import BoundSocket, NativeListener
from resolver.listeners.reporter import Reporter
from resolver.local import LocalNames
from resolver.observe.tally import Tallies
from resolver.plane import WaitingFields
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.question import Question
from tests.support.fake_plane import FakeLoop, FakePlane, handover
from tests.support.forwarding_rig import keep_nothing
from tests.support.policy_maker import PolicyMaker
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_network import ScriptedNetwork, Sent

CLIENT = bytes((127, 0, 0, 9))


def query(name: str, message_id: int = 0x1234, rd: bool = True) -> bytes:
    octets = encode_query(
        name_from_text(name), 1, id=message_id, dnssec_ok=False, checking_disabled=False, edns=True
    )
    return octets if rd else octets[:2] + bytes((octets[2] & 0xFE,)) + octets[3:]


class Rig:
    """A service over scripted upstreams behind a fake plane with two threads."""

    def __init__(self, folder: Path, *servers: Server) -> None:
        self.clock = FakeClock()
        self.network = ScriptedNetwork()
        self.plan = ForwardPlan(servers or (Server("udp", "192.0.2.53", 53),), "ordered")
        entropy = Entropy(random.Random(3).randbytes)
        self.cache = ResponseCache(1 << 20)
        self.forwarder = Forwarder(self.plan, self.network, self.clock, entropy, keep=keeper_of(self.cache))
        self.service = Service(
            policy=PolicyMaker().policy(folder),
            cache=self.cache,
            forwarder=self.forwarder,
            local=LocalNames({"router.home.arpa": ["192.168.1.1"]}),
            clock=self.clock,
            clients=Clients([ip_network("127.0.0.0/8")]),
            memo_octets_max=0,
        )
        self.plane = FakePlane()
        self.loop = FakeLoop()
        self.reporter = Reporter(Tallies())
        self.told: list[str] = []
        self.bound_sockets = [
            [BoundSocket(address, bind_udp(address))] for address in [SocketAddress("127.0.0.1", 0)] * 2
        ]
        self.listener = NativeListener(
            self.plane,
            self.bound_sockets,
            self.service,
            self.forwarder,
            self.plan.upstreams,
            self.reporter,
            self.clock,
            cast(asyncio.AbstractEventLoop, self.loop),
            before_handovers=lambda: self.told.append("before"),
            after_turn=lambda: self.told.append("after"),
        )
        self.listener.start()

    def close(self) -> None:
        self.listener.close()
        for bound_sockets in self.bound_sockets:
            for bound in bound_sockets:
                bound.sock.close()

    def asks(self, name: str, route: bytes = b"r1", **more: Any) -> None:
        self.plane.say("query", query(name, **more), CLIENT, route, Transport.UDP)
        self.loop.turn()

    def first_attempt(self, name: str) -> Sent:
        """What the plane would have sent for a question."""
        network = ScriptedNetwork()
        entropy = Entropy(random.Random(4).randbytes)
        forwarder = Forwarder(self.plan, network, self.clock, entropy, keep=keep_nothing)
        forwarder.ask(Question(name_from_text(name), 1), lambda _: None)
        self.plan.upstreams[0].queries -= 1
        return network.sent[0]

    def hands_over(self, sent: Sent, waiters: list[WaitingFields], **more: Any) -> None:
        now = self.clock.now()
        more.setdefault("sent_at", now - 0.4)
        more.setdefault("due_at", more["sent_at"] + 0.4)
        self.plane.say("handover", tuple(handover(sent.octets, waiters=waiters, **more)))
        self.loop.turn()

    def counts(self) -> dict[str | None, int]:
        """Outcomes by source, drops by reason."""
        found: dict[str | None, int] = {}
        for key, count, _ in self.reporter.tallies.snapshot().counts:
            assert key.transport == "udp"
            found[key.source or key.reason] = found.get(key.source or key.reason, 0) + count
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


# Questions handed over.


def waiter(name: str, route: bytes, message_id: int, asked_at: float) -> WaitingFields:
    return query(name, message_id), CLIENT, route, asked_at, Transport.UDP, ""
