"""A flight keeps, then tells: what is kept, and that policy judges each use of it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from resolver.cache import ResponseCache
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.local import LocalNames
from resolver.policy.image import Image
from resolver.policy.policy import Policy, make_policy
from resolver.wire.question import Question
from tests.support.forwarding_rig import WWW, A, Rig, failure, good
from tests.support.policy_maker import PolicyMaker, make_rule
from tests.support.wirebuild import query_octets

PEER = Peer(bytes([127, 0, 0, 1]), Transport.UDP)
QUESTION = Question(WWW, A)
QUERY = query_octets("www.example.org")
ADDRESS_BLOCKED = PolicyMaker().addresses(make_rule(), "192.0.2.7/32")
NODATA_BY_POLICY = (0, Source.POLICY)
"""What a client gets whose name is fine, but not the address behind it."""
NAME_BLOCKED = PolicyMaker().block(make_rule(), "www.example.org")


class House:
    """A service over a forwarder with one scripted upstream, and the cache that both use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generation = 0
        self.cache = ResponseCache(1 << 20)
        self.rig = Rig(keep=keeper_of(self.cache))
        self.service = Service(
            policy=self._policy(PolicyMaker()),
            cache=self.cache,
            forwarder=self.rig.forwarder,
            local=LocalNames(),
            clock=self.rig.clock,
            clients=Clients([ip_network("127.0.0.0/8")]),
            memo_octets_max=0,
        )
        self.answers: list[Respond | Drop] = []

    def _policy(self, maker: PolicyMaker) -> Policy:
        self._generation += 1
        image = Image(maker.write(self._folder / f"{self._generation}.policy"))
        return make_policy(image, self._generation, 0.0, self.rig.clock.now())

    def publish(self, maker: PolicyMaker) -> None:
        """Judge by this policy from now on."""
        self.service.publish(self._policy(maker))

    def query(self, octets: bytes = QUERY) -> None:
        """A client asks."""
        outcome = self.service.answer_now(octets, PEER, self.rig.clock.now())
        if isinstance(outcome, Ask):
            self.service.resolve(outcome, lambda _, answer: self.answers.append(answer))
        else:
            self.answers.append(outcome)

    def reply(self) -> None:
        """The upstream answers what it was asked last."""
        self.rig.deliver(self.rig.sent[-1], good(self.rig.sent[-1]))

    @property
    def said(self) -> list[tuple[int, Source]]:
        """What the clients got: rcode and where it came from."""
        assert all(isinstance(answer, Respond) for answer in self.answers)
        return [(answer.rcode, answer.source) for answer in self.answers if isinstance(answer, Respond)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_flight_that_nobody_waits_for_fills_the_cache(house: House) -> None:
    house.rig.forwarder.ask(QUESTION)
    house.reply()
    house.query()
    assert house.said == [(0, Source.CACHE)]
    assert len(house.rig.sent) == 1


def test_a_failure_that_nobody_waits_for_is_known_too(house: House) -> None:
    house.rig.forwarder.ask(QUESTION)
    house.rig.deliver(house.rig.sent[0], failure(house.rig.sent[0], 2))
    house.query()
    assert house.said == [(2, Source.CACHE)]
    assert len(house.rig.sent) == 1


def test_what_nobody_waited_for_is_judged_when_it_is_used(house: House) -> None:
    house.publish(ADDRESS_BLOCKED)
    house.rig.forwarder.ask(QUESTION)
    house.reply()
    house.query()
    assert house.said == [NODATA_BY_POLICY]
    assert len(house.rig.sent) == 1


def test_an_answer_that_policy_forbids_is_kept_and_judged_again_by_the_next_policy(house: House) -> None:
    house.publish(ADDRESS_BLOCKED)
    house.query()
    house.reply()
    house.publish(PolicyMaker())
    house.query()
    assert house.said == [NODATA_BY_POLICY, (0, Source.CACHE)]
    assert len(house.rig.sent) == 1


def test_a_policy_that_came_while_they_waited_judges_each_of_them(house: House) -> None:
    house.query()
    house.query(query_octets("WWW.example.org"))
    house.publish(NAME_BLOCKED)
    house.reply()
    assert house.said == [(3, Source.POLICY)] * 2
    entry = house.cache.lookup(QUESTION, house.rig.clock.now())
    assert entry is not None and entry.response is not None


def test_clients_who_asked_under_different_policies_get_todays(house: House) -> None:
    house.query()
    house.publish(PolicyMaker())
    house.query(query_octets("WWW.example.org"))
    house.publish(ADDRESS_BLOCKED)
    house.query()
    house.reply()
    assert house.said == [NODATA_BY_POLICY] * 3
    assert len(house.rig.sent) == 1


def test_a_client_that_went_away_with_a_stale_answer_leaves_the_fresh_one_to_the_cache(house: House) -> None:
    house.query()
    house.reply()
    house.rig.clock.advance(301.0)
    house.query()
    house.rig.clock.advance(1.9)
    house.reply()
    house.query()
    assert [source for _, source in house.said] == [Source.UPSTREAM, Source.STALE, Source.CACHE]


def test_an_ad_bit_of_an_upstream_that_is_not_trusted_is_not_kept(house: House) -> None:
    house.rig.forwarder.ask(QUESTION)
    sent = house.rig.sent[0]
    octets = good(sent)
    house.rig.deliver(sent, octets[:3] + bytes([octets[3] | 0x20]) + octets[4:])
    entry = house.cache.lookup(QUESTION, house.rig.clock.now())
    assert entry is not None and entry.response is not None
    assert not entry.response.authentic_data
