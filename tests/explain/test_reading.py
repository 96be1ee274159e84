from __future__ import annotations

import pytest

from resolver.explain.reading import qtype_from_text, read_reply, show_extended_error, show_rcode
from resolver.wire.encode import encode_query, encode_response
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query
from resolver.wire.records import record


def query() -> Query:
    octets = encode_query(
        name_from_text("www.example"), 1, id=1, dnssec_ok=False, checking_disabled=False, edns=True
    )
    parsed = parse_query(octets)
    assert isinstance(parsed, Query)
    return parsed


def test_a_reply_is_read_with_its_records_and_errors() -> None:
    body = record(0xC00C, 1, 60, bytes((192, 0, 2, 1))) + record(0xC00C, 1, 30, bytes((192, 0, 2, 2)))
    reply = read_reply(encode_response(query(), 0, body=body, ancount=2, limit=1232, ede=((4, "forged"),)))
    assert (reply.rcode, reply.ttl_s, reply.extended_errors) == ("NOERROR", 30, ((4, "forged"),))
    assert [record.rdata for record in reply.answers] == ["192.0.2.1", "192.0.2.2"]


def test_a_reply_without_records_has_no_ttl() -> None:
    reply = read_reply(encode_response(query(), 5, limit=1232))
    assert (reply.rcode, reply.ttl_s) == ("REFUSED", None)


def test_truncation_is_seen() -> None:
    assert read_reply(encode_response(query(), 0, limit=1232, truncated=True)).is_truncated


def test_octets_that_are_no_message_are_refused() -> None:
    with pytest.raises(ValueError, match="well-formed"):
        read_reply(b"nonsense")


@pytest.mark.parametrize(("text", "qtype"), [("aaaa", 28), ("HTTPS", 65), ("TYPE65280", 65280), ("28", 28)])
def test_types_are_read_as_people_write_them(text: str, qtype: int) -> None:
    assert qtype_from_text(text) == qtype


@pytest.mark.parametrize("text", ["", "AAAAA", "TYPE", "TYPE65536", "-1", "٣"])
def test_other_words_are_no_types(text: str) -> None:
    with pytest.raises(ValueError):
        qtype_from_text(text)


def test_numbers_without_a_name_are_shown_as_numbers() -> None:
    assert show_rcode(3841) == "RCODE3841"
    assert show_extended_error(60000, "") == "60000 (unknown)"
    assert show_extended_error(16, "why") == "16 (censored): why"
