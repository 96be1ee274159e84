"""Octets from upstreams: what is the answer, what is dropped from it, what is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire import response as response_module
from resolver.wire.numbers import NegativeKind, Rcode
from resolver.wire.query import read_options
from resolver.wire.response import (
    REFUSED_REASONS,
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
    accept_response,
)
from tests.support.for_each import for_each
from tests.support.wirebuild import (
    ID,
    QNAME,
    accept,
    accepted,
    header,
    opt,
    question,
    reply,
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


def test_a_plain_answer_is_sliced_out() -> None:
    asked = sent("wWw.example.org")
    assert accepted(asked, [GOOD, rr(QNAME, 1, B)], [], [opt()]) == Response(
        0, False, GOOD + rr(QNAME, 1, B), 2, 0, (6, 22), (300, 300), None, 300, (), (), (A, B), WWW
    )


def test_the_ad_bit_is_reported() -> None:
    assert accepted(sent(), [GOOD], flags=0x81A0).authentic_data
    assert not accepted(sent(), [GOOD]).authentic_data


# --- Not what was asked (RFC 5452): drop it and keep waiting.


@for_each(
    ("octets", "reason", "near_miss"),
    [
        (b"", "short", False),
        (reply(sent(), [GOOD])[:11], "short", False),
        (reply(sent(), [GOOD], flags=0x0100), "not-response", False),
        (header(0x0100) + question("wwx.example.org"), "not-response", False),
        (header(0x0100, (1, 1, 0, 0), ID ^ 1) + question() + GOOD, "not-response", False),
        (header(0x8180, (1, 1, 0, 0), ID ^ 1) + question() + GOOD, "id", True),
        (reply(sent(), [GOOD], flags=0xA180), "malformed", True),
        (header(0xA180) + question("wwx.example.org"), "opcode", True),
        (header(0x8180, (0, 1, 0, 0)) + GOOD, "qdcount", True),
        (header(0x8180, (0, 0, 0, 0)), "qdcount", True),
        (header(0x8182, (0, 0, 0, 0)), "qdcount", True),
        (header(0x8180, (2, 0, 0, 0)) + question() * 2, "malformed", True),
        (header(0x8180, (2, 0, 0, 0)) + question("wwx.example.org") * 2, "qdcount", True),
        (header(0x8180) + question("wwx.example.org"), "question", True),
        (header(0x8180) + question(qtype=28), "question", True),
        (header(0x8180) + question(qclass=3), "question", True),
        (header(0x8180) + question("WWW.example.org"), "case", True),
        (header(0x8180) + b"\xc0\x0c\0\1\0\1", "question", True),
        (header(0x8180) + question()[:-1], "question", True),
        (header(0x8180, (1, 65535, 0, 0)) + question() + GOOD, "counts", True),
        (header(0x8180, (1, 0, 0, 2)) + question() + opt(), "counts", True),
        (reply(sent(), [GOOD])[:-1], "malformed", True),
        (reply(sent(), [rr(QNAME, 1, A + b"\0")]), "malformed", True),
        (reply(sent(), [rr(QNAME, 5, b"\1a\0x")]), "malformed", True),
        (reply(sent(), [rr(b"\xc0\x04", 1, A)]), "malformed", True),
        (reply(sent(), [GOOD], [], [opt(), opt()]), "malformed", True),
        (reply(sent(), [GOOD], [], [opt(owner=b"\1a\0")]), "malformed", True),
        (reply(sent(), [GOOD], [], [opt(rdata=b"x")[:-1]]), "malformed", True),
        (reply(sent(), [GOOD], [rr(b"\x80", 2, b"")]), "malformed", True),
    ],
)
def test_a_bad_packet_is_refused(octets: bytes, reason: str, near_miss: bool) -> None:
    assert accept_response(octets, sent()) == Refused(reason, near_miss)
    assert reason in REFUSED_REASONS


def test_the_question_must_come_back_in_the_case_it_was_sent_in() -> None:
    asked = sent("wWw.eXample.org")
    assert isinstance(accept(asked, [GOOD]), Response)
    assert accept_response(reply(sent("www.example.org"), [GOOD]), asked) == Refused("case", True)


def test_a_truncated_answer_is_not_read() -> None:
    assert accept(sent(), [GOOD], flags=0x8380) == Truncated()
    assert accept_response(reply(sent(), [GOOD], flags=0x8380)[:-9], sent()) == Truncated()


def test_a_truncated_forgery_is_still_a_forgery() -> None:
    forged = header(0x8380, (1, 0, 0, 0), ID ^ 1) + question()
    assert accept_response(forged, sent()) == Refused("id", True)


def test_octets_behind_the_last_record_change_nothing() -> None:
    assert accept_response(reply(sent(), [GOOD]) + b"junk", sent()) == accepted(sent(), [GOOD])


# --- Failures.


@pytest.mark.parametrize("rcode", [1, 4])
def test_a_server_that_stumbles_over_edns_is_to_be_asked_again_without(rcode: int) -> None:
    assert accept(sent(), flags=0x8180 | rcode) == UpstreamFailure(rcode, True)
    assert accept(sent(edns=False), flags=0x8180 | rcode) == UpstreamFailure(rcode, False)


@pytest.mark.parametrize("rcode", [2, 5, 6, 9, 15])
def test_other_failures_are_not_about_edns(rcode: int) -> None:
    assert accept(sent(), flags=0x8180 | rcode) == UpstreamFailure(rcode, False)


def test_the_upper_rcode_bits_come_from_the_opt() -> None:
    assert accept(sent(), [], [], [opt(upper=1)]) == UpstreamFailure(Rcode.BADVERS, True)
    assert accept(sent(), [GOOD], [], [opt(upper=1)], flags=0x8187) == UpstreamFailure(23, False)
    assert accept(sent(), [], [soa()], [opt(upper=1)], flags=0x8183) == UpstreamFailure(19, False)


def test_a_header_only_error_is_believed_over_a_stream_or_of_edns() -> None:
    bare = header(0x8181, (0, 0, 0, 0))
    assert accept_response(bare, sent(is_stream=True)) == UpstreamFailure(Rcode.FORMERR, True)
    assert accept_response(bare, sent()) == UpstreamFailure(Rcode.FORMERR, True)
    assert accept_response(bare, sent(edns=False)) == Refused("qdcount", True)
    assert accept_response(header(0x8182, (0, 0, 0, 0)), sent()) == Refused("qdcount", True)
    assert accept_response(header(0x8180, (0, 0, 0, 0)), sent(is_stream=True)) == Refused("qdcount", True)


def test_a_referral_of_a_server_that_does_not_recurse_is_no_answer() -> None:
    referral = [rr("example.org", 2, wire_name("ns.example.net"))]
    assert accept(sent(), [], referral, flags=0x8100) == UpstreamFailure(Rcode.SERVFAIL, False)


@pytest.mark.parametrize("flags", [0x8180, 0x8500])
def test_ns_alone_of_who_recurses_or_has_authority_is_nodata_that_is_not_kept(flags: int) -> None:
    response = accepted(sent(), [], [rr("example.org", 2, wire_name("ns.example.net"))], flags=flags)
    assert (response.negative, response.nscount, response.ttl_s) == (NegativeKind.NODATA, 0, 0)


# --- Negative answers (RFC 2308).


@pytest.mark.parametrize("do", [False, True])
def test_nxdomain_and_nodata_are_told_apart(do: bool) -> None:
    for flags, kind in ((0x8183, NegativeKind.NXDOMAIN), (0x8180, NegativeKind.NODATA)):
        response = accepted(sent(dnssec_ok=do), [], [soa(ttl=60)], [opt()], flags=flags)
        assert (response.negative, response.rcode, response.nscount) == (kind, flags & 0xF, 1)
        assert response.body == soa(ttl=60)


@for_each("do", [False, True])
@for_each(
    ("ttl", "minimum", "kept"),
    [(300, 60, 60), (60, 300, 60), (0, 60, 0), (300, 0, 0), (2**31, 60, 0), (60, 2**31, 0)],
)
def test_the_negative_ttl_is_the_lesser_of_ttl_and_minimum(
    do: bool, ttl: int, minimum: int, kept: int
) -> None:
    response = accepted(sent(dnssec_ok=do), [], [soa(ttl=ttl, minimum=minimum)], flags=0x8183)
    assert (response.ttl_s, response.ttls) == (kept, (kept,))
    assert response.body == soa(ttl=kept, minimum=minimum)


@pytest.mark.parametrize("do", [False, True])
def test_a_negative_answer_without_a_fitting_soa_is_not_to_be_kept(do: bool) -> None:
    for authority in ([], [soa("example.com")], [soa("a.www.example.org")], [soa("ample.org")]):
        response = accepted(sent(dnssec_ok=do), [], authority, flags=0x8183)
        assert (response.ttl_s, response.body, response.nscount) == (0, b"", 0)


def test_a_soa_at_any_ancestor_fits() -> None:
    for owner in (b"\0", "org", "example.org", QNAME):
        assert accepted(sent(), [], [soa(owner)], flags=0x8183).ttl_s == 60


def test_a_broken_soa_is_refused() -> None:
    cut = rr("example.org", 6, b"\0\0" + b"\0" * 19)
    assert accept(sent(), [], [cut], flags=0x8183) == Refused("malformed", True)


def test_a_chain_may_end_in_nothing() -> None:
    cname = rr(QNAME, 5, wire_name("a.example.org"), 30)
    response = accepted(sent(), [cname], [soa()], flags=0x8183)
    assert (response.negative, response.name_at_end) == (NegativeKind.NXDOMAIN, wire_name("a.example.org"))
    assert (response.ancount, response.nscount, response.ttls, response.ttl_s) == (1, 1, (30, 60), 30)
    assert response.body == cname + soa(ttl=60)


def test_the_soa_must_vouch_for_the_end_of_the_chain() -> None:
    cname = rr(QNAME, 5, wire_name("a.example.net"))
    assert accepted(sent(), [cname], [soa("example.org")], flags=0x8183).ttl_s == 0
    assert accepted(sent(), [cname], [soa("example.net")], flags=0x8183).ttl_s == 60


def test_nxdomain_with_an_answer_is_nxdomain_alone() -> None:
    response = accepted(sent(), [GOOD], [soa()], flags=0x8183)
    assert (response.ancount, response.addresses, response.negative) == (0, (), NegativeKind.NXDOMAIN)


def test_only_the_soa_of_a_negative_answer_is_kept_without_do() -> None:
    nsec = rr("example.org", 47, wire_name("z.example.org") + b"\0\1\x40")
    ns = rr("example.org", 2, wire_name("ns.example.org"))
    authority = [ns, nsec, soa(), rrsig("example.org", 6), rrsig("example.org", 47), rrsig("example.org", 2)]
    assert accepted(sent(), [], authority, flags=0x8183).nscount == 1
    assert accepted(sent(dnssec_ok=True), [], authority, flags=0x8183).nscount == 4


# --- TTLs (RFC 2181).


def test_an_rrset_has_one_ttl_the_lowest() -> None:
    response = accepted(sent(), [rr(QNAME, 1, A, 300), rr(QNAME, 1, B, 20)])
    assert (response.ttls, response.ttl_s) == ((20, 20), 20)
    assert response.body == rr(QNAME, 1, A, 20) + rr(QNAME, 1, B, 20)


@pytest.mark.parametrize("ttl", [2**31, 2**32 - 1])
def test_a_ttl_with_the_top_bit_set_is_zero(ttl: int) -> None:
    response = accepted(sent(), [rr(QNAME, 1, A, ttl)])
    assert (response.body, response.ttl_s) == (rr(QNAME, 1, A, 0), 0)
    assert accepted(sent(), [rr(QNAME, 1, A, 2**31 - 1)]).ttl_s == 2**31 - 1


# --- RDATA.


@pytest.mark.parametrize("rdata", [b"", b"\xc0\x0c", b"\0\1\2\xff" * 50])
def test_unknown_types_pass_byte_exact(rdata: bytes) -> None:
    asked = sent(qtype=65280)
    one = rr(QNAME, 65280, rdata)
    assert accepted(asked, [one]).body == one
    moved = accepted(asked, [rr("alien.example", 1, A), one])
    assert moved.body == one


def test_compressed_rdata_is_expanded_when_records_move() -> None:
    asked = sent(qtype=15)
    moved = accepted(asked, [rr("alien.example", 1, A), rr(QNAME, 15, b"\0\1\2mx\xc0\x10")])
    assert moved.body == rr(QNAME, 15, b"\0\1" + wire_name("mx.example.org"))


def https(target: bytes, *params: tuple[int, bytes], priority: int = 1) -> bytes:
    rdata = struct.pack("!H", priority) + target
    return rdata + b"".join(struct.pack("!HH", key, len(value)) + value for key, value in params)


def test_service_targets_and_hints_are_told() -> None:
    rdata = https(wire_name("SVC.example.net"), (1, b"\2h2"), (4, A + B), (6, b"\x20\1" + b"\0" * 14))
    response = accepted(sent(qtype=65), [rr(QNAME, 65, rdata)])
    assert response.service_targets == (wire_name("svc.example.net"),)
    assert response.addresses == (A, B, b"\x20\1" + b"\0" * 14)


def test_a_service_at_its_own_name_has_no_target() -> None:
    response = accepted(sent(qtype=65), [rr(QNAME, 65, https(b"\0"))])
    assert (response.service_targets, response.addresses, response.ancount) == ((), (), 1)


@pytest.mark.parametrize(
    "rdata",
    [
        b"",
        b"\0\1",
        b"\0\1\3ab",
        b"\0\1\xc0\x0c",
        https(b"\0", (4, A))[:-1],
        https(b"\0", (4, A[:3])),
        https(b"\0", (4, b"")),
        https(b"\0", (6, A)),
        https(b"\0", (6, A * 4), (4, A)),
        https(b"\0", (4, A), (4, B)),
        https(b"\0") + b"\0",
    ],
)
def test_a_service_that_cannot_be_read_to_its_end_is_refused(rdata: bytes) -> None:
    assert accept(sent(qtype=65), [rr(QNAME, 65, rdata)]) == Refused("malformed", True)


# --- The two paths agree.


@pytest.mark.slow
@settings(max_examples=250)
@given(st.data())
def test_the_plain_path_says_what_the_general_path_says(data: st.DataObject) -> None:
    owners = st.sampled_from([QNAME, b"\xc0\x10", b"\xc0\x2d", b"\xc0\x39", "a.example", "WWW.example.org"])
    targets = st.sampled_from([wire_name("a.example"), b"\1b\xc0\x10", b"\xc0\x10", QNAME])
    ttl = st.sampled_from([0, 60, 300, 2**31])
    record = st.one_of(
        st.builds(rr, owners, st.just(1), st.sampled_from([A, B, b"abc"]), ttl),
        st.builds(rr, owners, st.just(5), targets, ttl),
        st.builds(rr, owners, st.just(16), st.just(b"\3abc"), ttl),
        st.builds(rrsig, owners, st.sampled_from([1, 5]), ttl),
    )
    asked = sent(qtype=data.draw(st.sampled_from([1, 1, 1, 5, 16])), dnssec_ok=data.draw(st.booleans()))
    answer = data.draw(st.lists(record, max_size=4))
    authority = data.draw(st.lists(st.builds(soa, owners, ttl, ttl), max_size=2))
    additional = data.draw(st.lists(st.builds(opt, upper=st.sampled_from([0, 0, 1])), max_size=1))
    octets = reply(asked, answer, authority, additional, flags=data.draw(st.sampled_from([0x8180, 0x81A3])))
    assert accept_response(octets, asked) == accepted_generally(octets, asked)


@pytest.mark.slow
@settings(max_examples=250)
@given(st.data())
def test_the_path_for_addresses_says_what_the_general_path_says(data: st.DataObject) -> None:
    qtype, size = data.draw(st.sampled_from([(1, 4), (28, 16)]))
    ttl = st.one_of(st.just(300), st.sampled_from([0, 60, 2**31]))
    rdata = st.one_of(st.binary(min_size=size, max_size=size), st.binary(max_size=17))
    record = st.one_of(
        st.builds(rr, st.just(QNAME), st.just(qtype), st.binary(min_size=size, max_size=size), st.just(300)),
        st.builds(rr, st.just(QNAME), st.sampled_from([1, 28]), rdata, ttl),
    )
    asked = sent(qtype=qtype, dnssec_ok=data.draw(st.booleans()))
    answer = data.draw(st.lists(record, min_size=1, max_size=4))
    authority = data.draw(st.lists(st.builds(soa, st.just(QNAME), ttl, ttl), max_size=1))
    additional = data.draw(st.lists(st.builds(opt, upper=st.sampled_from([0, 0, 1])), max_size=2))
    octets = reply(asked, answer, authority, additional)
    octets = octets[: len(octets) - data.draw(st.sampled_from([0, 0, 0, 1, 5, 12]))]
    assert accept_response(octets, asked) == accepted_generally(octets, asked)


def accepted_generally(octets: bytes, asked: SentQuery) -> object:
    """The verdict without the quick path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response_module, "_accept_plain", lambda *_: None)
        return accept_response(octets, asked)


