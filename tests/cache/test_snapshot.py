"""A cache written down and read again, by either engine, knows what it knew, and nothing that nobody said."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.cache import AnyCache, CacheEntry, NativeCache, ResponseCache
from resolver.cache.snapshot import Loaded, load_records, portions, records_of
from resolver.wire.question import Question
from resolver.wire.response import Response, SentQuery, accept_response
from tests.fuzz.corpus import ANSWER_ID, answers
from tests.support.wirebuild import accepted, rr, sent, soa, wire_name

VECTORS = Path(__file__).parents[1] / "vectors" / "responses.yaml"
NAME = wire_name("www.example.org")
GOOD_A = rr(NAME, 1, b"\xc0\0\2\1")
MEGABYTE = 1 << 20
ENGINES = ["python", "native"]


def make_cache(engine: str, octets_max: int = MEGABYTE, **bounds: int) -> AnyCache:
    if engine == "python":
        return ResponseCache(octets_max, **bounds)
    module: Any = pytest.importorskip("resolver_native")
    return NativeCache(module.Cache(octets_max, **bounds))


def written(cache: AnyCache, now: float) -> bytes:
    if isinstance(cache, ResponseCache):
        return b"".join(records_of(cache, now))
    place: int | None = 0
    parts = []
    while place is not None:
        place, octets = cache.core.snapshot(place, 1000, now)
        parts.append(octets)
    return b"".join(parts)


def load(cache: AnyCache, octets: bytes, away_s: float, now: float) -> tuple[int, int]:
    if isinstance(cache, ResponseCache):
        loaded = Loaded()
        for _ in load_records(cache, octets, away_s, now, loaded):
            pass
        return loaded.kept, loaded.refused
    return cache.core.load(octets, away_s, now)


def known() -> list[tuple[Question, Response]]:
    """Every answer of the vectors and of the fuzzers' corpus that may be kept."""
    found = []
    for case in yaml.safe_load(VECTORS.read_text()):
        facts = dict(case["sent"])
        asked = SentQuery(**{**facts, "qname": bytes.fromhex(facts["qname"])})
        response = accept_response(bytes.fromhex(case["octets"]), asked)
        if isinstance(response, Response) and asked.qclass == 1:
            found.append((Question(asked.name, asked.qtype, asked.dnssec_ok), response))
    for answer in answers():
        asked = SentQuery(ANSWER_ID, answer.qname, answer.qtype, 1, edns=True, dnssec_ok=answer.dnssec_ok)
        response = accept_response(answer.octets, asked)
        if isinstance(response, Response):
            found.append((Question(asked.name, asked.qtype, asked.dnssec_ok), response))
    assert len(found) > 50
    return found


def facts(entry: CacheEntry | None) -> tuple[Any, ...] | None:
    if entry is None:
        return None
    return entry.response, entry.stored_at, entry.expires_at, entry.stale_until


@pytest.mark.parametrize("reader", ENGINES)
@pytest.mark.parametrize("writer", ENGINES)
def test_whatever_an_upstream_may_say_is_the_same_afterwards(writer: str, reader: str) -> None:
    for question, response in known():
        before, after = make_cache(writer), make_cache(reader)
        kept = before.store(question, response, 1000.0)
        octets = written(before, 1030.0)
        assert load(after, octets, 20.0, 5050.0) == ((0, 0) if kept is None else (1, 0)), question
        if kept is None:
            continue
        found = after.lookup(question, 5050.0)
        assert found is not None and found.response == kept.response, question
        # 30 s old when it was written, and 20 s later.
        assert found.stored_at == pytest.approx(5000.0)
        assert found.expires_at - found.stored_at == pytest.approx(kept.expires_at - kept.stored_at)
        assert found.stale_until - found.stored_at == pytest.approx(kept.stale_until - kept.stored_at)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bits_of_a_question_are_kept_apart(engine: str) -> None:
    before, after = make_cache(engine), make_cache("python")
    for number, (dnssec_ok, disabled) in enumerate(
        [(False, False), (False, True), (True, False), (True, True)]
    ):
        answer = accepted(sent(), [rr(NAME, 1, bytes([192, 0, 2, number]))])
        before.store(Question(NAME, 1, dnssec_ok, disabled), answer, 0.0)
    assert load(after, written(before, 1.0), 0.0, 1.0) == (4, 0)
    for number, (dnssec_ok, disabled) in enumerate(
        [(False, False), (False, True), (True, False), (True, True)]
    ):
        found = after.lookup(Question(NAME, 1, dnssec_ok, disabled), 1.0)
        assert found is not None and found.response is not None
        assert found.response.addresses == (bytes([192, 0, 2, number]),)


