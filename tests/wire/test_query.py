"""Octets from clients: what is a query, what is answered with an error, what gets silence."""

from __future__ import annotations

import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.wire.numbers import Rcode
from resolver.wire.query import (
    ADDITIONAL_MAX,
    MALFORMED_REASONS,
    OPTIONS_MAX,
    Malformed,
    Query,
    parse_query,
)
from resolver.wire.question import Question
from tests.support.for_each import for_each
from tests.support.wirebuild import header, opt, option, query, query_octets, question, rr, wire_name


def malformed(octets: bytes) -> Malformed:
    parsed = parse_query(octets)
    assert isinstance(parsed, Malformed), parsed
    assert parsed.reason in MALFORMED_REASONS
    return parsed


def test_a_plain_query_is_read() -> None:
    octets = query_octets("WWW.Example.org", 28)
    parsed = parse_query(octets)
    assert parsed == Query(
        octets, 0x0100, wire_name("www.example.org"), 28, 1, len(octets), False, 0, 512, False, ()
    )
    assert parsed.recursion_desired and not parsed.checking_disabled
    assert octets[12 : parsed.question_end] == question("WWW.Example.org", 28)


@pytest.mark.parametrize("dnssec_ok", [False, True])
@pytest.mark.parametrize("checking_disabled", [False, True])
def test_what_is_asked_is_the_name_in_lower_case_the_type_and_the_two_bits(
    dnssec_ok: bool, checking_disabled: bool
) -> None:
    additional = opt(flags=0x8000) if dnssec_ok else None
    flags = 0x0110 if checking_disabled else 0x0100
    octets = query_octets("WWW.Example.org", 28, flags=flags, additional=additional)
    parsed = parse_query(octets)
    assert isinstance(parsed, Query)
    assert parsed.question == Question(wire_name("www.example.org"), 28, dnssec_ok, checking_disabled)
    assert type(parsed.question) is Question


@for_each("length", range(12))
def test_less_than_a_header_gets_silence(length: int) -> None:
    assert malformed(query_octets()[:length]).rcode is None


@pytest.mark.parametrize("flags", [0x8000, 0x8180, 0xFFFF])
def test_a_response_gets_silence(flags: int) -> None:
    assert malformed(query_octets(flags=flags)) == Malformed("response", None)


@for_each("opcode", range(1, 16))
@for_each("rest", [0, 0x07FF])
def test_other_opcodes_are_not_implemented(opcode: int, rest: int) -> None:
    assert malformed(query_octets(flags=opcode << 11 | rest)) == Malformed("opcode", Rcode.NOTIMP)
    assert malformed(header(opcode << 11 | rest, (9, 9, 9, 9))).rcode == Rcode.NOTIMP


@pytest.mark.parametrize("flags", [0x0140, 0x0200, 0x0080, 0x0400, 0x07FF])
def test_odd_flag_bits_are_read_like_any_other_query(flags: int) -> None:
    assert query(flags=flags).flags == flags


@pytest.mark.parametrize(
    "counts",
    [
        (0, 0, 0, 0),
        (2, 0, 0, 0),
        (65535, 0, 0, 0),
        (1, 1, 0, 0),
        (1, 0, 1, 0),
        (1, 0, 0, 65535),
        (0, 0, 0, 1),
    ],
)
def test_counts_that_cannot_be_are_format_errors(counts: tuple[int, int, int, int]) -> None:
    assert malformed(header(counts=counts) + question() + question()).rcode == Rcode.FORMERR


def test_a_header_alone_is_a_format_error() -> None:
    assert malformed(header(counts=(0, 0, 0, 0))) == Malformed("counts", Rcode.FORMERR)
    assert malformed(header()) == Malformed("name", Rcode.FORMERR)


def test_octets_behind_the_last_record_are_a_format_error() -> None:
    assert malformed(query_octets() + b"\0").reason == "trailing"
    assert malformed(query_octets(additional=opt()) + b"\0").reason == "trailing"
    assert malformed(query_octets(additional=rr("a.example", 1, b"\0\0\0\0")) + b"\0").reason == "trailing"