@settings(max_examples=150)
@given(st.binary(max_size=100), st.booleans(), st.sampled_from([1, 5, 6, 15, 28, 33, 39, 46, 65, 255]))
def test_any_octets_get_a_verdict(octets: bytes, do: bool, qtype: int) -> None:
    asked = sent(qtype=qtype, dnssec_ok=do)
    for counts in ((1, 1, 0, 0), (1, 2, 1, 0), (1, 0, 1, 1)):
        for flags in (0x8180, 0x8183):
            verdict = accept_response(header(flags, counts) + asked.question_octets + octets, asked)
            assert isinstance(verdict, Response | Refused | UpstreamFailure)


def test_sent_queries_know_their_question() -> None:
    assert SentQuery(1, WWW, 28, 1, True, False).question_octets == question(qtype=28)


def test_a_last_empty_edns_option_is_not_lost() -> None:
    assert read_options(b"\0\x0a\0\0", 0, 4) == ((10, b""),)


def test_the_quick_path_steps_over_a_broken_owner_that_the_general_path_refuses() -> None:
    ns_behind_the_end = rr(b"\xff\xff", 2, wire_name("ns.example.org"))
    assert accepted(sent(), [GOOD], [ns_behind_the_end]) == accepted(sent(), [GOOD])
    octets = reply(sent(), [GOOD], [ns_behind_the_end])
    assert accepted_generally(octets, sent()) is response_module.BROKEN
