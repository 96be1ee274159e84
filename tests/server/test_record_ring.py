"""The last query records, for whoever looks with a token: what the operator turned on, bounded, newest first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resolver.config.settings import Settings
from resolver.flow.clients import Standing
from resolver.flow.outcome import Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.clients import ShownClients
from resolver.observe.records import Record
from resolver.policy.verdict import PASS
from resolver.server.record_ring import KEPT_MAX, KEPT_OCTETS_MAX, PER_SECOND_MAX, RecordRing, make_ring
from resolver.sinks.look import Look
from resolver.sinks.making import Maker
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from tests.support.fake_native import FakeRecords


def record(number: int) -> Record:
    qname = name_from_text(f"n{number}.example")
    query = encode_query(qname, 1, id=7, dnssec_ok=False, checking_disabled=False, edns=True)
    respond = Respond(b"", 0, 1, Source.CACHE)
    peer = Peer(bytes((192, 0, 2, 1)), Transport.UDP, Standing(0, is_allowed=True))
    return Record(1.0, peer, query, respond.rcode, "cache", PASS)


def ring(at: list[float]) -> RecordRing:
    return RecordRing(Look("jsonl", ShownClients("hidden"), only_blocked=False), lambda: at[0])


def names(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["qname"].rstrip(".") for line in lines]


def test_the_newest_come_first() -> None:
    kept = ring([0.0])
    kept.write([record(number) for number in range(5)], 0.0)
    assert names(kept.newest(2)) == ["n4.example", "n3.example"] and len(kept.newest(100)) == 5


def test_so_many_are_made_ready_in_a_second_and_so_many_kept() -> None:
    at = [0.0]
    kept = ring(at)
    for second in range(4):
        at[0] = float(second)
        for _ in range(3):
            kept.write([record(number) for number in range(PER_SECOND_MAX // 2)], 0.0)
    assert kept.written == 4 * PER_SECOND_MAX and len(kept.newest(10_000)) == KEPT_MAX
    assert kept.left_out == 2 * PER_SECOND_MAX


def test_of_the_native_planes_records_no_more_are_made_ready() -> None:
    """They come thousands at a time, and are made ready there."""
    at = [0.0]
    kept = ring(at)
    asked: list[int | None] = []

    class Made(FakeRecords):
        def written(self, look: object, offset_s: float, *, records_max: int | None = None) -> Any:
            asked.append(records_max)
            return super().written(look, offset_s, records_max=records_max)

    for second in range(2):
        at[0] = float(second)
        for _ in range(3):
            taken = Made()
            taken.made = [b"{}\n"] * (PER_SECOND_MAX - 1)
            kept.write(taken, 0.0)
    assert asked == [PER_SECOND_MAX, 1] * 2
    assert kept.written == 2 * PER_SECOND_MAX
    assert kept.left_out == 6 * (PER_SECOND_MAX - 1) - kept.written


def test_what_nobody_wants_is_not_left_out() -> None:
    kept = RecordRing(Look("jsonl", ShownClients("hidden"), only_blocked=True), lambda: 0.0)
    for _ in range(100):
        kept.write([record(number) for number in range(PER_SECOND_MAX)], 0.0)
    assert (kept.written, kept.left_out) == (0, 0)


def test_octets_are_bounded_too() -> None:
    kept = ring([0.0])
    kept._keep([b"x" * (KEPT_OCTETS_MAX // 2)] * 3)
    assert len(kept.newest(10)) == 2


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({}, False),
        ({"log": {"queries": "blocked"}}, True),
        ({"log": {"queries": "all"}, "listen": {"http": None}}, False),
    ],
)
def test_nothing_is_kept_that_the_operator_has_not_turned_on(
    settings: dict[str, object], is_kept: bool
) -> None:
    made = make_ring(Settings.model_validate(settings), Maker("host", "1"))
    assert (made is not None) is is_kept
    assert made is None or made.only_blocked
