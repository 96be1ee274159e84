"""Names and RDATA in hostile messages: what is refused, and at what cost."""

from __future__ import annotations

import time

import dns.exception
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.response import BROKEN, Response, accept_response
from resolver.wire.walk import RECORDS_MAX, Record, WireError, expand_rdata, read_name, skip_name
from tests.support.wirebuild import QNAME, header, reply, rr, sent, wire_name

BASE = b"\0" * 12 + b"\3www\7example\3org\0"
SLOWEST_S = 0.010


def read(octets: bytes, at: int) -> bytes | None:
    try:
        return read_name(octets, at, {})[0]
    except (WireError, IndexError):
        return None


def test_a_pointer_leads_to_an_earlier_name() -> None:
    assert read(BASE + b"\3ftp\xc0\x10", len(BASE)) == b"\3ftp\7example\3org\0"
    assert read_name(BASE + b"\xc0\x0c", len(BASE), {}) == (b"\3www\7example\3org\0", len(BASE) + 2)


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
        assert skip_name(octets, len(BASE)) == read_name(octets, len(BASE), {})[1] == len(octets)


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
    assert expand_rdata(octets, record, {}) == expanded


@pytest.mark.parametrize(
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
        expand_rdata(octets, record, {})


def slowest_of(octets: bytes) -> tuple[object, float]:
    """The verdict and the least CPU time of three goes: the machine's own hiccups do not count."""
    asked = sent(qtype=int.from_bytes(octets[29:31], "big"))
    spent = []
    for _ in range(3):
        start = time.process_time()
        verdict = accept_response(octets, asked)
        spent.append(time.process_time() - start)
    return verdict, min(spent)


def ladder(rungs: int) -> bytes:
    """A TXT record in whose RDATA each name is one label and a pointer to the name before."""
    start = 12 + len(sent().question_octets) + 12
    rdata = b"\1a\0"
    before = start
    while len(rdata) < rungs * 4:
        here = start + len(rdata)
        rdata += b"\1a" + bytes((0xC0 | before >> 8, before & 0xFF))
        before = here
    return rr(QNAME, 16, rdata)


def bombs() -> dict[str, bytes]:
    asked = sent()
    good = rr(QNAME, 1, b"\xc0\0\2\1")
    rungs = ladder(1200)
    first = 12 + len(asked.question_octets) + 12 + 3
    pointers = [bytes((0xC0 | (first + 4 * n) >> 8, (first + 4 * n) & 0xFF)) for n in range(1190)]
    labels = wire_name("c." * 126 + "c")
    run_start = 12 + len(asked.question_octets) + 12
    runs = rr(QNAME, 16, labels * 60)
    targets = [run_start + 255 * run + 2 * label for run in range(60) for label in range(120)]
    big = wire_name(".".join(["a" * 63] * 3 + ["a" * 59]))
    return {
        "alternating pointers": header(0x8180, (1, 1, 0, 0))
        + asked.question_octets
        + b"\xc0\x23\xc0\x21" * 160,
        "ladder climbed from the top": reply(
            asked, [rungs, *[rr(p, 1, b"\0" * 4) for p in reversed(pointers[:1000])]]
        ),
        "ladder climbed from below": reply(asked, [rungs, *[rr(p, 1, b"\0" * 4) for p in pointers[:1000]]]),
        "pointers into long runs": reply(
            asked, [runs, *[rr(bytes((0xC0 | t >> 8, t & 255)), 2, QNAME) for t in targets[:1000]]]
        ),
        "as many long runs as are followed": reply(
            asked, [runs, *[rr(bytes((0xC0 | t >> 8, t & 255)), 1, b"\0" * 4) for t in targets[:125] * 8]]
        ),
        "long runs that are kept": reply(
            sent(qtype=16),
            [runs, *[rr(bytes((0xC0 | t >> 8, t & 255)), 1, b"\0" * 4) for t in targets[:125] * 8]],
        ),
        "compressed names that expand": reply(
            asked, [rr(QNAME, 2, big), *[rr("x.example", 1, b"\0" * 4), rr(QNAME, 15, b"\0\1\xc0\x2d")] * 500]
        ),
        "records without end": reply(asked, [good] * RECORDS_MAX),
        "records no one asked for": reply(asked, [rr(b"\0", 1, b"\0" * 4)] * (RECORDS_MAX - 1) + [good]),
        "one owner for all": reply(asked, [rr("x.example", 1, b"\0" * 4)] + [good] * (RECORDS_MAX - 1)),
        "cname for every record": reply(asked, [rr(QNAME, 5, QNAME)] * RECORDS_MAX),
        "dnames above": reply(asked, [rr(b"\0", 39, wire_name("example.net"))] * RECORDS_MAX),
        "labels without end": header(0x8180, (1, 1, 0, 0)) + asked.question_octets + b"\1a" * 32000,
    }


@pytest.mark.timed
@pytest.mark.parametrize("name", list(bombs()))
def test_no_message_costs_more_than_ten_milliseconds(name: str) -> None:
    verdict, spent_s = slowest_of(bombs()[name])
    assert spent_s < SLOWEST_S, f"{spent_s * 1000:.1f} ms, {type(verdict).__name__}"


def test_more_records_than_the_limit_are_refused_unread() -> None:
    asked = sent()
    verdict = accept_response(reply(asked, [rr(QNAME, 1, b"\xc0\0\2\1")] * (RECORDS_MAX + 1)), asked)
    assert getattr(verdict, "reason", None) == "counts"


def test_as_many_records_as_the_limit_are_read() -> None:
    asked = sent()
    verdict = accept_response(reply(asked, [rr(QNAME, 1, b"\xc0\0\2\1")] * RECORDS_MAX), asked)
    assert isinstance(verdict, Response) and verdict.ancount == RECORDS_MAX


def test_alternating_pointers_are_refused_where_dnslib_recurses() -> None:
    asked = sent()
    assert accept_response(bombs()["alternating pointers"], asked) is BROKEN
