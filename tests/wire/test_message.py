"""Whole messages for people; and dnslib kept away from what it cannot bear."""

from __future__ import annotations

import struct

import dns.message
import dns.rdatatype
import dnslib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.encode import encode_response
from resolver.wire.message import describe, rdata_text, read_message, records_from_zone
from resolver.wire.query import Malformed, Query, parse_query
from resolver.wire.response import BROKEN, accept_response
from tests.support.wirebuild import (
    QNAME,
    header,
    opt,
    option,
    query,
    query_octets,
    question,
    reply,
    rr,
    sent,
    soa,
    wire_name,
)

A = b"\xc0\0\2\1"
ZONE = """
$TTL 60
example.org.        IN SOA ns.example.org. host.example.org. 1 2 3 4 5
example.org.        IN MX 10 mx.example.org.
www.example.org. 30 IN A 192.0.2.1
*.example.org.      IN CNAME www.example.org.
txt.example.org.    IN TXT "a b" "c"
svc.example.org.    IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1
"""


def test_a_message_is_shown_section_by_section() -> None:
    ede = option(15, b"\0\x0fBlocked")
    text = describe(reply(sent(), [], [soa()], [opt(rdata=ede, flags=0x8000)], flags=0x8183))
    assert text.splitlines() == [
        ";; opcode: QUERY, status: NXDOMAIN, id: 4660",
        ";; flags: qr rd ra",
        ";; EDNS: version 0, flags: do; udp: 1232",
        ";; EDE: 15 (BLOCKED): 'Blocked'",
        ";www.example.org. IN A",
        ";; AUTHORITY:",
        "example.org. 300 IN SOA ns.example.org. host.example.org. 1 2 3 4 60",
    ]


def test_octets_that_are_no_message_are_said_to_be_none() -> None:
    for octets in (b"", b"\0" * 11, header(), reply(sent(), [rr(QNAME, 1, A)])[:-1], query_octets() + b"\0"):
        assert read_message(octets) is None
        assert "no well-formed message" in describe(octets)


def test_hostile_octets_are_escaped() -> None:
    text = describe(reply(sent("\x1b[31m.example"), [rr(QNAME, 16, b'\x05\x1b"\n\\x')]))
    assert text.isascii() and "\x1b" not in text
    assert r'"\027\034\010\092x"' in text


def test_unknown_types_and_classes_are_shown_by_number() -> None:
    octets = (
        header(0x8180, (1, 1, 0, 0)) + question(qtype=65280, qclass=42) + rr(QNAME, 65280, b"\1\2", 9, 42)
    )
    assert describe(octets).endswith("www.example.org. 9 CLASS42 TYPE65280 \\# 2 0102")


def test_extended_errors_are_read() -> None:
    ede = option(15, b"\0\x10text") + option(15, b"\0\x04") + option(15, b"\0")
    message = read_message(reply(sent(), [], [], [opt(rdata=ede, upper=1)]))
    assert message is not None
    assert message.extended_errors == ((16, "text"), (4, ""))
    assert message.rcode == 16


def test_zone_text_becomes_records_that_dnspython_reads_alike() -> None:
    records = records_from_zone(ZONE)
    assert [r.ttl_s for r in records] == [60, 60, 30, 60, 60, 60]
    oracle = [
        "SOA ns.example.org. host.example.org. 1 2 3 4 5",
        "MX 10 mx.example.org.",
        "A 192.0.2.1",
        "CNAME www.example.org.",
        'TXT "a b" "c"',
        'HTTPS 1 . alpn="h2" ipv4hint="192.0.2.1"',
    ]
    for record, text in zip(records, oracle, strict=True):
        octets = rr(record.owner, record.rtype, record.rdata)
        message = dns.message.from_wire(header(0x8180, (1, 1, 0, 0)) + question() + octets)
        assert message.answer[0].to_text().endswith(text)


@pytest.mark.parametrize("text", ["a b c d e", "example.org. IN A not-an-address"])
def test_zone_text_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="zone text"):
        records_from_zone(text)


