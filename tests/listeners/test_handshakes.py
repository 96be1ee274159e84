"""How many handshakes may begin in a second."""

from __future__ import annotations

import pytest

from resolver.listeners import handshakes
from resolver.listeners.handshakes import BREACH_COST, TOO_MANY, TOO_MANY_OF_CLIENT, HandshakeLimits


def test_a_client_begins_a_seconds_worth_at_once_and_then_as_many_a_second() -> None:
    limits = HandshakeLimits(1000, 10)
    assert [limits.begin(b"a", 5.0) for _ in range(12)] == [""] * 10 + [TOO_MANY_OF_CLIENT] * 2
    assert [limits.begin(b"a", 5.25) for _ in range(4)] == [""] * 2 + [TOO_MANY_OF_CLIENT] * 2
    assert [limits.begin(b"a", 99.0) for _ in range(11)] == [""] * 10 + [TOO_MANY_OF_CLIENT]


def test_one_client_takes_nothing_from_another_beyond_its_own_share() -> None:
    limits = HandshakeLimits(12, 10)
    for _ in range(50):
        limits.begin(b"a", 1.0)
    assert [limits.begin(b"b", 1.0) for _ in range(3)] == ["", "", TOO_MANY]


def test_all_together_are_bounded() -> None:
    limits = HandshakeLimits(10, 10)
    assert [limits.begin(bytes([number]), 1.0) for number in range(11)] == [""] * 10 + [TOO_MANY]
    assert limits.begin(b"x", 1.1) == ""


def test_no_more_clients_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "CLIENTS_MAX", 3)
    limits = HandshakeLimits(1000, 1)
    for client in (b"a", b"b", b"c"):
        assert limits.begin(client, 1.0) == ""
    assert limits.begin(b"a", 1.0) == TOO_MANY_OF_CLIENT
    assert limits.begin(b"d", 1.0) == ""
    assert limits.begin(b"b", 1.0) == "", "the one that had not come for longest was forgotten"
    assert len(limits._clients) == 3


def test_who_breaks_the_rules_pays_for_ten() -> None:
    limits = HandshakeLimits(1000, 2 * BREACH_COST)
    begun = 0
    while limits.begin(b"a", 1.0) == "":
        limits.charge(b"a")
        begun += 1
    assert begun == 2
    for _ in range(100):
        limits.charge(b"a")
    # No more than a second's worth is owed.
    assert limits.begin(b"a", 2.0) == TOO_MANY_OF_CLIENT
    assert limits.begin(b"a", 2.1) == ""
    assert limits.begin(b"b", 2.1) == "", "nobody else pays"
    limits.charge(b"never came")
