"""The chain from qname to the final RRset: followed, put in order, rid of what it does not reach."""

from __future__ import annotations

from itertools import pairwise

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.numbers import NegativeKind, Rcode
from resolver.wire.response import (
    ChainLink,
    Refused,
    UpstreamFailure,
)
from resolver.wire.ttl import age_body
from tests.support.wirebuild import (
    QNAME,
    accept,
    accepted,
    header,
    opt,
    question,
    rr,
    rrsig,
    sent,
    soa,
    wire_name,
)

A = b"\xc0\0\2\1"
B = b"\xc0\0\2\2"
GOOD = rr(QNAME, 1, A)
WWW = wire_name("www.example.org")


# --- Chains.


def names(count: int) -> list[str]:
    return ["www.example.org", *[f"n{n}.example.net" for n in range(1, count + 1)]]


def chain_of(count: int) -> list[bytes]:
    steps = names(count)
    return [rr(one, 5, wire_name(other)) for one, other in pairwise(steps)]


def test_a_chain_is_followed_to_its_end() -> None:
    first, last = rr(QNAME, 5, b"\3web\xc0\x10", 300), rr(b"\xc0\x2d", 1, A, 60)
    response = accepted(sent(), [first, last])
    web = wire_name("web.example.org")
    assert response.body == first + last
    assert response.links == (ChainLink(web, len(first), 1),)
    assert (response.name_at_end, response.ttls, response.ttl_s) == (web, (300, 60), 60)
    assert response.addresses == (A,)


def test_a_target_that_is_a_mere_pointer_is_followed() -> None:
    up = rr(QNAME, 5, b"\xc0\x10")
    for owner in (b"\xc0\x10", b"\xc0\x2d"):
        response = accepted(sent(), [up, rr(owner, 1, A)])
        assert response.name_at_end == wire_name("example.org") and response.ancount == 2


@pytest.mark.parametrize("links", [1, 5, 11])
def test_chains_of_eleven_links_are_accepted(links: int) -> None:
    last = names(links)[-1]
    response = accepted(sent(), [*chain_of(links), rr(last, 1, A)])
    assert len(response.links) == links
    assert [link.ancount for link in response.links] == list(range(1, links + 1))
    assert [response.body[: link.end].count(b"example\3net") for link in response.links][-1] >= links - 1


@pytest.mark.parametrize("links", [12, 15])
def test_longer_chains_are_failures(links: int) -> None:
    answer = [*chain_of(links), rr(names(links)[-1], 1, A)]
    assert accept(sent(), answer) == UpstreamFailure(Rcode.SERVFAIL, False)


@pytest.mark.parametrize(
    "answer",
    [
        [rr(QNAME, 5, QNAME)],
        [rr(QNAME, 5, WWW.upper().replace(b"\3WWW", b"\3wWw"))],
        [rr(QNAME, 5, wire_name("a.example")), rr("a.example", 5, QNAME)],
        [
            rr(QNAME, 5, wire_name("a.example")),
            rr("A.example", 5, wire_name("b.example")),
            rr("b.example", 5, wire_name("A.EXAMPLE")),
        ],
    ],
)
def test_loops_are_failures(answer: list[bytes]) -> None:
    assert accept(sent(), answer) == UpstreamFailure(Rcode.SERVFAIL, False)


def test_a_shuffled_chain_is_put_in_order() -> None:
    steps = [*chain_of(3), rr("n3.example.net", 1, A)]
    response = accepted(sent(), [steps[2], steps[3], steps[0], steps[1]])
    assert [link.target for link in response.links] == [wire_name(name) for name in names(3)[1:]]
    message = dns.message.from_wire(header(0x8180, (1, 4, 0, 0)) + question() + response.body)
    assert [rrset.name.to_text() for rrset in message.answer] == [f"{name}." for name in names(3)]


def test_records_that_the_chain_does_not_reach_are_dropped() -> None:
    alien = [
        rr("victim.example", 1, B),
        rr("example.org", 2, wire_name("ns.evil.example")),
        rr(QNAME, 28, B * 4),
    ]
    for answer in ([GOOD, *alien], [*alien, GOOD], [alien[0], GOOD, alien[1], alien[2]]):
        response = accepted(sent(), answer)
        assert (response.ancount, response.addresses) == (1, (A,))
        assert b"victim" not in response.body and b"evil" not in response.body


def test_records_of_another_class_are_dropped() -> None:
    response = accepted(sent(), [GOOD, rr(QNAME, 1, B, rclass=3)])
    assert response.addresses == (A,)
    assert accepted(sent(), [rr(QNAME, 1, B, rclass=3)]).negative is NegativeKind.NODATA


def test_records_behind_a_second_cname_are_dropped() -> None:
    one, two = rr(QNAME, 5, wire_name("one.example")), rr(QNAME, 5, wire_name("two.example"))
    response = accepted(sent(), [one, two, rr("two.example", 1, B), rr("one.example", 1, A)])
    assert (response.addresses, response.ancount) == ((A,), 2)


def test_a_cname_that_was_asked_for_is_not_followed() -> None:
    response = accepted(sent(qtype=5), [rr(QNAME, 5, wire_name("a.example")), rr("a.example", 1, A)])
    assert (response.ancount, response.links, response.addresses) == (1, (), ())


def test_ns_and_glue_never_survive_a_positive_answer() -> None:
    authority = [rr("example.org", 2, wire_name("ns.evil.example"))]
    response = accepted(sent(), [GOOD], authority, [rr("ns.evil.example", 1, B), opt()])
    assert (response.body, response.nscount) == (GOOD, 0)
    signed = accepted(sent(dnssec_ok=True), [GOOD], authority, [rr("ns.evil.example", 1, B), opt()])
    assert (signed.body, signed.nscount) == (GOOD, 0)