@settings(max_examples=150)
@given(st.sampled_from([1, 2, 6, 15, 16, 33, 35, 43, 46, 47, 48, 52, 64, 65, 257]), st.binary(max_size=40))
def test_any_rdata_has_a_text(rtype: int, rdata: bytes) -> None:
    assert rdata_text(rtype, rdata).isascii()
    assert describe(header(0x8180, (1, 1, 0, 0)) + question() + rr(QNAME, rtype, rdata)).isascii()


# --- What dnslib does with octets we must bear: each trap is shown to be one, then avoided.


def test_trap_alternating_pointers() -> None:
    # Two overlapping pointers, at 191 to 192 and at 192 to 191; dnslib only refuses to go where it
    # has just been.
    labels = b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x32" + b"a" * 50
    octets = header() + labels + b"\xc0\xc0\xbf" + b"\0\1\0\1"
    assert octets[191:193] == b"\xc0\xc0"
    with pytest.raises(RecursionError):
        dnslib.DNSRecord.parse(octets)
    assert isinstance(parse_query(octets), Malformed)
    assert read_message(octets) is None
    as_answer = header(0x8180, (1, 1, 0, 0)) + question() + octets[len(header() + question()) :]
    assert accept_response(as_answer, sent()) is BROKEN


@pytest.mark.parametrize("length", [64, 127, 191])
def test_trap_labels_over_63_octets(length: int) -> None:
    octets = header() + bytes((length,)) + b"a" * length + b"\0\0\1\0\1"
    assert len(dnslib.DNSRecord.parse(octets).q.qname.label[0]) == length
    assert isinstance(parse_query(octets), Malformed)
    assert read_message(octets) is None


def test_trap_labels_that_are_not_utf_8() -> None:
    octets = header() + b"\2\xff\xfe\0\0\1\0\1"
    with pytest.raises(dnslib.DNSError):
        dnslib.DNSRecord.parse(octets)
    parsed = parse_query(octets)
    assert isinstance(parsed, Query) and parsed.qname == b"\2\xff\xfe\0"
    assert r"\255\254" in describe(octets)


def test_trap_a_last_empty_edns_option() -> None:
    octets = query_octets(additional=opt(rdata=option(10)))
    assert not dnslib.DNSRecord.parse(octets).ar[0].rdata
    parsed = parse_query(octets)
    assert isinstance(parsed, Query) and parsed.options == ((10, b""),)


def test_trap_a_reply_takes_over_flags() -> None:
    octets = query_octets(flags=0x0330)
    assert dnslib.DNSRecord.parse(octets).reply().header.aa == 1
    reply_flags = struct.unpack_from("!H", encode_response(query(flags=0x0330), 0, limit=512), 2)[0]
    assert reply_flags == 0x8190


def test_trap_truncation_drops_question_and_opt() -> None:
    octets = query_octets(additional=opt())
    dropped = dnslib.DNSRecord.parse(octets).truncate()
    assert not dropped.questions and not dropped.ar
    kept = encode_response(query(additional=opt()), 0, body=b"x" * 2000, ancount=1, limit=512)
    assert kept == header(0x8380, (1, 0, 0, 1)) + question() + opt()


def test_trap_records_without_rdata() -> None:
    octets = reply(sent(), [rr(QNAME, 1, b"")])
    with pytest.raises(dnslib.DNSError):
        dnslib.DNSRecord.parse(octets)
    assert read_message(octets) is None
    empty = reply(sent(qtype=65280), [rr(QNAME, 65280, b"")])
    assert describe(empty).endswith("TYPE65280 \\# 0")


def test_trap_names_in_opaque_rdata_may_not_point() -> None:
    for rtype, before in ((46, 18), (47, 0), (64, 2), (65, 2)):
        rdata = b"\0" * before + b"\xc0\x00" * 4
        assert rdata_text(rtype, rdata).startswith("\\# ")
    assert rdata_text(47, wire_name("a.example") + b"\0\1\x40") != ""