@pytest.mark.parametrize("name", [b"\0", b"\x3f" + b"a" * 63 + b"\0", b"\4\0. \xff\0"])
def test_unusual_names_are_read(name: bytes) -> None:
    parsed = parse_query(header() + name + b"\0\1\0\1")
    assert isinstance(parsed, Query)
    assert parsed.qname == name


def test_a_name_of_255_octets_is_read_and_one_of_256_is_not() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(longest) == 255
    assert isinstance(parse_query(header() + longest + b"\0\1\0\1"), Query)
    too_long = longest[:-63] + b"\x3e" + b"b" * 62 + b"\0"
    assert len(too_long) == 256
    assert malformed(header() + too_long + b"\0\1\0\1").reason == "name"


@for_each(
    "name",
    [
        b"\x40" + b"a" * 64 + b"\0",
        b"\x80abc\0",
        b"\xbf" + b"a" * 191 + b"\0",
        b"\xc0\x0c",
        b"\xc0\x00",
        b"\xc0\x04",
        b"\xc0\xff",
        b"\xff\xff",
        b"\1a\xc0\x0c",
        b"\1a\xc0\x0e\xc0\x0c",
        b"\3ab",
        b"\3abc",
        b"",
        b"\1a" * 128 + b"\0",
    ],
)
def test_bad_label_types_and_pointers_are_format_errors(name: bytes) -> None:
    assert malformed(header() + name + b"\0\1\0\1").rcode == Rcode.FORMERR


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_question_cut_short_is_a_format_error(cut: int) -> None:
    assert malformed(query_octets()[:-cut]).rcode == Rcode.FORMERR


def test_an_opt_is_read() -> None:
    parsed = query(additional=opt(4096, 0, 0x8000, option(10, b"12345678")))
    assert parsed.has_opt and parsed.dnssec_ok
    assert (parsed.edns_version, parsed.payload_octets) == (0, 4096)
    assert parsed.options == ((10, b"12345678"),)


def test_unknown_options_and_flag_bits_are_no_error() -> None:
    parsed = query(additional=opt(flags=0x7FFF, rdata=option(65001, b"x") + option(65002)))
    assert not parsed.dnssec_ok
    assert parsed.options == ((65001, b"x"), (65002, b""))


@pytest.mark.parametrize(
    ("payload", "read"), [(0, 512), (511, 512), (512, 512), (1232, 1232), (65535, 65535)]
)
def test_a_payload_size_under_512_counts_as_512(payload: int, read: int) -> None:
    assert query(additional=opt(payload)).payload_octets == read


@pytest.mark.parametrize("version", [1, 255])
def test_other_edns_versions_are_read_but_not_judged(version: int) -> None:
    parsed = query(additional=opt(version=version, rdata=b"\1\2\3"))
    assert (parsed.edns_version, parsed.options) == (version, ())


@pytest.mark.parametrize("rdata", [b"\0", b"\0\1\0", b"\0\1\0\1", option(10, b"x")[:-1], option(10) + b"\0"])
def test_options_past_the_end_of_the_opt_are_a_format_error(rdata: bytes) -> None:
    assert malformed(query_octets(additional=opt(rdata=rdata))) == Malformed("opt", Rcode.FORMERR)


@pytest.mark.parametrize("count", [OPTIONS_MAX + 1, 1_000, 16_000])
def test_a_query_with_too_many_options_is_a_format_error(count: int) -> None:
    rdata = option(65001) * count
    assert malformed(query_octets(additional=opt(rdata=rdata))) == Malformed("opt", Rcode.FORMERR)


@pytest.mark.parametrize("count", [ADDITIONAL_MAX + 1, 256, 5_900])
def test_a_query_with_too_many_additional_records_is_a_format_error(count: int) -> None:
    octets = header(counts=(1, 0, 0, count)) + question() + rr(b"\0", 250, b"") * count
    assert malformed(octets) == Malformed("counts", Rcode.FORMERR)


def test_an_opt_longer_than_the_message_is_a_format_error() -> None:
    assert malformed(query_octets(additional=opt(rdata=option(10, b"12345678")))[:-1]).reason == "opt"
    assert malformed(query_octets(additional=opt())[:-1]).rcode == Rcode.FORMERR


