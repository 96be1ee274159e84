"""Changes of upstreams are said, and cannot fill the log."""

from __future__ import annotations

import pytest

from resolver.forwarding.change_log import LINE_EVERY_S, ChangeLog
from resolver.forwarding.plan import UpstreamSet
from resolver.forwarding.upstream import Upstream
from resolver.wire.names import name_from_text
from tests.support.scenario_clock import FakeClock


class Flapping:
    """Two upstreams and the lines about them."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.clock = FakeClock()
        self.caplog = caplog
        self.one = Upstream("192.0.2.1")
        self.two = Upstream("192.0.2.2")
        self.corp = Upstream("192.0.2.3", scheme="tcp")
        everybody = UpstreamSet([self.one, self.two])
        self.changes = ChangeLog(
            self.clock,
            [(b"\0", everybody), (name_from_text("corp.example"), UpstreamSet([self.corp, self.two]))],
        )

    def flap(self, upstream: Upstream, times: int = 1) -> None:
        for _ in range(times):
            upstream.is_up = not upstream.is_up
            upstream.last_failure = "timeout"
            self.changes.note(upstream)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.caplog.records]


@pytest.fixture
def flapping(caplog: pytest.LogCaptureFixture) -> Flapping:
    return Flapping(caplog)


def test_first_change_is_said_at_once_for_each_upstream(flapping: Flapping) -> None:
    flapping.flap(flapping.one)
    flapping.flap(flapping.corp)
    assert flapping.lines == [
        "upstream udp://192.0.2.1:53 is down (timeout)",
        "upstream tcp://192.0.2.3:53 is down (timeout)",
    ]


def test_it_is_said_for_which_names_no_upstream_is_left_and_when_one_is_back(flapping: Flapping) -> None:
    flapping.flap(flapping.two)
    assert len(flapping.lines) == 1
    flapping.flap(flapping.one)
    flapping.flap(flapping.corp)
    assert flapping.lines[2::2] == ["no upstream is left", "no upstream is left for corp.example"]
    assert [record.levelname for record in flapping.caplog.records[2::2]] == ["ERROR", "ERROR"]
    flapping.clock.advance(LINE_EVERY_S)
    flapping.flap(flapping.two)
    assert flapping.lines[5:] == [
        "upstream udp://192.0.2.2:53 is up",
        "an upstream is back",
        "an upstream is back for corp.example",
    ]


def test_a_last_upstream_that_comes_and_goes_does_not_fill_the_log_either(flapping: Flapping) -> None:
    flapping.flap(flapping.two)
    flapping.flap(flapping.one, 1 + 10)
    flapping.clock.advance(LINE_EVERY_S)
    assert flapping.lines[3:] == [
        "upstream udp://192.0.2.1:53 is down (timeout) after 10 changes in 30 seconds",
        "no upstream is left after 10 changes in 30 seconds",
    ]


def test_many_changes_become_one_line_that_says_how_many(flapping: Flapping) -> None:
    flapping.flap(flapping.one, 1 + 41)
    assert len(flapping.lines) == 1
    flapping.clock.advance(LINE_EVERY_S)
    assert flapping.lines[1:] == ["upstream udp://192.0.2.1:53 is up after 41 changes in 30 seconds"]


def test_an_hour_of_changes_is_a_line_every_half_minute_at_most(flapping: Flapping) -> None:
    for _ in range(3600):
        flapping.flap(flapping.one, 3)
        flapping.clock.advance(1.0)
    assert 100 <= len(flapping.lines) <= 3600 / LINE_EVERY_S + 1


def test_changes_far_apart_are_all_said(flapping: Flapping) -> None:
    flapping.flap(flapping.one)
    flapping.clock.advance(LINE_EVERY_S)
    flapping.flap(flapping.one)
    assert flapping.lines[1:] == ["upstream udp://192.0.2.1:53 is up"]
    assert flapping.clock.pending == 0


def test_closing_leaves_no_timer(flapping: Flapping) -> None:
    flapping.flap(flapping.one, 2)
    flapping.changes.close()
    assert flapping.clock.pending == 0
