"""Our own records: octets that others read as we mean them."""

from __future__ import annotations

import struct

import dns.message
import pytest

from resolver.wire.records import (
    QNAME_POINTER,
    address_body,
    cname_record,
    hinfo_body,
    ptr_record,
    record,
    soa_record,
    txt_record,
)
from tests.wirebuild import header, query, question, wire_name

PTR_OWNER = "1.2.0.192.in-addr.arpa"


def read(body: bytes, count: int, asked: bytes | None = None) -> list[str]:
    octets = header(0x8180, (1, count, 0, 0)) + (asked or question()) + body
    return [str(rrset) for rrset in dns.message.from_wire(octets, one_rr_per_rrset=True).answer]


def test_addresses_stand_in_order_at_the_question_s_name() -> None:
    body = address_body(query(), [b"\xc0\0\2\1", b"\xc0\0\2\2"], 300)
    assert read(body, 2) == ["www.example.org. 300 IN A 192.0.2.1", "www.example.org. 300 IN A 192.0.2.2"]
    body = address_body(query(qtype=28), [bytes.fromhex("20010db8") + b"\0" * 12], 5)
    assert read(body, 1, question(qtype=28)) == ["www.example.org. 5 IN AAAA 2001:db8::"]
    assert address_body(query(), [], 300) == b""


@pytest.mark.parametrize("owner", [QNAME_POINTER + 4, wire_name("example.org")])
def test_a_soa_is_read_back_whichever_way_its_owner_is_written(owner: bytes | int) -> None:
    soa = soa_record(owner, wire_name("m.invalid"), wire_name("r.invalid"), 1, 3600, 600, 86400, 300, ttl=300)
    assert read(soa, 1) == ["example.org. 300 IN SOA m.invalid. r.invalid. 1 3600 600 86400 300"]


def test_the_answer_to_any_is_one_hinfo() -> None:
    assert read(hinfo_body(3600), 1, question(qtype=255)) == ['www.example.org. 3600 IN HINFO "RFC8482" ""']


def test_names_and_texts_are_records_too() -> None:
    assert read(cname_record(QNAME_POINTER, wire_name("a.example"), 9), 1) == [
        "www.example.org. 9 IN CNAME a.example."
    ]
    assert read(ptr_record(QNAME_POINTER, wire_name("a.example"), 9), 1, question(PTR_OWNER, 12)) == [
        f"{PTR_OWNER}. 9 IN PTR a.example."
    ]
    assert read(txt_record(QNAME_POINTER, "hello", 9), 1, question(qtype=16)) == [
        'www.example.org. 9 IN TXT "hello"'
    ]


def test_a_text_is_cut_at_255_octets_between_characters() -> None:
    octets = txt_record(QNAME_POINTER, "é" * 200, 0)
    assert octets[10:13] == b"\0\xff\xfe" and len(octets) == 12 + 1 + 254


def test_a_number_that_fits_no_field_is_a_bug_that_shows() -> None:
    with pytest.raises(struct.error):
        record(QNAME_POINTER, 70000, 0, b"")