def test_two_opts_and_an_opt_with_an_owner_are_format_errors() -> None:
    two = header(counts=(1, 0, 0, 2)) + question() + opt() + opt()
    assert malformed(two).reason == "opt"
    assert malformed(query_octets(additional=opt(owner=wire_name("example.org")))).reason == "opt"
    assert malformed(query_octets(additional=opt(owner=b"\xc0\x0c"))).reason == "opt"


@pytest.mark.parametrize("counts", [(1, 1, 0, 0), (1, 0, 1, 0)])
def test_an_opt_outside_the_additional_section_is_a_format_error(counts: tuple[int, int, int, int]) -> None:
    assert malformed(header(counts=counts) + question() + opt()).rcode == Rcode.FORMERR


def test_a_signature_behind_the_opt_is_stepped_over() -> None:
    tsig = rr("key.example", 250, b"\0" * 20, ttl=0, rclass=255)
    for records in ((opt(flags=0x8000), tsig), (tsig, opt(flags=0x8000))):
        parsed = parse_query(header(counts=(1, 0, 0, 2)) + question() + b"".join(records))
        assert isinstance(parsed, Query)
        assert parsed.has_opt and parsed.dnssec_ok


@pytest.mark.parametrize(
    "record",
    [
        rr(b"\xc0\xff", 250, b""),
        rr(b"\xc0\x04", 250, b""),
        rr("key.example", 250, b"abc")[:-1],
        wire_name("key.example") + b"\0\xfa\0\1",
        b"\x80a\0" + rr(b"", 250, b""),
    ],
)
def test_a_broken_additional_record_is_a_format_error(record: bytes) -> None:
    assert malformed(query_octets(additional=record + b"\0" * 0)).rcode == Rcode.FORMERR


def test_type_and_class_are_not_judged_here() -> None:
    for qtype, qclass in ((0, 0), (41, 1), (252, 3), (65535, 65535)):
        parsed = query(qtype=qtype, qclass=qclass)
        assert (parsed.qtype, parsed.qclass) == (qtype, qclass)


@settings(max_examples=300)
@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    st.integers(0, 0xFFFF),
    st.one_of(st.none(), st.tuples(st.integers(0, 65535), st.booleans())),
    st.lists(st.tuples(st.integers(65001, 65534), st.binary(max_size=12)), max_size=3),
)
def test_dnspython_s_queries_are_read_as_dnspython_means_them(
    labels: list[bytes],
    qtype: int,
    edns: tuple[int, bool] | None,
    options: list[tuple[int, bytes]],
) -> None:
    message = dns.message.make_query(dns.name.Name([*labels, b""]), dns.rdatatype.RdataType.make(qtype))
    if edns is not None:
        generic: list[dns.edns.Option] = [
            dns.edns.GenericOption(dns.edns.OptionType.make(code), value) for code, value in options
        ]
        message.use_edns(0, dns.flags.DO if edns[1] else 0, edns[0], options=generic)
    parsed = parse_query(message.to_wire())
    assert isinstance(parsed, Query)
    assert parsed.qname == dns.name.Name([*labels, b""]).to_digestable()
    assert parsed.qtype == qtype
    assert parsed.flags == int(message.flags)
    assert parsed.has_opt == (edns is not None)
    if edns is not None:
        assert (parsed.payload_octets, parsed.dnssec_ok) == (max(512, edns[0]), edns[1])
        assert list(parsed.options) == options


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_any_octets_get_a_verdict(octets: bytes) -> None:
    for candidate in (octets, header() + octets, header(counts=(1, 0, 0, 2)) + question() + octets):
        parsed = parse_query(candidate)
        assert isinstance(parsed, Query) or parsed.reason in MALFORMED_REASONS


@pytest.mark.timed
@pytest.mark.parametrize("octet_count", [300, 32_000])
def test_labels_without_end_are_refused_quickly(octet_count: int) -> None:
    octets = header() + b"\1a" * octet_count
    spent = []
    for _ in range(3):
        start = time.process_time()
        assert malformed(octets).rcode == Rcode.FORMERR
        spent.append(time.process_time() - start)
    assert min(spent) < 0.005
