"""A sink: what waits, what is lost and counted, how a broken way is tried again.  No threads, no sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from resolver.flow.peer import Peer, Transport
from resolver.observe.clients import HIDDEN
from resolver.observe.records import Record
from resolver.policy.verdict import PASS, PolicyAction, Verdict
from resolver.sinks.look import Look
from resolver.sinks.outlet import Broken
from resolver.sinks.sink import DEFECT, PATIENCE_S, PAUSE_S_MAX, PAUSE_S_MIN, TRACEBACKS_MAX, RecordSink

PEER = Peer(bytes((192, 0, 2, 1)), Transport.UDP)
RECORD = Record(0.0, PEER, b"", None, "short", PASS)
LINE = len(b'{"time":"1970-01-01T00:00:00.000Z","transport":"udp","malformed":"short","dropped":"short"}\n')


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class ScriptedOutlet:
    remark = ""

    """Does what a test says: `room` octets go, then it is full; `breaks` are raised in their order."""

    def __init__(self) -> None:
        self.is_open = False
        self.lost = 0
        self.refusal: OSError | None = None
        self.opened = 0
        self.closed = 0
        self.passed = bytearray()
        self.room = 1 << 30
        self.breaks: list[Broken | None] = []
        self.dead: Broken | None = None
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.taken = threading.Event()

    def open(self) -> None:
        self.opened += 1
        if self.refusal is not None:
            raise self.refusal
        self.is_open = True

    def put(self, octets: memoryview) -> int:
        assert self.is_open
        if self.breaks and (broken := self.breaks.pop(0)) is not None:
            self.is_open = False
            self.passed += octets[: broken.passed]
            raise broken
        count = min(self.room, len(octets))
        self.room -= count
        self.passed += octets[:count]
        self.taken.set()
        return count

    def wait(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.on_wait()

    def look_after(self) -> None:
        if self.dead is not None:
            self.is_open, dead, self.dead = False, self.dead, None
            raise dead

    def close(self, wait_s: float) -> None:
        self.is_open = False
        self.closed += 1


class Rig:
    """A sink over a scripted outlet."""

    def __init__(self, octets_max: int = 1 << 20, *, only_blocked: bool = False) -> None:
        self.clock = Clock()
        self.outlet = ScriptedOutlet()
        look = Look("jsonl", HIDDEN, only_blocked)
        self.sink = RecordSink("s", look, self.outlet, octets_max=octets_max, now=self.clock)

    def give(self, count: int) -> None:
        self.sink.write([RECORD] * count, 0.0)

    @property
    def counts(self) -> tuple[int, int]:
        """Written and lost."""
        return self.sink.written, self.sink.lost

    @property
    def lines(self) -> int:
        assert len(self.outlet.passed) % LINE == 0
        return len(self.outlet.passed) // LINE


def test_records_go_out_whole_and_in_order() -> None:
    rig = Rig()
    rig.give(3)
    rig.give(2)
    rig.sink.turn()
    assert (rig.lines, rig.counts, rig.sink.trouble) == (5, (5, 0), "")


def test_only_what_is_blocked_goes_to_who_wants_that_alone() -> None:
    rig = Rig(only_blocked=True)
    blocked = RECORD._replace(verdict=Verdict(PolicyAction.DROP))
    rig.sink.write([RECORD, blocked, RECORD], 0.0)
    rig.sink.write([RECORD], 0.0)
    rig.sink.turn()
    assert (rig.lines, rig.counts) == (1, (1, 0))


def test_a_full_queue_loses_what_comes_and_nothing_that_waits() -> None:
    rig = Rig(octets_max=3 * LINE)
    rig.outlet.room = 0
    for _ in range(5):
        rig.give(2)
    assert rig.counts == (0, 6)
    rig.outlet.room = 1 << 20
    rig.sink.turn()
    assert (rig.lines, rig.counts) == (4, (4, 6))
    rig.give(1)
    rig.sink.turn()
    assert rig.counts == (5, 6)


def test_a_full_queue_of_a_sink_of_blocked_queries_loses_these_alone() -> None:
    rig = Rig(octets_max=0, only_blocked=True)
    rig.sink.write([RECORD, RECORD._replace(verdict=Verdict(PolicyAction.DROP))], 0.0)
    assert rig.counts == (0, 1)


def test_a_way_that_cannot_be_opened_is_in_trouble_and_tried_less_and_less_often() -> None:
    rig = Rig()
    rig.outlet.refusal = ConnectionRefusedError(111, "Connection refused")
    tried_at = []
    for _ in range(2_000):
        before = rig.outlet.opened
        rig.sink.turn()
        if rig.outlet.opened > before:
            tried_at.append(rig.clock.now)
        rig.clock.now += PAUSE_S_MIN
    pauses = [after - before for before, after in pairwise(tried_at)]
    assert rig.sink.trouble == "Connection refused"
    assert pauses[:3] == [PAUSE_S_MIN, 2 * PAUSE_S_MIN, 4 * PAUSE_S_MIN]
    assert max(pauses) == pauses[-1] == PAUSE_S_MAX


def test_what_waits_goes_to_the_way_that_opens_at_last() -> None:
    rig = Rig()
    rig.outlet.refusal = FileNotFoundError(2, "No such file or directory")
    rig.give(4)
    rig.sink.turn()
    assert (rig.counts, rig.sink.trouble) == ((0, 0), "No such file or directory")
    rig.outlet.refusal = None
    rig.clock.now += PAUSE_S_MAX
    rig.sink.turn()
    assert (rig.lines, rig.counts, rig.sink.trouble) == (4, (4, 0), "")


@pytest.mark.parametrize(
    ("passed", "written", "lost", "resent"),
    [
        (0, 0, 0, 5),
        (LINE, 1, 0, 4),
        (LINE + 1, 1, 1, 3),
        (5 * LINE - 1, 4, 1, 0),
        (5 * LINE, 5, 0, 0),
    ],
)
def test_a_way_that_breaks_loses_the_record_that_it_cut_and_no_other(
    passed: int, written: int, lost: int, resent: int
) -> None:
    rig = Rig()
    rig.outlet.breaks = [Broken("gone", passed)]
    rig.give(5)
    rig.sink.turn()
    assert (rig.counts, rig.sink.trouble) == ((written, lost), "gone")
    rig.outlet.passed.clear()
    rig.clock.now += PAUSE_S_MAX
    rig.give(1)
    rig.sink.turn()
    assert (rig.lines, rig.counts) == (resent + 1, (written + resent + 1, lost))


def test_a_way_that_takes_a_piece_and_breaks_in_the_next_is_counted_from_the_beginning() -> None:
    rig = Rig()
    rig.outlet.room = LINE + 7
    rig.outlet.breaks = [None, Broken("gone")]
    rig.give(5)
    rig.sink.turn()
    # One went, the second was cut.
    assert rig.counts == (1, 1)
    rig.outlet.room = 1 << 20
    rig.outlet.passed.clear()
    rig.clock.now += PAUSE_S_MAX
    rig.sink.turn()
    assert (rig.lines, rig.counts) == (3, (4, 1))


def test_a_way_that_breaks_again_and_again_loses_each_cut_record_once() -> None:
    rig = Rig()
    rig.give(5)
    rig.outlet.breaks = [Broken("gone", 1)] * 5
    for _ in range(6):
        rig.sink.turn()
        rig.clock.now += PAUSE_S_MAX
    assert rig.counts == (0, 5)
    rig.give(1)
    rig.sink.turn()
    assert rig.counts == (1, 5)


def test_what_the_outlet_lost_is_lost_and_not_written() -> None:
    rig = Rig()
    rig.sink.turn()
    rig.outlet.lost = 2
    rig.give(5)
    rig.sink.turn()
    assert rig.counts == (3, 2)


def test_a_receiver_that_has_gone_is_seen_though_nothing_is_sent() -> None:
    rig = Rig()
    rig.sink.turn()
    rig.outlet.dead = Broken("the receiver has closed the connection")
    rig.sink.turn()
    assert rig.sink.trouble == "the receiver has closed the connection"
    rig.clock.now += PAUSE_S_MAX
    rig.sink.turn()
    assert (rig.outlet.opened, rig.sink.trouble) == (2, "")


def test_a_receiver_that_takes_nothing_is_in_trouble_after_a_while() -> None:
    rig = Rig()
    rig.sink.turn()
    rig.outlet.room = 0
    seen: list[str] = []

    def pass_time() -> None:
        seen.append(rig.sink.trouble)
        rig.clock.now += PATIENCE_S / 2 + 0.1
        if len(seen) == 4:
            rig.outlet.room = 1 << 20

    rig.outlet.on_wait = pass_time
    rig.give(2)
    rig.sink.turn()
    assert seen == ["", "", "its reader takes nothing", "its reader takes nothing"]
    assert (rig.counts, rig.sink.trouble) == ((2, 0), "")


def test_a_way_that_held_is_tried_again_soon() -> None:
    rig = Rig()
    rig.outlet.refusal = OSError(1, "no")
    for _ in range(50):
        rig.sink.turn()
        rig.clock.now += 10.0
    rig.outlet.refusal = None
    rig.clock.now += PAUSE_S_MAX
    rig.sink.turn()
    rig.clock.now += 60.0
    rig.outlet.dead = Broken("gone")
    rig.sink.turn()
    before = rig.outlet.opened
    rig.clock.now += PAUSE_S_MIN
    rig.sink.turn()
    assert rig.outlet.opened == before + 1


def test_the_thread_passes_on_what_comes_and_ends_with_what_waits() -> None:
    rig = Rig()
    rig.sink.start()
    rig.give(1)
    assert rig.outlet.taken.wait(5)
    rig.give(2)
    rig.sink.close(5)
    assert (rig.counts, rig.outlet.closed) == ((3, 0), 1)


def test_what_a_receiver_that_stands_still_has_not_taken_is_lost_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.outlet.room = LINE
    rig.sink.start()
    rig.give(4)
    rig.sink.close(0.05)
    rig.sink._thread.join(5)
    assert rig.counts == (0, 4)
    assert "query records were not passed on" in caplog.text


def test_a_defect_costs_the_records_it_met_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.give(2)
    put, calls = rig.outlet.put, []

    def fail_once(octets: memoryview) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a defect")
        return put(octets)

    rig.outlet.put = fail_once  # type: ignore[method-assign]
    rig.sink.start()
    rig.sink.close(5)
    assert rig.counts == (0, 2)
    assert "a defect" in caplog.text


def test_a_defect_in_opening_is_tried_less_and_less_often_and_costs_no_records(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.sinks.sink.TURN_S", 0.0)
    rig = Rig()
    rig.give(2)
    moments: list[float] = []
    enough = threading.Event()
    open_it = rig.outlet.open

    def fail(*, times: int = TRACEBACKS_MAX + 9) -> None:
        moments.append(rig.clock.now)
        if len(moments) <= times:
            raise RuntimeError("a defect")
        open_it()
        enough.set()

    def later() -> float:
        rig.clock.now += 0.01
        return rig.clock.now

    rig.sink._now = later
    rig.outlet.open = fail  # type: ignore[method-assign]
    rig.sink.start()
    assert enough.wait(20)
    rig.sink.close(5)
    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses[0] >= PAUSE_S_MIN and pauses[-1] >= PAUSE_S_MAX
    assert sum(record.exc_info is not None for record in caplog.records) == TRACEBACKS_MAX
    assert rig.counts == (2, 0)


def test_a_defect_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    seen: list[str] = []
    monkeypatch.setattr(rig.sink._wake, "wait", lambda _: seen.append(rig.sink.trouble))

    def fail() -> None:
        rig.sink._end_by = 0.0
        raise RuntimeError("a defect")

    rig.outlet.open = fail  # type: ignore[method-assign]
    rig.sink._run()
    assert seen == [DEFECT]
