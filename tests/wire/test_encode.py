"""The one encoder: what goes into a reply, and what gives way when it is too long."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.encode import (
    cut_text,
    encode_malformed,
    encode_query,
    encode_response,
    response_limit,
    usual_tail,
)
from resolver.wire.numbers import Rcode
from resolver.wire.query import parse_query
from resolver.wire.records import QNAME_POINTER, record
from tests.support.for_each import for_each
from tests.support.wirebuild import ID, header, opt, option, query, query_octets, question, wire_name

A_RECORD = record(QNAME_POINTER, 1, 300, b"\xc0\0\2\1")
BLOCKED = ((15, "Example Exchange (order-1) mailto:noc@example.net"),)


def errors_of(octets: bytes) -> list[tuple[int, str | None]]:
    message = dns.message.from_wire(octets)
    return [(int(o.code), o.text) for o in message.options if isinstance(o, dns.edns.EDEOption)]


def test_a_reply_echoes_id_and_question_octet_for_octet() -> None:
    asked = query("wWw.ExAmPlE.oRg")
    reply = encode_response(asked, 0, body=A_RECORD, ancount=1, limit=512)
    assert reply == header(0x8180, (1, 1, 0, 0)) + question("wWw.ExAmPlE.oRg") + A_RECORD


def test_only_rd_and_cd_are_copied_from_the_query() -> None:
    reply = encode_response(query(flags=0x07FF), 0, limit=512, ra=False)
    assert reply[2:4] == bytes((0x81, 0x10))
    reply = encode_response(query(flags=0x0000), 0, limit=512, ra=False)
    assert reply[2:4] == bytes((0x80, 0x00))


def test_flags_are_set_when_asked_for() -> None:
    reply = encode_response(query(flags=0), 5, limit=512, aa=True, ad=True, truncated=True)
    assert reply[2:4] == bytes((0x86, 0xA5))


def test_no_opt_and_no_error_go_to_a_client_without_opt() -> None:
    reply = encode_response(query(), 3, limit=512, ede=BLOCKED, options=((11, b"\0\x64"),))
    assert reply == header(0x8183) + question()


@pytest.mark.parametrize("flags", [0, 0x8000, 0xFFFF])
def test_an_opt_is_answered_with_an_opt_of_our_own(flags: int) -> None:
    asked = query(additional=opt(4096, 0, flags, option(65001, b"x")))
    reply = encode_response(asked, 0, limit=1232)
    assert reply.endswith(opt(1232, 0, flags & 0x8000))


def test_a_blocked_answer_carries_its_reason() -> None:
    reply = encode_response(query(additional=opt()), 3, limit=1232, ede=BLOCKED)
    assert errors_of(reply) == list(BLOCKED)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN


def test_two_errors_are_both_sent() -> None:
    both = (*BLOCKED, (4, ""))
    assert errors_of(encode_response(query(additional=opt()), 0, limit=1232, ede=both)) == [
        BLOCKED[0],
        (4, None),
    ]


def test_badvers_is_sent_in_the_opt() -> None:
    reply = encode_response(query(additional=opt(version=1)), Rcode.BADVERS, limit=1232)
    assert reply == header(0x8180, (1, 0, 0, 1)) + question() + opt(upper=1)


def test_a_wide_rcode_without_opt_becomes_servfail() -> None:
    assert encode_response(query(), 23, limit=512)[3] & 0xF == Rcode.SERVFAIL


def test_error_text_is_cut_to_200_octets_at_a_character() -> None:
    reply = encode_response(query(additional=opt()), 3, limit=1232, ede=((15, "a" + "é" * 150),))
    ((_, text),) = errors_of(reply)
    assert text == "a" + "é" * 99
    assert cut_text("é" * 3, 3) == "é".encode()
    assert cut_text("\ud800", 10) == b"?"


def test_error_text_gives_way_before_records() -> None:
    asked = query(additional=opt())
    body = A_RECORD * 30
    room = asked.question_end + len(body) + 11
    shortened = encode_response(asked, 0, body=body, ancount=30, limit=room + 10, ede=BLOCKED)
    assert errors_of(shortened) == [(15, BLOCKED[0][1][:4])]
    bare = encode_response(asked, 0, body=body, ancount=30, limit=room + 6, ede=BLOCKED)
    assert errors_of(bare) == [(15, None)]
    none = encode_response(asked, 0, body=body, ancount=30, limit=room + 5, ede=BLOCKED)
    assert errors_of(none) == []
    for reply in (shortened, bare, none):
        message = dns.message.from_wire(reply)
        assert len(message.answer[0]) == 1 and message.sections[1]
        assert not message.flags & dns.flags.TC
        assert reply[6:8] == b"\0\x1e"


def test_what_does_not_fit_is_truncated_to_question_and_opt() -> None:
    asked = query(additional=opt(65535, flags=0x8000))
    body = A_RECORD * 100
    reply = encode_response(asked, 0, body=body, ancount=100, limit=response_limit(asked, False), ede=BLOCKED)
    assert reply == header(0x8380, (1, 0, 0, 1)) + question() + opt(flags=0x8000)


def test_a_stream_gives_the_same_answer_whole() -> None:
    asked = query(additional=opt(65535))
    body = A_RECORD * 100
    limit = response_limit(asked, True)
    reply = encode_response(asked, 0, body=body, ancount=100, limit=limit)
    assert limit == 65535
    assert body in reply and not reply[2] & 2


def test_over_a_stream_the_records_that_fit_beside_the_opt_are_sent() -> None:
    asked = query("example.org", additional=opt(65535))
    whole = (65535 - asked.question_end) // len(A_RECORD)
    body = A_RECORD * whole
    room = 65535 - asked.question_end - 11
    assert len(body) > room
    reply = encode_response(
        asked, 0, body=body, ancount=whole, limit=response_limit(asked, True), ede=BLOCKED
    )
    fitting = room // len(A_RECORD)
    assert reply == (
        header(0x8380, (1, fitting, 0, 1))
        + asked.octets[12 : asked.question_end]
        + A_RECORD * fitting
        + opt()
    )
    # What stands in the authority section goes first.
    nscount = whole - fitting + 1
    reply = encode_response(asked, 0, body=body, ancount=fitting - 1, nscount=nscount, limit=65535)
    assert reply[4:12] == struct.pack("!4H", 1, fitting - 1, 1, 1) and reply[2] & 2
    # Without OPT there is room for all.
    plain = query("example.org")
    reply = encode_response(plain, 0, body=body, ancount=whole, limit=65535)
    assert reply.endswith(body) and not reply[2] & 2


@pytest.mark.parametrize("octets", [b"x" * 65530, b"\0\0\1\0\1\0\0\0\0\xff\xff" * 5957])
def test_over_a_stream_octets_that_are_no_records_are_left_out(octets: bytes) -> None:
    asked = query(additional=opt())
    reply = encode_response(asked, 0, body=octets, ancount=5000, limit=65535)
    assert reply == header(0x8380, (1, 0, 0, 1)) + asked.octets[12 : asked.question_end] + opt()


@for_each("text", [".", "a.example", "a" * 60 + ".example", ".".join(["a" * 60] * 4)])
@for_each("additional", [None, opt(), opt(1232, rdata=option(10, b"12345678"))])
def test_any_over_a_datagram_gets_at_most_half_as_much_again(text: str, additional: bytes | None) -> None:
    asked = query(text, 255, additional=additional)
    assert response_limit(asked, False) == min(
        len(asked.octets) * 3 // 2, 512 if additional is None else 1232
    )
    reply = encode_response(
        asked, 0, body=A_RECORD * 20, ancount=20, limit=response_limit(asked, False), ede=BLOCKED
    )
    assert len(reply) <= len(asked.octets) and reply[2] & 2
    assert response_limit(asked, True) == 65535


def test_truncation_keeps_stream_options_while_they_fit() -> None:
    asked = query(additional=opt(512))
    reply = encode_response(asked, 0, body=b"x" * 600, ancount=9, limit=512, options=((11, b"\0\x64"),))
    assert reply.endswith(opt(rdata=option(11, b"\0\x64")))
    reply = encode_response(asked, 0, body=b"", limit=512, options=((12, b"\0" * 600),), ede=BLOCKED)
    assert reply.endswith(opt()) and not reply[2] & 2


@pytest.mark.parametrize(
    ("payload", "limit"),
    [(None, 512), (0, 512), (512, 512), (600, 600), (1232, 1232), (1233, 1232), (65535, 1232)],
)
def test_udp_replies_stay_within_the_client_s_size_and_1232(payload: int | None, limit: int) -> None:
    assert response_limit(query(additional=None if payload is None else opt(payload)), False) == limit


@pytest.mark.parametrize("flags", [0x0000, 0x0100, 0x7800, 0x7FFF, 0x2FFF])
def test_a_malformed_query_is_answered_with_a_bare_header(flags: int) -> None:
    reply = encode_malformed(header(flags, (7, 7, 7, 7)) + b"junk", Rcode.NOTIMP)
    assert reply == header(0x8000 | flags & 0x7900 | 4, (0, 0, 0, 0))
    assert encode_malformed(b"\0" * 11, Rcode.FORMERR) == b""


def test_an_upstream_query_is_plain_recursive_and_keeps_the_caller_s_case() -> None:
    octets = encode_query(
        wire_name("wWw.example.org"), 28, id=ID, dnssec_ok=False, checking_disabled=False, edns=False
    )
    assert octets == header(0x0100) + question("wWw.example.org", 28)


def test_an_upstream_query_carries_do_and_cd() -> None:
    octets = encode_query(
        wire_name("www.example.org"), 1, id=ID, dnssec_ok=True, checking_disabled=True, edns=True
    )
    assert octets == header(0x0110, (1, 0, 0, 1)) + question() + opt(flags=0x8000)


@settings(max_examples=300)
@given(
    records=st.integers(0, 120),
    payload=st.one_of(st.none(), st.integers(0, 2000)),
    text=st.text(max_size=300),
    codes=st.integers(0, 3),
    rcode=st.sampled_from([0, 2, 3, 5, 16]),
)
def test_every_reply_fits_its_limit_and_dnspython_reads_it(
    records: int, payload: int | None, text: str, codes: int, rcode: int
) -> None:
    asked = query(additional=None if payload is None else opt(payload, flags=0x8000))
    limit = response_limit(asked, False)
    reply = encode_response(
        asked, rcode, body=A_RECORD * records, ancount=records, limit=limit, ede=((15, text),) * codes
    )
    assert len(reply) <= limit
    message = dns.message.from_wire(reply)
    assert message.question[0].to_text() == "www.example.org. IN A"
    assert (message.edns == 0) == (payload is not None)
    assert bool(message.flags & dns.flags.TC) == (
        len(query_octets()) + 16 * records + 11 * asked.has_opt > limit
    )
    assert message.rcode() == (rcode if asked.has_opt or rcode < 16 else 2)


def test_a_reply_is_itself_no_query() -> None:
    reply = encode_response(query(), 0, limit=512)
    assert getattr(parse_query(reply), "reason", None) == "response"


@for_each("records", [0, 1, 20, 40])
@for_each("rcode", [Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.BADVERS])
@for_each("flags", [0, 0x0010, 0x0100, 0x0130])
@for_each("edns", [None, False, True])
def test_the_usual_reply_is_what_the_encoder_writes_or_nothing(
    records: int, rcode: Rcode, flags: int, edns: bool | None
) -> None:
    asked = query(flags=flags, additional=None if edns is None else opt(flags=0x8000 if edns else 0))
    body = A_RECORD * records
    tail = usual_tail(asked, rcode, body, records, 0)
    if tail:
        assert tail == encode_response(asked, rcode, body=body, ancount=records, limit=512)[2:]
    else:
        assert rcode > 15 or len(asked.octets) + len(body) > 512
