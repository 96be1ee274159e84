"""Names and RDATA in hostile messages: what is refused, and at what cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable

import dns.exception
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.outcomes import SentQuery
from resolver.wire.response import BROKEN, Response, accept_response
from resolver.wire.walk import (
    POINTER_TARGETS_MAX,
    RECORDS_MAX,
    Names,
    Record,
    WireError,
    expand_rdata,
    read_name,
    skip_name,
)
from tests.support.engines import Engine
from tests.support.for_each import for_each
from tests.support.wirebuild import QNAME, header, reply, rr, sent, wire_name

BASE = b"\0" * 12 + b"\3www\7example\3org\0"
SLOWEST_S = 0.040
"""A message of 64 KiB is some 5,000 records; each costs a few microseconds, whatever it says."""
MEMORY_OCTETS_MAX = 16 << 20


def read(octets: bytes, at: int) -> bytes | None:
    try:
        return read_name(octets, at, Names())[0]
    except (WireError, IndexError):
        return None


def test_a_pointer_leads_to_an_earlier_name() -> None:
    assert read(BASE + b"\3ftp\xc0\x10", len(BASE)) == b"\3ftp\7example\3org\0"
    assert read_name(BASE + b"\xc0\x0c", len(BASE), Names()) == (b"\3www\7example\3org\0", len(BASE) + 2)


def test_a_pointer_may_lead_to_a_pointer_before_it() -> None:
    octets = BASE + b"\xc0\x10" + b"\1a" + bytes((0xC0, len(BASE)))
    assert read(octets, len(BASE) + 2) == b"\1a\7example\3org\0"


@pytest.mark.parametrize(
    "tail",
    [
        bytes((0xC0, len(BASE))),
        bytes((1, 97, 0xC0, len(BASE))),
        bytes((0xC0, len(BASE) + 2, 0xC0, len(BASE))),
        b"\xc0\x00",
        b"\xc0\x0b",
        b"\xff\xff",
        b"\xc0",
        b"\x40abc",
        b"\x80abc",
        b"\3ab",
        b"",
    ],
)
def test_pointers_that_do_not_lead_backwards_are_refused(tail: bytes) -> None:
    assert read(BASE + tail, len(BASE)) is None


def test_a_name_grown_past_255_octets_by_pointers_is_refused() -> None:
    octets = b"\0" * 12 + b"\x3f" + b"a" * 63 + b"\0"
    at = 12
    for hop in range(1, 5):
        before, at = at, len(octets)
        octets += b"\x3f" + b"b" * 63 + bytes((0xC0 | before >> 8, before & 0xFF))
        assert (read(octets, at) is None) == (hop >= 3)


@settings(max_examples=400)
@given(st.binary(max_size=60), st.integers(12, 40))
def test_dnspython_agrees_on_any_name_that_we_read(tail: bytes, at: int) -> None:
    octets = BASE + tail
    try:
        oracle = dns.name.from_wire(octets, at)[0].to_wire()
    except (dns.exception.DNSException, IndexError):
        oracle = None
    ours = read(octets, at)
    if ours is not None:
        assert ours == oracle
    elif oracle is not None:
        # Ours refuses pointers into the header, where dnspython looks for names too.
        assert any(octets[i] >= 0xC0 and octets[i + 1] < 12 for i in range(12, len(octets) - 1))


def test_skipping_a_name_ends_where_reading_it_ends() -> None:
    for tail in (b"\0", b"\1a\0", b"\1a\xc0\x0c", b"\xc0\x0c"):
        octets = BASE + tail
        assert skip_name(octets, len(BASE)) == read_name(octets, len(BASE), Names())[1] == len(octets)


@pytest.mark.parametrize(
    ("rtype", "rdata", "expanded"),
    [
        (2, b"\2ns\xc0\x10", b"\2ns\7example\3org\0"),
        (15, b"\0\5\2mx\xc0\x10", b"\0\5\2mx\7example\3org\0"),
        (6, b"\xc0\x0c\xc0\x10" + b"n" * 20, b"\3www\7example\3org\0\7example\3org\0" + b"n" * 20),
        (33, b"\0\1\0\2\0\3\xc0\x0c", b"\0\1\0\2\0\3\3www\7example\3org\0"),
        (35, b"\0\1\0\2\1u\0\1!\xc0\x0c", b"\0\1\0\2\1u\0\1!\3www\7example\3org\0"),
        (17, b"\xc0\x0c\0", b"\3www\7example\3org\0\0"),
        (26, b"\0\1\0\xc0\x0c", b"\0\1\0\3www\7example\3org\0"),
        (1, b"\xc0\x0c\xc0\x0c", b"\xc0\x0c\xc0\x0c"),
        (16, b"\xc0\x0c", b"\xc0\x0c"),
        (65280, b"\2ns\xc0\x10", b"\2ns\xc0\x10"),
        (65280, b"", b""),
    ],
)
def test_names_in_rdata_are_expanded_in_known_types_only(rtype: int, rdata: bytes, expanded: bytes) -> None:
    octets = BASE + rdata
    record = Record(b"\0", rtype, 1, 0, 0, len(BASE), len(octets))
    assert expand_rdata(octets, record, Names()) == expanded


@for_each(
    ("rtype", "rdata"),
    [
        (1, b"\1\2\3"),
        (1, b"\1\2\3\4\5"),
        (28, b"\0" * 15),
        (2, b""),
        (2, b"\0x"),
        (5, b"\xc0\x0c\0"),
        (15, b"\0\5"),
        (15, b"\0"),
        (6, b"\0\0" + b"n" * 19),
        (6, b"\0" + b"n" * 3),
        (33, b"\0\1\0\2\0\3"),
        (35, b"\0\1\0\2\xff\0\0\0"),
    ],
)
def test_rdata_that_breaks_its_layout_is_refused(rtype: int, rdata: bytes) -> None:
    octets = BASE + rdata
    record = Record(b"\0", rtype, 1, 0, 0, len(BASE), len(octets))
    with pytest.raises((WireError, IndexError)):
        expand_rdata(octets, record, Names())


def slowest_of(asked: SentQuery, octets: bytes) -> tuple[object, float]:
    """The verdict and the least CPU time of three goes: the machine's own hiccups do not count."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        verdict = accept_response(octets, asked)
        spent.append(time.process_time() - start)
    return verdict, min(spent)


