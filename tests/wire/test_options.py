"""The errors among an answer's options: found in any sound message, and nothing is raised for any other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resolver.wire.encode import encode_query
from resolver.wire.options import ERROR_CODES_MAX, error_codes

QNAME = b"\x03www\x04acme\0"
QUERY = encode_query(QNAME, 1, id=1, dnssec_ok=False, checking_disabled=False, edns=False)
SOA = b"\xc0\x10\0\x06\0\1\0\0\0\5\0\2ab"


def answer(options: bytes, *, authority: bytes = SOA) -> bytes:
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2) + options
    counts = b"\0\1\0\0" + (b"\0\1" if authority else b"\0\0") + b"\0\1"
    return QUERY[:4] + counts + QUERY[12:] + authority + opt


def ede(code: int, text: bytes = b"") -> bytes:
    return b"\0\x0f" + (2 + len(text)).to_bytes(2) + code.to_bytes(2) + text


def test_codes_are_read_in_their_order_among_other_options() -> None:
    assert error_codes(answer(ede(16, b"why") + b"\0\x0a\0\0" + ede(4) + b"\0\x0f\0\0")) == [16, 4]
    assert error_codes(answer(ede(15), authority=b"")) == [15]
    assert error_codes(answer(b"")) == error_codes(QUERY) == []


def test_no_more_codes_are_read_than_there_is_room_for() -> None:
    assert error_codes(answer(b"".join(map(ede, range(20))))) == list(range(ERROR_CODES_MAX))


def test_an_option_that_ends_early_ends_the_reading() -> None:
    assert error_codes(answer(ede(16) + b"\0\x0f\0\x09\0\4")) == [16]


@given(st.binary(max_size=200))
def test_nothing_is_raised_for_any_octets(octets: bytes) -> None:
    error_codes(octets)
    error_codes(answer(octets[:100]))
    whole = answer(ede(16, b"why"))
    error_codes(whole[: len(octets)])
    error_codes(whole[: len(octets) % len(whole)] + octets)