@pytest.mark.parametrize("reader", ENGINES)
@pytest.mark.parametrize("writer", ENGINES)
def test_a_denial_beside_records_and_records_after_a_denial_mean_what_they_did(
    writer: str, reader: str
) -> None:
    positive = accepted(sent(), [GOOD_A])
    denial = accepted(sent(qtype=28), [], [soa()], flags=0x8183)
    before, after = make_cache(writer), make_cache(reader)
    before.store(Question(NAME, 1), positive, 0.0)
    before.store(Question(NAME, 28), denial, 1.0)
    other = wire_name("api.example.org")
    before.store(
        Question(other, 28), accepted(sent("api.example.org", qtype=28), [], [soa()], flags=0x8183), 0.0
    )
    before.store(Question(other, 1), accepted(sent("api.example.org"), [rr(other, 1, bytes(4))]), 1.0)
    load(after, written(before, 2.0), 0.0, 2.0)
    for question in (
        Question(NAME, 1),
        Question(NAME, 28),
        Question(NAME, 16),
        Question(other, 1),
        Question(other, 28),
    ):
        was, now = before.lookup(question, 2.0), after.lookup(question, 2.0)
        assert (was is None) == (now is None), question
        if was is not None and now is not None:
            assert was.response == now.response, question


@pytest.mark.parametrize("engine", ENGINES)
def test_ttls_run_on_while_no_server_runs(engine: str) -> None:
    before, after = make_cache(engine), make_cache(engine)
    before.store(Question(NAME, 1), accepted(sent(), [GOOD_A]), 0.0)
    load(after, written(before, 100.0), 150.0, 9000.0)
    found = after.lookup(Question(NAME, 1), 9000.0)
    assert found is not None and found.is_fresh(9000.0 + 49.0) and not found.is_fresh(9000.0 + 51.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_too_old_for_anything_is_neither_written_nor_read(engine: str) -> None:
    before = make_cache(engine, stale_max_s=100)
    before.store(Question(NAME, 1), accepted(sent(), [GOOD_A]), 0.0)
    assert written(before, 400.1) == b""
    octets = written(before, 399.0)
    assert load(make_cache(engine, stale_max_s=100), octets, 2.0, 0.0) == (0, 1)
    assert load(make_cache(engine, stale_max_s=200), octets, 2.0, 0.0) == (1, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_failures_are_not_written(engine: str) -> None:
    cache = make_cache(engine)
    cache.store_failure(Question(NAME, 1), (22, "no upstream answered"), 0.0)
    assert written(cache, 0.0) == b""


@pytest.mark.parametrize("engine", ENGINES)
def test_bounds_of_the_settings_of_now_hold(engine: str) -> None:
    before = make_cache(engine)
    before.store(Question(NAME, 1), accepted(sent(), [GOOD_A]), 0.0)
    after = make_cache(engine, ttl_max_s=20)
    load(after, written(before, 10.0), 0.0, 10.0)
    found = after.lookup(Question(NAME, 1), 10.0)
    assert found is not None and found.is_fresh(19.0) and not found.is_fresh(21.0)


def test_what_is_used_often_stays_popular() -> None:
    cache = ResponseCache(MEGABYTE)
    names = [wire_name(f"n{number}.example.org") for number in range(3)]
    for number, name in enumerate(names):
        answer = accepted(sent(f"n{number}.example.org"), [rr(name, 1, bytes(4))])
        cache.store(Question(name, 1), answer, 0.0)
    for _ in range(5):
        cache.lookup(Question(names[2], 1), 1.0)
    uses = {octets[26:29]: octets[13] for octets in records_of(cache, 1.0)}
    assert sorted(uses.values()) == [0, 0, 3]
    after = ResponseCache(MEGABYTE)
    load(after, b"".join(records_of(cache, 1.0)), 0.0, 1.0)
    assert sorted(seat.entry.frequency for seat in after.seats()) == [0, 0, 3]


def record(message: bytes, *, age_s: float = 1.0, flags: int = 0, uses: int = 0) -> bytes:
    return struct.pack("<IdBB", 10 + len(message), age_s, flags, uses) + message


def message(
    answer: bytes = b"", *, flags: int = 0x8080, counts: tuple[int, int] = (1, 0), qname: bytes = NAME
) -> bytes:
    return struct.pack("!HHHHHH", 0, flags, 1, *counts, 0) + qname + b"\0\1\0\1" + answer


WHOLE = record(message(GOOD_A))
FOREIGN: dict[str, Callable[[], bytes]] = {
    "another owner": lambda: record(message(rr(wire_name("other.example"), 1, bytes(4)))),
    "a query": lambda: record(message(flags=0x0100, counts=(0, 0))),
    "a failure": lambda: record(message(flags=0x8082, counts=(0, 0))),
    "truncated": lambda: record(message(GOOD_A, flags=0x8280)),
    "more records than octets": lambda: record(message(GOOD_A, counts=(9, 0))),
    "a name in upper case": lambda: record(message(GOOD_A, qname=wire_name("WWW.example.org"))),
    "a name with a pointer": lambda: record(message(GOOD_A, qname=b"\xc0\x0c")),
    "no name": lambda: record(bytes(12)),
    "nothing": lambda: record(b"\0"),
    "learned in time to come": lambda: record(message(GOOD_A), age_s=-5.0),
    "learned at no time": lambda: record(message(GOOD_A), age_s=math.nan),
    "learned for ever": lambda: record(message(GOOD_A), age_s=math.inf),
    "an answer as a denial": lambda: record(message(GOOD_A), flags=4),
    "a denial as an answer": lambda: record(message(soa(), flags=0x8083, counts=(0, 1))),
    "a TTL of 0": lambda: record(message(rr(NAME, 1, bytes(4), ttl=0))),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_upstream_could_have_said_is_refused_and_counted(what: str, engine: str) -> None:
    cache = make_cache(engine)
    assert load(cache, FOREIGN[what]() + WHOLE, 0.0, 100.0) == (1, 1)
    assert cache.entries == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "octets",
    [WHOLE[:3], WHOLE[:-1], struct.pack("<I", 10) + bytes(10), struct.pack("<I", 1 << 31) + bytes(99)],
    ids=["no length", "cut", "no message", "endless"],
)
def test_broken_records_end_it_and_are_counted(octets: bytes, engine: str) -> None:
    cache = make_cache(engine)
    assert load(cache, WHOLE + octets, 0.0, 100.0) == (1, 1)


@settings(max_examples=300)
@given(noise=st.binary(max_size=200), at=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_no_octets_raise(noise: bytes, at: int, bit: int) -> None:
    turned = bytearray(WHOLE)
    turned[at] ^= 1 << bit
    for octets in (noise, bytes(turned), bytes(turned) + noise):
        cache = ResponseCache(MEGABYTE)
        kept, _ = load(cache, octets, 0.0, 100.0)
        assert cache.entries == kept


@given(
    sizes=st.lists(st.integers(1, 400), max_size=20),
    octets_max=st.integers(1, 1000),
    tail=st.binary(max_size=9),
)
def test_portions_are_whole_records_and_lose_nothing(sizes: list[int], octets_max: int, tail: bytes) -> None:
    records = [record(bytes(size)) for size in sizes]
    octets = b"".join(records) + tail
    parts = list(portions(octets, octets_max))
    assert b"".join(parts) == octets
    ends = {sum(map(len, records[:count])) for count in range(len(records) + 1)}
    at = 0
    for part in parts[:-1]:
        at += len(part)
        assert at in ends and len(part) >= octets_max
