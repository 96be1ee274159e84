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


def test_a_remark_is_told_until_it_is_settled_and_changes_no_readiness() -> None:
    health = Health()
    health.remark("lists", "never downloaded: ads")
    assert health.is_ready and health.remarks() == {"lists": "never downloaded: ads"}
    health.remark("lists", "")
    assert health.remarks() == {}
