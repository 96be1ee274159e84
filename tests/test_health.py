from __future__ import annotations

from resolver.observe.health import Health


def test_is_not_ready_until_every_condition_is_met() -> None:
    health = Health("policy", "sockets")
    health.meet("policy")
    assert not health.is_ready
    assert health.reasons() == {"sockets": "not yet"}


def test_is_ready_when_every_condition_is_met() -> None:
    health = Health("policy", "sockets")
    health.meet("policy")
    health.meet("sockets")
    assert health.is_ready
    assert health.reasons() == {}


def test_a_condition_may_fail_again_and_says_why() -> None:
    health = Health("sockets")
    health.meet("sockets")
    health.fail("sockets", "shutting down")
    assert health.reasons() == {"sockets": "shutting down"}
