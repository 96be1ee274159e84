"""How soon a connection is begun where others came to nothing."""

from __future__ import annotations

import pytest

from resolver.forwarding.openings import FREE, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN, Openings
from resolver.forwarding.upstream import DOWN_AFTER_FAILURES


def test_a_few_may_come_to_nothing_and_then_one_at_a_time_ever_more_rarely() -> None:
    openings = Openings()
    for _ in range(FREE - 1):
        openings.fail(0.0, 0.0)
        assert openings.allow(7, 0.0)
    now, pauses = 0.0, []
    for _ in range(7):
        openings.fail(now, now)
        end = openings.paused_until
        assert not openings.allow(0, end - 1e-6) and openings.allow(0, end) and not openings.allow(1, end)
        pauses.append(end - now)
        now = end
    assert pauses == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert (pauses[0], pauses[-1]) == pytest.approx((OPENING_PAUSE_S_MIN, OPENING_PAUSE_S_MAX))


def test_those_that_were_begun_together_are_one_failure() -> None:
    openings = Openings()
    for _ in range(FREE):
        openings.fail(0.0, 0.0)
    end = openings.paused_until
    openings.fail(-0.01, 0.01)
    assert openings.paused_until == end


def test_an_answer_ends_the_pause() -> None:
    openings = Openings()
    for _ in range(FREE + 5):
        openings.fail(0.0, 0.0)
    assert not openings.allow(0, 0.0)
    openings.are_well()
    assert openings.allow(7, 0.0)


def test_an_upstream_is_down_before_connections_to_it_are_held_back_for_long() -> None:
    assert FREE >= DOWN_AFTER_FAILURES
