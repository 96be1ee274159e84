"""Encrypted upstreams and one in clear text in the same list: when the second one reads a name."""

from __future__ import annotations

import pytest

from resolver.forwarding.bounds import AGAIN_S
from resolver.forwarding.network import ABANDONED
from resolver.forwarding.plan import Server
from tests.support.forwarding_rig import FIRST, SECOND, Rig, good

TLS = Server("tls", FIRST.address, 853, host="dns.example")


def mixed_rig() -> Rig:
    """An encrypted upstream that answered a second ago, and one in clear text behind it."""
    rig = Rig(TLS, SECOND)
    rig.plan.upstreams[0].answered_at = rig.clock.now() - 1.0
    return rig


def test_while_an_encrypted_upstream_that_works_is_held_back_nothing_leaves_in_clear_text() -> None:
    rig = mixed_rig()
    rig.network.held_back.add(FIRST.address)
    rig.ask()
    rig.clock.advance(3 * AGAIN_S)
    assert rig.sent == [] and rig.results == []
    rig.network.held_back.clear()
    rig.clock.advance(AGAIN_S + 0.01)
    assert [sent.upstream.address for sent in rig.sent] == [FIRST.address]
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer


def test_nor_while_it_abandons_questions() -> None:
    rig = mixed_rig()
    rig.ask()
    rig.network.fail(rig.sent[0], ABANDONED)
    rig.network.fail(rig.sent[1], ABANDONED)
    assert len(rig.sent) == 2 and rig.results == []
    rig.clock.advance(AGAIN_S + 0.01)
    assert [sent.upstream.address for sent in rig.sent] == [FIRST.address] * 3
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer


@pytest.mark.parametrize("way", ["down", "silent for long", "not trusted after all"])
def test_one_in_clear_text_that_is_listed_stays_a_way_out(way: str) -> None:
    rig = mixed_rig()
    first = rig.plan.upstreams[0]
    rig.network.held_back.add(FIRST.address)
    if way == "silent for long":
        first.answered_at -= 5.0
    rig.ask()
    if way == "down":
        assert rig.sent == []
        first.is_up = False
        rig.clock.advance(AGAIN_S + 0.01)
    elif way == "not trusted after all":
        rig.network.held_back.clear()
        rig.clock.advance(AGAIN_S + 0.01)
        rig.network.fail(rig.sent[0], "certificate_name")
    assert rig.sent[-1].upstream.address == SECOND.address
    rig.deliver(rig.sent[-1], good(rig.sent[-1]))
    assert rig.answer