MESSAGE_OCTETS_MAX = 65535
REACH = 0x4000
"""Offsets below this can be pointed to."""


def pointer(target: int) -> bytes:
    return bytes((0xC0 | target >> 8, target & 0xFF))


Bomb = tuple[SentQuery, bytes]


def full(asked: SentQuery, *records: bytes, then: Iterable[bytes]) -> Bomb:
    """A reply of `records` and as many of `then` as fit into 64 KiB."""
    sections = list(records)
    octets = 12 + len(asked.question_octets) + sum(map(len, sections))
    for record in then:
        octets += len(record)
        if octets > MESSAGE_OCTETS_MAX:
            break
        sections.append(record)
    return asked, reply(asked, sections)


def ladder(asked: SentQuery) -> tuple[bytes, list[int]]:
    """A TXT record in whose RDATA each name is one label and a pointer to the name before; where they start.

    Names grow to 255 octets, then begin anew.
    """
    start = 12 + len(asked.question_octets) + 12
    rungs = list(range(start, REACH - 4, 4))
    names = [b"\1a" + pointer(at - 4) if number % 126 else b"\1a\0\0" for number, at in enumerate(rungs)]
    return rr(QNAME, 16, b"".join(names)), rungs


def bombs() -> dict[str, Bomb]:
    asked = sent()
    good = rr(QNAME, 1, b"\xc0\0\2\1")
    start = 12 + len(asked.question_octets) + 12
    rungs, steps = ladder(asked)
    # Every octet begins a label, and every name is as long as names may be.
    runs = rr(QNAME, 16, (b"\1" * 252 + b"\0\0\0") * ((REACH - start) // 255))
    targets = [at for at in range(start, REACH - 255) if (at - start) % 255 < 250]
    three = [
        rr(pointer(one), 14, pointer(two) + pointer(three))
        for one, two, three in zip(targets[0::3], targets[1::3], targets[2::3], strict=False)
    ]
    minfo = sent(qtype=14)
    big = wire_name(".".join(["a" * 63] * 3 + ["a" * 59]))
    to_address = [rr(pointer(t), 1, b"\0" * 4) for t in targets]
    headed = header(0x8180, (1, 1, 0, 0)) + asked.question_octets
    stepping = sent("a." * 20 + "hop.example", dnssec_ok=True)
    apex = bytes((0xC0, 12 + 40))
    return {
        "alternating pointers": (asked, headed + b"\xc0\x23\xc0\x21" * 160),
        "ladder climbed from the top": full(
            asked, rungs, then=[rr(pointer(t), 1, b"\0" * 4) for t in reversed(steps)]
        ),
        "ladder climbed from below": full(asked, rungs, then=[rr(pointer(t), 1, b"\0" * 4) for t in steps]),
        "pointers into long runs": full(asked, runs, then=to_address),
        "pointers into long runs, from the back": full(asked, runs, then=reversed(to_address)),
        "three pointers into long runs a record": full(
            minfo, runs, then=[rr(QNAME, 14, record[12:]) for record in three]
        ),
        "three such pointers, in the authority": full(asked, runs, then=three),
        "long runs that are kept": full(sent(qtype=16), runs, then=to_address),
        "pointers without labels": full(
            asked,
            rr(QNAME, 16, b"\xc0\x0c" + b"".join(map(pointer, range(start, REACH - 4, 2)))),
            then=[rr(pointer(REACH - 4), 1, b"\0" * 4), *[good] * 6000],
        ),
        "compressed names that expand": full(
            asked,
            rr(QNAME, 2, big),
            then=[rr("x.example", 1, b"\0" * 4), rr(QNAME, 15, b"\0\1\xc0\x2d")] * 5000,
        ),
        "records without end": full(asked, then=[good] * RECORDS_MAX),
        "records no one asked for": full(asked, then=[rr(b"\0", 1, b"\0" * 4)] * RECORDS_MAX),
        "the least records": full(asked, then=[rr(b"\0", 16, b"")] * RECORDS_MAX),
        "one owner for all": full(asked, rr("x.example", 1, b"\0" * 4), then=[good] * RECORDS_MAX),
        "cname for every record": full(asked, then=[rr(QNAME, 5, QNAME)] * RECORDS_MAX),
        "dnames above": full(asked, then=[rr(b"\0", 39, wire_name("example.net"))] * RECORDS_MAX),
        "signatures of a dname that is taken at every step": full(
            stepping,
            rr(apex, 39, b"\1b" + wire_name("hop.example")),
            then=[rr(apex, 46, b"\0\x27" + b"\0" * 16)] * RECORDS_MAX,
        ),
        "labels without end": (asked, headed + b"\1a" * 32000),
    }


@pytest.mark.timed
@pytest.mark.parametrize("name", list(bombs()))
def test_no_message_of_64_kib_costs_more_than_its_records(name: str) -> None:
    asked, octets = bombs()[name]
    assert len(octets) <= MESSAGE_OCTETS_MAX
    verdict, spent_s = slowest_of(asked, octets)
    assert spent_s < SLOWEST_S, f"{spent_s * 1000:.1f} ms, {type(verdict).__name__}"


@for_each("name", list(bombs()))
def test_both_engines_make_the_same_of_them(name: str, engine: Engine) -> None:
    asked, octets = bombs()[name]
    assert engine.accept_response(octets, asked) == accept_response(octets, asked)


@pytest.mark.slow
@for_each("name", list(bombs()))
def test_no_message_of_64_kib_takes_more_than_a_few_megabytes(name: str) -> None:
    asked, octets = bombs()[name]
    tracemalloc.start()
    try:
        accept_response(octets, asked)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_OCTETS_MAX, f"{peak / 2**20:.1f} MiB"


def test_as_many_records_as_64_kib_hold_are_read() -> None:
    asked = sent()
    _, octets = full(asked, then=[rr(QNAME, 1, b"\xc0\0\2\1")] * RECORDS_MAX)
    verdict = accept_response(octets, asked)
    assert isinstance(verdict, Response) and verdict.ancount == int.from_bytes(octets[6:8], "big") > 4000


def test_as_many_targets_as_are_in_reach_are_followed() -> None:
    asked = sent(qtype=16)
    rungs, steps = ladder(asked)
    _, octets = full(
        asked, rungs, then=[rr(pointer(steps[-1]), 16, b""), *[rr(pointer(t), 16, b"") for t in steps]]
    )
    assert len(steps) > 4000
    assert isinstance(accept_response(octets, asked), Response)


def test_pointers_without_labels_are_followed_as_far_as_there_can_be_names() -> None:
    asked = sent(qtype=16)
    start = 12 + len(asked.question_octets) + 12
    for count, is_read in ((POINTER_TARGETS_MAX - 50, True), (POINTER_TARGETS_MAX - 10, False)):
        chain = b"\xc0\x0c" + b"".join(map(pointer, range(start, start + 2 * count - 2, 2)))
        last = start + 2 * count - 2
        if last >= REACH:
            break
        verdict = accept_response(reply(asked, [rr(QNAME, 16, chain), rr(pointer(last), 16, b"")]), asked)
        assert isinstance(verdict, Response) is is_read


def test_alternating_pointers_are_refused_where_dnslib_recurses() -> None:
    asked = sent()
    assert accept_response(bombs()["alternating pointers"][1], asked) is BROKEN
