"""What waited while the host let others run is told apart from what a server made wait."""

from __future__ import annotations

import pytest

from benchmarks import stolen
from benchmarks.measure import Waits
from benchmarks.reload import _told
from benchmarks.stolen import TakenTimes


def waits(worst_us: float, *slow: tuple[float, float]) -> Waits:
    return Waits(1e3, 9, 9, 0, 50.0, 90.0, 95.0, worst_us, 0.0, {"NOERROR": 9}, 1.0, 0.1, slow)


def test_a_look_notes_the_time_since_the_last_one_if_some_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter((0.0, 0.03, 0.03))
    monkeypatch.setattr(stolen, "stolen_s", lambda: next(counts))
    taken, at = TakenTimes(), (100.0, 0.0)
    for now in (100.02, 100.04, 100.06):
        monkeypatch.setattr("time.time", lambda now=now: now)
        at = taken.look(*at)
    assert taken.moments == [(100.02, 100.04)]


@pytest.mark.parametrize(("sent_at_s", "is_by_the_host"), [(99.0, False), (99.91, True), (101.2, False)])
def test_a_wait_is_the_host_s_only_around_what_it_took(sent_at_s: float, is_by_the_host: bool) -> None:
    taken = TakenTimes()
    taken.moments = [(100.02, 100.04)]
    told = _told(waits(30_000.0, (50.0, 4_000.0), (sent_at_s, 30_000.0)), taken)
    assert told["worst_us"] == 30_000.0
    assert told["own_worst_us"] == (4_000.0 if is_by_the_host else 30_000.0)


def test_what_was_never_slow_has_its_worst() -> None:
    assert _told(waits(900.0), TakenTimes())["own_worst_us"] == 900.0
