"""What forwarding counts is told, at 0 from the start."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from resolver.clock import LoopClock
from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Forwarder
from resolver.forwarding.plan import ForwardPlan, Server
from resolver.forwarding.socket_network import SocketNetwork
from resolver.forwarding.stream import StreamCounts
from resolver.forwarding.udp_pool import UdpCounts
from resolver.observe.metrics import Metrics, PolicyFacts, ReloadFacts
from resolver.observe.tally import Tallies
from resolver.server.counters import forwarding_counters


class CacheStub:
    entries = octets = misses = evictions = 0


def test_every_counter_is_there_before_there_is_anything_to_count() -> None:
    counters = list(forwarding_counters(None, None))
    assert [value for _, _, value in counters] == [0] * len(counters)
    assert len({name for name, _, _ in counters}) == len(counters)


def test_each_counter_of_the_network_is_told_once() -> None:
    async def make() -> list[float]:
        loop = asyncio.get_running_loop()
        clock, entropy = LoopClock(loop), Entropy()
        network = SocketNetwork(loop, clock, entropy, sockets_per_upstream=1)
        forwarder = Forwarder(ForwardPlan([Server("udp", "192.0.2.1", 53)]), network, clock, entropy)
        expected = 100.0
        for counts in (network.udp.counts, network.streams.counts):
            for name in type(counts).__slots__:
                setattr(counts, name, expected)
                expected += 1
        told = [value for _, _, value in forwarding_counters(forwarder, network) if value]
        await forwarder.close()
        return sorted(told)

    known = len(UdpCounts.__slots__) + len(StreamCounts.__slots__)
    assert asyncio.run(make()) == [100.0 + number for number in range(known)]


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say_about_their_names() -> None:
    metrics = Metrics(
        Tallies(),
        policy=PolicyFacts,
        reloads=ReloadFacts,
        upstreams=tuple,
        cache=CacheStub(),
        version="0",
        engine="python",
        counters=lambda: forwarding_counters(None, None),
    )
    text = metrics.render(metrics.snapshot())
    assert b"resolver_upstream_unexpected_datagrams_total 0.0" in text
    told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")
