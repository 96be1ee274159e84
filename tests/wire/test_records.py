"""Our own records: octets that others read as we mean them."""

from __future__ import annotations

import struct

import dns.message
import pytest

from resolver.wire.records import QNAME_POINTER, hinfo_body, record, soa_record
from tests.support.wirebuild import header, question, wire_name


def read(body: bytes, count: int, asked: bytes | None = None) -> list[str]:
    octets = header(0x8180, (1, count, 0, 0)) + (asked or question()) + body
    return [str(rrset) for rrset in dns.message.from_wire(octets, one_rr_per_rrset=True).answer]


@pytest.mark.parametrize("owner", [QNAME_POINTER + 4, wire_name("example.org")])
def test_a_soa_is_read_back_whichever_way_its_owner_is_written(owner: bytes | int) -> None:
    soa = soa_record(owner, wire_name("m.invalid"), wire_name("r.invalid"), 1, 3600, 600, 86400, 300, ttl=300)
    assert read(soa, 1) == ["example.org. 300 IN SOA m.invalid. r.invalid. 1 3600 600 86400 300"]


def test_the_answer_to_any_is_one_hinfo() -> None:
    assert read(hinfo_body(3600), 1, question(qtype=255)) == ['www.example.org. 3600 IN HINFO "RFC8482" ""']


def test_a_number_that_fits_no_field_is_a_bug_that_shows() -> None:
    with pytest.raises(struct.error):
        record(QNAME_POINTER, 70000, 0, b"")
