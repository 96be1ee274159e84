"""How a query carries the secret of an audit."""

from __future__ import annotations

import pytest

from resolver.audit.marking import marked
from resolver.wire.encode import encode_query
from resolver.wire.names import name_from_text
from resolver.wire.query import Malformed, Query, parse_query

SECRET = bytes(range(32))
QNAME = name_from_text("www.example.org")


def query_with(octets: bytes) -> Query:
    query = parse_query(octets)
    assert not isinstance(query, Malformed)
    return query


@pytest.mark.parametrize("edns", [False, True])
def test_a_marked_query_is_the_same_but_for_the_secret(edns: bool) -> None:
    plain = encode_query(QNAME, 1, id=7, dnssec_ok=edns, checking_disabled=False, edns=edns)
    before, after = query_with(plain), query_with(marked(plain, SECRET))
    assert after.options == ((65331, SECRET),)
    for field in ("flags", "qname", "qtype", "qclass", "has_opt", "payload_octets", "dnssec_ok"):
        assert getattr(after, field) == getattr(before, field), field


@pytest.mark.parametrize("octets", [b"", bytes(12), bytes(11) + b"\1"])
def test_what_is_no_query_cannot_be_marked(octets: bytes) -> None:
    with pytest.raises(ValueError, match="can be marked"):
        marked(octets, SECRET)


def test_a_query_is_marked_once() -> None:
    plain = encode_query(QNAME, 1, id=7, dnssec_ok=False, checking_disabled=False, edns=False)
    with pytest.raises(ValueError, match="can be marked"):
        marked(marked(plain, SECRET), SECRET)
