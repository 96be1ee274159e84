"""The network's NAT64 prefixes are found by ipv4only.arpa, and asked for again in time."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from resolver.forwarding.plan import Server
from resolver.server.nat64 import ASK_AGAIN_MAX_S, ASK_AGAIN_MIN_S, IPV4_ONLY, NOT_SAID_S, Nat64Finder
from resolver.wire.carried_addresses import Nat64Prefix, nat64_prefix
from resolver.wire.names import name_from_text
from tests.support.forwarding_rig import FIRST, SECOND, Rig, failure, question_of, reply_to
from tests.support.wirebuild import QNAME, rr

ONE = nat64_prefix(IPv6Network("2001:db8:1::/96"))
OTHER = nat64_prefix(IPv6Network("2001:db8:2::/96"))
AAAA = 28


def synthesized(prefix: Nat64Prefix, ttl_s: int = 600) -> bytes:
    octets = prefix.octets[:12] + IPv6Address("::192.0.0.170").packed[12:]
    return rr(QNAME, AAAA, octets, ttl=ttl_s)


class Finding:
    """A finder in front of scripted upstreams."""

    def __init__(self, *servers: Server) -> None:
        self.rig = Rig(*servers)
        self.told: list[tuple[Nat64Prefix, ...]] = []
        self.finder = Nat64Finder(self.rig.forwarder, self.rig.clock, self.told.append)
        self.finder.start()

    @property
    def asked(self) -> int:
        return len(self.rig.sent)

    def reply(self, number: int, *answer: bytes) -> None:
        sent = self.rig.sent[number]
        assert self.rig.deliver(sent, reply_to(sent.octets, *answer))


def test_each_upstream_is_asked_for_ipv4only_and_what_it_says_is_told() -> None:
    finding = Finding(FIRST, SECOND)
    assert [question_of(sent.octets).lower() for sent in finding.rig.sent] == [
        name_from_text("ipv4only.arpa") + b"\0\x1c\0\1"
    ] * 2
    assert (IPV4_ONLY.dnssec_ok, IPV4_ONLY.checking_disabled) == (False, False)
    finding.reply(1, synthesized(OTHER))
    finding.reply(0, synthesized(ONE), synthesized(ONE))
    assert finding.told == [(OTHER,), (ONE, OTHER)]


def test_it_is_asked_again_when_the_ttl_ends_and_only_a_change_is_told() -> None:
    finding = Finding(FIRST)
    finding.reply(0, synthesized(ONE))
    finding.rig.clock.advance(599.9)
    assert finding.asked == 1
    finding.rig.clock.advance(0.1)
    assert finding.asked == 2
    finding.reply(1, synthesized(ONE))
    finding.rig.clock.advance(600)
    finding.reply(2, synthesized(OTHER))
    finding.rig.clock.advance(600)
    finding.reply(3)
    assert finding.told == [(ONE,), (OTHER,), ()]


@pytest.mark.parametrize(
    ("ttl_s", "again_s"), [(0, NOT_SAID_S), (1, ASK_AGAIN_MIN_S), (1 << 30, ASK_AGAIN_MAX_S)]
)
def test_the_time_of_the_next_question_is_bounded(ttl_s: int, again_s: float) -> None:
    finding = Finding(FIRST)
    finding.reply(0, synthesized(ONE, ttl_s))
    finding.rig.clock.advance(again_s - 0.1)
    assert finding.asked == 1
    finding.rig.clock.advance(0.2)
    assert finding.asked == 2


def test_a_failure_takes_no_prefix_away_and_is_followed_by_another_question() -> None:
    finding = Finding(FIRST)
    finding.reply(0, synthesized(ONE, 60))
    finding.rig.clock.advance(60)
    sent = finding.rig.sent[1]
    assert finding.rig.deliver(sent, failure(sent, 2))
    assert finding.told == [(ONE,)]
    finding.rig.clock.advance(ASK_AGAIN_MIN_S)
    assert finding.asked == 3


def test_where_nothing_is_translated_nothing_is_told() -> None:
    finding = Finding(FIRST)
    finding.reply(0)
    assert finding.told == []


def test_once_closed_it_asks_and_tells_no_more() -> None:
    finding = Finding(FIRST, SECOND)
    finding.reply(0, synthesized(ONE))
    finding.finder.close()
    finding.reply(1, synthesized(OTHER))
    finding.rig.clock.advance(10_000)
    assert finding.told == [(ONE,)] and finding.asked == 2
