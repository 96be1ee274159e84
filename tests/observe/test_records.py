from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from resolver.flow.outcome import Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.facts import SinkFacts
from resolver.observe.records import (
    RECORDS_PER_TURN_MAX,
    Record,
    RecordBuffer,
    RecordReader,
    Taken,
)
from resolver.policy.verdict import PolicyAction, Verdict

PASS = Verdict()
PEER = Peer(bytes((192, 0, 2, 1)), Transport.UDP)
ANSWER = Respond(b"", 0, 1, Source.CACHE)


class ListedSink:
    """Keeps what it is given."""

    trouble = ""

    def __init__(self, name: str = "list", on_write: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.only_blocked = False
        self.is_started = self.is_closed = False
        self.written = self.lost = 0
        self.records: list[Record] = []
        self.offsets: list[float] = []
        self._on_write = on_write
        self.is_given = threading.Event()

    def write(self, taken: Taken, offset_s: float) -> None:
        self._on_write()
        assert isinstance(taken, list)
        self.records += taken
        self.offsets.append(offset_s)
        self.written += len(taken)
        self.is_given.set()

    def give_up(self, count: int) -> None:
        self.lost += count

    def start(self) -> None:
        self.is_started = True

    def close(self, wait_s: float) -> None:
        self.is_closed = True


def wall() -> float:
    return 1000.0


def octets_of(sink: ListedSink) -> list[bytes]:
    return [record.octets for record in sink.records]


def test_a_full_buffer_loses_what_comes_and_counts_it() -> None:
    buffer = RecordBuffer(only_blocked=False, records_max=3)
    for number in range(5):
        buffer.note(PEER, bytes((number,)), ANSWER)
    assert buffer.lost() == 2
    assert [record.octets for record in buffer.take()] == [b"\0", b"\1", b"\2"]
    buffer.note(PEER, b"later", ANSWER)
    assert [record.octets for record in buffer.take()] == [b"later"]
    assert buffer.lost() == 2


def test_octets_are_bounded_too() -> None:
    buffer = RecordBuffer(only_blocked=False, octets_max=10)
    for octets in (b"12345", b"123456", b"54321", b"1"):
        buffer.note(PEER, octets, ANSWER)
    assert buffer.lost() == 2
    assert [record.octets for record in buffer.take()] == [b"12345", b"54321"]
    buffer.note(PEER, bytes(10), ANSWER)
    assert (len(buffer.take()), buffer.lost()) == (1, 2)


def test_a_record_says_when_it_was_answered_and_how() -> None:
    times = iter((1.5, 2.5))
    buffer = RecordBuffer(only_blocked=False, now=lambda: next(times))
    buffer.note(PEER, b"a", ANSWER)
    buffer.note(PEER, b"b", Drop("rate_limit"))
    assert [(record.at, record.rcode, record.source) for record in buffer.take()] == [
        (1.5, 0, "cache"),
        (2.5, None, "rate_limit"),
    ]


def test_every_sink_is_given_everything_in_order() -> None:
    buffer = RecordBuffer(only_blocked=False)
    sinks = [ListedSink("one"), ListedSink("two")]
    reader = RecordReader([buffer], sinks, now=lambda: 10.0, wall=wall)
    noted = [bytes((number,)) for number in range(RECORDS_PER_TURN_MAX * 2 + 1)]
    for octets in noted:
        buffer.note(PEER, octets, ANSWER)
    reader.drain()
    assert [octets_of(sink) for sink in sinks] == [noted, noted]
    assert set(sinks[0].offsets) == {990.0}
    assert reader.facts() == (SinkFacts("one", len(noted), 0), SinkFacts("two", len(noted), 0))


def test_a_source_that_never_runs_dry_does_not_keep_the_reader() -> None:
    class Spring:
        def lost(self, *, only_blocked: bool) -> int:
            return 0

        def take(self) -> list[Record]:
            return [Record(0.0, PEER, b"", 0, "cache", PASS)]

    buffer, sink = RecordBuffer(only_blocked=False), ListedSink()
    buffer.note(PEER, b"of another source", ANSWER)
    reader = RecordReader([Spring(), buffer], [sink], wall=wall)
    reader.drain()
    assert octets_of(sink) == [b"", b"of another source"]


def test_a_source_that_is_always_full_keeps_no_other_waiting() -> None:
    class Flood:
        parts_left = 100

        def lost(self, *, only_blocked: bool) -> int:
            return 0

        def take(self) -> list[Record]:
            self.parts_left -= 1
            return [Record(0.0, PEER, b"flood", 0, "cache", PASS)] * (
                RECORDS_PER_TURN_MAX if self.parts_left else 0
            )

    buffer, sink = RecordBuffer(only_blocked=False), ListedSink()
    noted = [bytes((number,)) for number in range(RECORDS_PER_TURN_MAX + 1)]
    for octets in noted:
        buffer.note(PEER, octets, ANSWER)
    RecordReader([Flood(), buffer], [sink], wall=wall).drain()
    found = octets_of(sink)
    assert [octets for octets in found if octets != b"flood"] == noted
    assert found.index(noted[-1]) <= 3 * RECORDS_PER_TURN_MAX
    assert found.count(b"flood") == 99 * RECORDS_PER_TURN_MAX


def test_wall_time_that_is_set_while_much_waits_is_seen() -> None:
    times = iter((1000.0, 5000.0))
    buffer, sink = RecordBuffer(only_blocked=False), ListedSink()
    for _ in range(RECORDS_PER_TURN_MAX + 1):
        buffer.note(PEER, b"", ANSWER)
    RecordReader([buffer], [sink], now=lambda: 10.0, wall=lambda: next(times)).drain()
    assert sink.offsets == [990.0, 4990.0]


def test_what_a_buffer_lost_is_lost_to_every_sink() -> None:
    buffer = RecordBuffer(only_blocked=False, records_max=1)
    sinks = [ListedSink("one"), ListedSink("two")]
    sinks[1].lost = 5
    reader = RecordReader([buffer], sinks, wall=wall)
    for _ in range(3):
        buffer.note(PEER, b"", ANSWER)
    assert reader.facts() == (SinkFacts("one", 0, 2), SinkFacts("two", 0, 7))


def test_a_defect_in_one_sink_costs_only_its_records(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("a defect")

    buffer = RecordBuffer(only_blocked=False)
    broken, sound = ListedSink("broken", fail), ListedSink("sound")
    reader = RecordReader([buffer], [broken, sound], wall=wall)
    buffer.note(PEER, b"", ANSWER)
    reader.drain()
    assert reader.facts() == (SinkFacts("broken", 0, 1), SinkFacts("sound", 1, 0))
    assert "a defect" in caplog.text


def test_a_defect_in_one_source_costs_no_other_its_records(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def lost(self, *, only_blocked: bool) -> int:
            return 0

        def take(self) -> list[Record]:
            raise RuntimeError("a defect")

    buffer, sink = RecordBuffer(only_blocked=False), ListedSink()
    buffer.note(PEER, b"sound", ANSWER)
    RecordReader([Broken(), buffer], [sink], wall=wall).drain()
    assert octets_of(sink) == [b"sound"]
    assert "a defect" in caplog.text


def test_the_thread_reads_by_itself_and_takes_what_is_left_when_it_ends() -> None:
    buffer, sink = RecordBuffer(only_blocked=False), ListedSink()
    reader = RecordReader([buffer], [sink], wall=wall)
    reader.start()
    buffer.note(PEER, b"first", ANSWER)
    assert sink.is_given.wait(5)
    noted = [bytes((number,)) for number in range(100)]
    for octets in noted:
        buffer.note(PEER, octets, ANSWER)
    reader.close(5)
    assert octets_of(sink) == [b"first", *noted]


def test_a_sink_that_takes_long_delays_the_end_no_longer_than_it_may() -> None:
    go_on = threading.Event()
    buffer = RecordBuffer(only_blocked=False)

    def wait() -> None:
        go_on.wait(5)

    sink = ListedSink(on_write=wait)
    reader = RecordReader([buffer], [sink], wall=wall)
    reader.start()
    for _ in range(10 * RECORDS_PER_TURN_MAX):
        buffer.note(PEER, b"", ANSWER)
    reader.close(0.01)
    go_on.set()
    reader.close(5)
    assert 0 < len(sink.records) <= 10 * RECORDS_PER_TURN_MAX


def test_two_threads_lose_no_record_between_them() -> None:
    buffer, sink = RecordBuffer(only_blocked=False, records_max=1000), ListedSink()
    reader = RecordReader([buffer], [sink], wall=wall)
    reader.start()
    for number in range(20_000):
        buffer.note(PEER, number.to_bytes(4, "big"), ANSWER)
    reader.close(10)
    numbers = [int.from_bytes(octets, "big") for octets in octets_of(sink)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + buffer.lost() == 20_000


def test_answers_are_kept_for_those_who_want_them_and_count_as_octets() -> None:
    answer = Respond(b"answer", 0, 1, Source.CACHE)
    plain = RecordBuffer(only_blocked=False, octets_max=6)
    full = RecordBuffer(only_blocked=False, has_answers=True, octets_max=6)
    for buffer in (plain, full):
        buffer.note(PEER, b"query", answer)
    assert [record.tail for record in plain.take()] == [None]
    assert (full.take(), full.lost()) == ([], 1)
    roomy = RecordBuffer(only_blocked=False, has_answers=True)
    roomy.note(PEER, b"query", answer)
    roomy.note(PEER, b"query", Drop("rate_limit"))
    assert [record.tail for record in roomy.take()] == [b"answer", None]


def test_what_was_lost_to_a_sink_of_blocked_queries_are_blocked_queries() -> None:
    buffer = RecordBuffer(only_blocked=False, records_max=1)
    blocked = Respond(b"", 3, 1, Source.POLICY, Verdict(PolicyAction.NXDOMAIN))
    for outcome in (ANSWER, ANSWER, blocked, ANSWER):
        buffer.note(PEER, b"", outcome)
    everything, some = ListedSink("all"), ListedSink("blocked")
    some.only_blocked = True
    facts = RecordReader([buffer], [everything, some], wall=wall).facts()
    assert [(sink.name, sink.lost) for sink in facts] == [("all", 3), ("blocked", 1)]


def test_a_sink_is_started_before_records_come_and_closed_behind_the_last() -> None:
    buffer = RecordBuffer(only_blocked=False)
    seen: list[tuple[bool, bool]] = []
    sink = ListedSink(on_write=lambda: seen.append((sink.is_started, sink.is_closed)))
    reader = RecordReader([buffer], [sink], wall=wall)
    buffer.note(PEER, b"", ANSWER)
    reader.start()
    reader.close(5)
    assert seen == [(True, False)]
    assert sink.is_closed
