"""Addresses of a kept answer take turns; what else stands in it never moves."""

from __future__ import annotations

from collections import Counter

import dns.message
import pytest

from resolver.wire.response import Response
from resolver.wire.turning import TURNS_MAX, turning_part
from tests.support.wirebuild import QNAME, accepted, header, rr, rrsig, sent, soa, wire_name

A, AAAA, CNAME, HTTPS = 1, 28, 5, 65


def ipv4(number: int) -> bytes:
    return bytes((192, 0, 2, number))


def addresses(count: int, owner: bytes | str = QNAME) -> list[bytes]:
    return [rr(owner, A, ipv4(number)) for number in range(1, count + 1)]


def order(response: Response, number: int) -> list[int]:
    """The last octets of the addresses, as a client that turns by `number` gets them."""
    turning = turning_part(response)
    assert turning is not None
    asked = sent()
    head = header(0x8180, (1, response.ancount, response.nscount, 0)) + asked.question_octets
    octets = head + turning.turned(response.body, number)
    assert turning.turned_back(octets, len(head), number) == head + response.body
    message = dns.message.from_wire(octets)
    return [
        int(str(record).rpartition(".")[2])
        for rrset in message.answer
        for record in rrset
        if rrset.rdtype == A
    ]


@pytest.mark.parametrize("count", range(2, TURNS_MAX + 1))
def test_every_address_comes_first_equally_often(count: int) -> None:
    response = accepted(sent(), addresses(count))
    firsts = Counter(order(response, number)[0] for number in range(count * 7))
    assert firsts == dict.fromkeys(range(1, count + 1), 7)
    assert order(response, 1) == [*range(2, count + 1), 1]
    assert order(response, 0) == list(range(1, count + 1))


def test_of_many_addresses_each_eighth_comes_first() -> None:
    response = accepted(sent(), addresses(40))
    assert {order(response, number)[0] for number in range(256)} == set(range(1, 41, 5))
    assert sorted(order(response, 3)) == list(range(1, 41))


def test_a_chain_before_them_and_signatures_behind_them_stay() -> None:
    chain = [rr(QNAME, CNAME, wire_name("x.example.net"))]
    owner = bytes((0xC0, 12 + len(sent().question_octets) + 12))
    asked = sent(dnssec_ok=True)
    response = accepted(asked, [*chain, *addresses(3, owner), rrsig(owner, A)])
    turning = turning_part(response)
    assert turning is not None and turning.shifts == (0, 16, 32)
    body, start = response.body, response.links[0].end
    octets = turning.turned(body, 1)
    assert (
        octets == body[:start] + body[start + 16 : start + 48] + body[start : start + 16] + body[start + 48 :]
    )
    assert turning.turned_back(octets, 0, 1) == body


@pytest.mark.parametrize(
    ("qtype", "records"),
    [
        (A, addresses(1)),
        (16, [rr(QNAME, 16, b"\1a"), rr(QNAME, 16, b"\1b")]),
        # The owner of the second points to the first: turned, it would lead to itself.
        (A, [rr(QNAME, A, ipv4(1)), rr(b"\xc0\x21", A, ipv4(2))]),
        # Owners that are not all pointers.
        (A, [rr("www.example.org", A, ipv4(1)), rr(QNAME, A, ipv4(2))]),
        (A, [rr(QNAME, A, ipv4(1)), rr("www.example.org", A, ipv4(2))]),
    ],
    ids=["one", "no addresses", "pointing to each other", "written out first", "written out last"],
)
def test_what_is_in_no_such_row_stays_as_it_is(qtype: int, records: list[bytes]) -> None:
    assert turning_part(accepted(sent(qtype=qtype), records)) is None


def test_hints_of_https_and_denials_stay_as_they_are() -> None:
    hints = rr(QNAME, HTTPS, b"\0\1\0\0\4\0\x08" + ipv4(1) + ipv4(2))
    assert turning_part(accepted(sent(qtype=HTTPS), [hints])) is None
    assert turning_part(accepted(sent(), [], [soa()], flags=0x8183)) is None


def test_a_name_that_is_read_out_of_addresses_keeps_them_where_they_are() -> None:
    """Behind them a signature whose owner points into an address: turned, it would be another's."""
    asked = sent(dnssec_ok=True)
    start = 12 + len(asked.question_octets)
    hidden = rr(QNAME, A, b"\1x\xc0\x0c")
    signature = rrsig(bytes((0xC0, start + 12)), A)
    response = accepted(asked, [hidden, *addresses(2), signature])
    turning = turning_part(response)
    # It is no signature over www.example.org, so it is left out, and what is left may turn.
    assert response.ancount == 3 and turning is not None
    proof = rr(bytes((0xC0, start + 12)), 47, b"\0\0\1\x40")
    response = accepted(asked, [hidden, *addresses(2)], [proof])
    assert response.nscount == 1 and turning_part(response) is None