def test_a_dname_is_kept_with_its_cname() -> None:
    dname = rr("example.org", 39, wire_name("example.net"))
    cname = rr(QNAME, 5, wire_name("www.example.net"))
    response = accepted(sent(), [dname, cname, rr("www.example.net", 1, A)])
    assert response.body == dname + cname + rr("www.example.net", 1, A)
    assert response.links == (ChainLink(wire_name("www.example.net"), len(dname + cname), 2),)


@pytest.mark.parametrize("lie", [[], [rr(QNAME, 5, wire_name("www.evil.example"))]])
def test_a_dname_speaks_for_itself(lie: list[bytes]) -> None:
    dname = rr("example.org", 39, wire_name("example.net"), 77)
    response = accepted(sent(), [dname, *lie, rr("www.example.net", 1, A), rr("www.evil.example", 1, B)])
    assert response.addresses == (A,)
    message = dns.message.from_wire(header(0x8180, (1, response.ancount, 0, 0)) + question() + response.body)
    assert [str(rrset) for rrset in message.answer][1] == "www.example.org. 77 IN CNAME www.example.net."


def test_a_dname_does_not_reach_its_own_owner() -> None:
    response = accepted(sent(), [rr(QNAME, 39, wire_name("example.net"))])
    assert (response.negative, response.links) == (NegativeKind.NODATA, ())


def test_a_dname_that_makes_the_name_too_long_is_refused() -> None:
    long = wire_name(".".join(["a" * 63] * 3 + ["b" * 58]))
    assert accept(sent(), [rr("example.org", 39, long)]) == Refused("malformed", True)


# --- Names laid over octets that change later.


@pytest.mark.parametrize("rest", [[], [rr("a", 1, B)]])
def test_a_target_read_out_of_a_ttl_does_not_change_as_the_ttl_runs_down(rest: list[bytes]) -> None:
    # The target points at its own record's TTL, which reads as the name `a` until it runs down.
    ttl_at = 12 + len(sent().question_octets) + 6
    response = accepted(sent(), [rr(QNAME, 5, bytes((0xC0, ttl_at)), 0x0161_0000), *rest], [soa(b"\0")])
    assert [link.target for link in response.links] == [b"\1a\0"]
    assert age_body(response, 7).startswith(rr(QNAME, 5, b"\1a\0", 0x0161_0000 - 7))


def test_a_target_read_past_the_question_s_name_is_written_out() -> None:
    # Offset 29 holds the question's type and class; 0x0161 0x0001 reads as the name `a`.
    asked = sent(qtype=0x0161)
    response = accepted(asked, [rr(QNAME, 5, b"\xc0\x1d")], [soa(b"\0")])
    assert response.body.startswith(rr(QNAME, 5, b"\1a\0"))


def test_pointers_to_names_proper_are_left_as_they_came() -> None:
    answer = [rr(QNAME, 5, b"\3web\xc0\x10"), rr(b"\xc0\x2d", 1, A)]
    assert accepted(sent(), answer).body == b"".join(answer)


# --- DNSSEC.


def test_signatures_reach_only_who_asked_for_them() -> None:
    answer = [GOOD, rrsig(QNAME, 1)]
    assert accepted(sent(), answer).body == GOOD
    signed = accepted(sent(dnssec_ok=True), answer)
    assert (signed.body, signed.ancount) == (b"".join(answer), 2)


def test_signatures_stand_behind_what_they_sign() -> None:
    cname, target = rr(QNAME, 5, wire_name("a.example")), rr("a.example", 1, A)
    answer = [cname, target, rrsig(QNAME, 5), rrsig("a.example", 1), rrsig(QNAME, 28)]
    response = accepted(sent(dnssec_ok=True), answer)
    assert response.ancount == 4
    assert response.links[0].ancount == 2
    assert response.body[: response.links[0].end].endswith(b"\x99" * 8)


def test_rrsig_asked_for_by_type_is_an_answer() -> None:
    assert accepted(sent(qtype=46), [rrsig(QNAME, 1), rrsig(QNAME, 28)]).ancount == 2


def test_wildcard_proof_is_kept_for_who_asked() -> None:
    nsec = rr("a.example.org", 47, wire_name("z.example.org") + b"\0\1\x40")
    ns = rr("example.org", 2, wire_name("ns.example.org"))
    authority = [ns, rrsig("example.org", 2), nsec, rrsig("a.example.org", 47)]
    response = accepted(sent(dnssec_ok=True), [GOOD, rrsig(QNAME, 1)], authority)
    assert (response.ancount, response.nscount) == (2, 2)
    assert accepted(sent(), [GOOD], authority).nscount == 0


@settings(max_examples=100)
@given(st.integers(1, 6), st.permutations(range(7)), st.booleans())
def test_dnspython_reads_every_body_behind_a_client_s_own_question(
    links: int, order: list[int], do: bool
) -> None:
    last = names(links)[-1]
    signed = [rrsig(last, 1)] if do else []
    records = [*chain_of(links), rr(last, 1, A), *signed, rr("alien.example", 1, B)]
    answer = [records[i] for i in order if i < len(records)] + records[7:]
    response = accepted(sent(dnssec_ok=do), answer)
    octets = (
        header(0x8180, (1, response.ancount, response.nscount, 0))
        + question("WWW.EXAMPLE.ORG")
        + response.body
    )
    message = dns.message.from_wire(octets, one_rr_per_rrset=True)
    assert len(message.answer) == response.ancount
    for offset, ttl in zip(response.ttl_offsets, response.ttls, strict=True):
        assert int.from_bytes(response.body[offset : offset + 4], "big") == ttl
    for link in response.links:
        assert response.body[: link.end] != b""
