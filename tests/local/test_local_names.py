"""The site's own records and the special names."""

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from resolver.local import LocalAnswer, LocalNames
from resolver.wire.encode import encode_response
from resolver.wire.query import Query, parse_query
from tests.support.for_each import for_each

OWN = {
    "router.home.arpa": ["192.168.1.1", "fd00::1"],
    "printer.example": ["192.168.1.7"],
    "deep.a.local": ["10.0.0.9"],
}


def query(name: str, rrtype: str) -> Query:
    parsed = parse_query(dns.message.make_query(name, rrtype).to_wire())
    assert isinstance(parsed, Query)
    return parsed


def find(
    name: str, rrtype: str = "A", *, is_forwarded: bool = False, is_filtering: bool = True
) -> dns.message.Message | None:
    asked = query(name, rrtype)
    found = LocalNames(OWN).find(asked, lambda _: is_forwarded, is_filtering)
    if found is None:
        return None
    assert isinstance(found, LocalAnswer)
    octets = encode_response(
        asked, found.rcode, body=found.body, ancount=found.ancount, nscount=found.nscount, limit=1232
    )
    return dns.message.from_wire(octets)


def answers(message: dns.message.Message | None) -> list[str]:
    assert message is not None
    return sorted(rr.to_text() for rrset in message.answer for rr in rrset)


@pytest.mark.parametrize(
    ("name", "rrtype", "expected"),
    [
        ("router.home.arpa", "A", ["192.168.1.1"]),
        ("ROUTER.home.arpa", "AAAA", ["fd00::1"]),
        ("printer.example", "A", ["192.168.1.7"]),
        ("7.1.168.192.in-addr.arpa", "PTR", ["printer.example."]),
        ("localhost", "A", ["127.0.0.1"]),
        ("a.b.localhost", "AAAA", ["::1"]),
        ("1.0.0.127.in-addr.arpa", "PTR", ["localhost."]),
    ],
)
def test_own_names_are_answered_here(name: str, rrtype: str, expected: list[str]) -> None:
    message = find(name, rrtype)
    assert answers(message) == expected
    assert message is not None and message.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("name", "rrtype"),
    [
        ("printer.example", "AAAA"),
        ("router.home.arpa", "TXT"),
        ("localhost", "MX"),
        ("home.arpa", "NS"),
        ("10.in-addr.arpa", "NS"),
        ("_dns.resolver.arpa", "SVCB"),
        # The site's own deep.a.local lies below: NXDOMAIN would deny it (RFC 8020).
        ("a.local", "A"),
        ("local", "A"),
    ],
)
def test_a_name_that_exists_without_the_type_is_nodata_with_soa(name: str, rrtype: str) -> None:
    message = find(name, rrtype)
    assert message is not None
    assert message.rcode() == dns.rcode.NOERROR
    assert not message.answer
    assert [rrset.rdtype for rrset in message.authority] == [dns.rdatatype.SOA]


@for_each(
    "name",
    [
        "invalid",
        "www.test",
        "hidden.onion",
        "x.alt",
        "tv.local",
        "nas.home.arpa",
        "4.3.2.10.in-addr.arpa",
        "1.0.16.172.in-addr.arpa",
        "9.9.64.100.in-addr.arpa",
        "0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        "1.d.f.ip6.arpa",
        "use-application-dns.net",
    ],
)
def test_special_names_do_not_exist(name: str) -> None:
    message = find(name, "A")
    assert message is not None
    assert message.rcode() == dns.rcode.NXDOMAIN
    [soa] = message.authority
    assert name.endswith(soa.name.to_text(omit_final_dot=True))


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "test.example",
        "mylocalhost",
        "notlocal",
        "example.arpa",
        "8.8.8.8.in-addr.arpa",
        "1.0.32.172.in-addr.arpa",
        "1.0.128.100.in-addr.arpa",
        "x.printer.example",
        "example.net",
    ],
)
def test_ordinary_names_are_not_ours(name: str) -> None:
    assert find(name) is None


def test_a_label_that_ends_like_a_special_name_is_ordinary() -> None:
    octets = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x07ab\x04test\x00" + b"\0\1\0\1"
    parsed = parse_query(octets)
    assert isinstance(parsed, Query)
    assert LocalNames().find(parsed, lambda _: False, True) is None


def test_an_upstream_named_for_a_special_name_gets_the_question() -> None:
    assert find("4.3.2.10.in-addr.arpa", "PTR", is_forwarded=True) is None


def test_own_records_win_over_a_named_upstream() -> None:
    assert answers(find("router.home.arpa", "A", is_forwarded=True)) == ["192.168.1.1"]


def test_browsers_learn_of_filtering_only_while_there_is_some() -> None:
    assert find("use-application-dns.net", is_filtering=False) is None


@pytest.mark.parametrize("rrtype", ["A", "AAAA", "TXT", "ANY"])
def test_localhost_is_never_forwarded(rrtype: str) -> None:
    for name in ("localhost", "a.b.localhost"):
        assert find(name, rrtype, is_forwarded=True) is not None
    assert find("localhost.example", rrtype, is_forwarded=True) is None
