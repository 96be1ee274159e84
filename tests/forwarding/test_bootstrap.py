"""Where upstreams are that are named by a host name alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from resolver.forwarding.bootstrap import (
    ASK_AGAIN_S_MAX,
    ASK_AGAIN_S_MIN,
    MOVED_S,
    RETRY_S_MAX,
    RETRY_S_MIN,
    Bootstrap,
)
from resolver.forwarding.plan import Server
from resolver.forwarding.upstream import Upstream
from resolver.wire.names import name_from_text
from tests.support.forwarding_rig import AAAA, A, Rig, reply_to
from tests.support.scenario_network import Sent
from tests.support.wirebuild import QNAME, rr

HOST = Server("tls", "", 853, host="dns.example")
SAME_HOST = Server("https", "", 443, host="dns.example", path="/dns-query")
NUMBERED = Server("tls", "192.0.2.1", 853, host="dns.example")

V4, V6 = bytes((192, 0, 2, 7)), bytes.fromhex("20010db8000000000000000000000007")


class Stage:
    """A forwarder in front of scripted upstreams, and who finds where they are."""

    def __init__(self, *servers: Server, bootstrap: int = 1) -> None:
        self.rig = Rig(*(servers or (HOST,)))
        asked = [Upstream(f"192.0.2.{53 + number}") for number in range(bootstrap)]
        for upstream in asked:
            upstream.oddities.case_shown_until = float("inf")
        plan = self.rig.plan
        self.bootstrap = Bootstrap(plan.upstreams, asked, self.rig.forwarder, self.rig.clock)
        self.upstream = plan.upstreams[0]

    def take(self) -> list[Sent]:
        """What was sent since the last time."""
        taken, self.rig.network.unhandled = self.rig.network.unhandled, []
        return taken

    def answer(self, v4: tuple[bytes, ...] = (V4,), v6: tuple[bytes, ...] = (V6,), ttl_s: int = 300) -> None:
        """Answer the two questions that are out."""
        sent = self.take()
        assert sorted(map(qtype_of, sent)) == [A, AAAA]
        for one in sent:
            records = [
                rr(QNAME, qtype, address, ttl=ttl_s)
                for qtype, addresses in ((A, v4), (AAAA, v6))
                if qtype == qtype_of(one)
                for address in addresses
            ]
            assert self.rig.deliver(one, reply_to(one.octets, *records))

    def refuse(self) -> None:
        for one in self.take():
            self.rig.deliver(one, reply_to(one.octets, flags=0x8182))


def qtype_of(sent: Sent) -> int:
    end = sent.octets.index(b"\0", 12)
    return int.from_bytes(sent.octets[end + 1 : end + 3], "big")


def test_nothing_but_the_hosts_of_upstreams_is_asked_and_only_of_the_bootstrap_servers() -> None:
    stage = Stage(HOST, SAME_HOST, NUMBERED)
    stage.bootstrap.start()
    sent = stage.take()
    assert {one.upstream.name for one in sent} == {"udp://192.0.2.53:53"}
    name = name_from_text("dns.example")
    assert [one.octets[12 : 12 + len(name)].lower() for one in sent] == [name, name]
    assert sorted(map(qtype_of, sent)) == [A, AAAA]


def test_addresses_of_both_families_are_found_for_all_upstreams_of_the_host() -> None:
    stage = Stage(HOST, SAME_HOST)
    stage.bootstrap.start()
    stage.answer()
    for upstream in stage.rig.plan.upstreams:
        assert upstream.addresses == ("2001:db8::7", "192.0.2.7")


def test_one_family_is_enough() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer(v6=())
    assert stage.upstream.addresses == ("192.0.2.7",)


def test_addresses_that_are_nobodys_are_left_out() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer(v4=(bytes(4), V4, bytes((224, 0, 0, 1))), v6=(bytes(16),))
    assert stage.upstream.addresses == ("192.0.2.7",)


def test_a_silent_bootstrap_server_gives_way_to_the_next() -> None:
    stage = Stage(bootstrap=2)
    stage.bootstrap.start()
    assert {one.upstream.address for one in stage.take()} == {"192.0.2.53"}
    stage.rig.clock.advance(0.5)
    sent = stage.take()
    assert {one.upstream.address for one in sent} == {"192.0.2.54"}


@pytest.mark.parametrize(
    ("ttl_s", "again_s"), [(300, 300.0), (0, ASK_AGAIN_S_MIN), (1_000_000, ASK_AGAIN_S_MAX)]
)
def test_hosts_are_asked_for_again_when_their_ttl_ends(ttl_s: int, again_s: float) -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer(ttl_s=ttl_s)
    stage.rig.clock.advance(again_s - 0.5)
    assert stage.take() == []
    stage.rig.clock.advance(0.6)
    stage.answer(v4=(bytes((192, 0, 2, 8)),), v6=())
    assert stage.upstream.addresses == ("192.0.2.8",)


def test_the_address_in_use_stays_in_front_while_it_is_one_of_them() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer()
    stage.upstream.prefer_address("192.0.2.7")
    stage.rig.clock.advance(300.1)
    stage.answer(v4=(bytes((192, 0, 2, 8)), V4))
    assert stage.upstream.addresses == ("192.0.2.7", "2001:db8::7", "192.0.2.8")


def test_the_last_good_addresses_hold_while_nobody_answers() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer()
    stage.rig.clock.advance(300.1)
    stage.refuse()
    assert stage.upstream.addresses == ("2001:db8::7", "192.0.2.7")
    stage.rig.clock.advance(ASK_AGAIN_S_MIN)
    assert stage.take() != []


def test_an_answer_without_addresses_leaves_the_last_ones() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer()
    stage.rig.clock.advance(300.1)
    stage.answer(v4=(), v6=())
    assert stage.upstream.addresses != ()


def test_failures_are_followed_by_ever_longer_pauses() -> None:
    stage = Stage()
    stage.bootstrap.start()
    pauses = []
    for _ in range(8):
        stage.refuse()
        pause_s = 0.0
        while not stage.rig.network.unhandled:
            stage.rig.clock.advance(0.25)
            pause_s += 0.25
        pauses.append(pause_s)
    assert pauses[:3] == [RETRY_S_MIN, 2 * RETRY_S_MIN, 4 * RETRY_S_MIN]
    assert pauses[-1] == RETRY_S_MAX


def test_an_upstream_that_goes_down_may_have_moved() -> None:
    stage = Stage()
    stage.bootstrap.start()
    stage.answer()
    stage.rig.clock.advance(MOVED_S)
    for _ in range(3):
        stage.upstream.on_failure("network", stage.rig.clock.now())
    assert len(stage.take()) == 2


def perform(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(play, 5.0))


def test_who_comes_before_the_answer_waits_for_it() -> None:
    async def play() -> None:
        stage = Stage()
        stage.bootstrap.start()
        finding = asyncio.create_task(stage.bootstrap.find(stage.upstream))
        await asyncio.sleep(0)
        assert not finding.done()
        stage.answer()
        assert await finding is True
        assert await stage.bootstrap.find(stage.upstream) is True

    perform(play())


def test_who_comes_after_a_failure_is_told_at_once() -> None:
    async def play() -> None:
        stage = Stage()
        stage.bootstrap.start()
        finding = asyncio.create_task(stage.bootstrap.find(stage.upstream))
        await asyncio.sleep(0)
        stage.refuse()
        assert await finding is False
        assert await stage.bootstrap.find(stage.upstream) is False
        assert stage.take() == []

    perform(play())


def test_without_bootstrap_servers_nobody_is_asked() -> None:
    async def play() -> None:
        stage = Stage(bootstrap=0)
        stage.bootstrap.start()
        assert await stage.bootstrap.find(stage.upstream) is False
        assert stage.rig.sent == []

    perform(play())


def test_who_waits_when_the_server_stops_gets_nothing() -> None:
    async def play() -> None:
        stage = Stage()
        stage.bootstrap.start()
        finding = asyncio.create_task(stage.bootstrap.find(stage.upstream))
        await asyncio.sleep(0)
        stage.bootstrap.close()
        assert await finding is False

    perform(play())
