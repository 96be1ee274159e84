"""Options of queries over encrypted transports, and what an upstream says of keeping a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.wire.encode import encode_question
from resolver.wire.names import name_from_text
from resolver.wire.query_options import (
    QUERY_BLOCK_OCTETS,
    keepalive_s,
    question_of,
    with_options,
)

OPT_HEAD = b"\0\0\x29\x04\xd0\0\0\0\0"


def query(name: str, *, edns: bool = True) -> bytes:
    return encode_question(7, name_from_text(name) + b"\0\1\0\1", True, False, edns)


@pytest.mark.parametrize("asks_keepalive", [False, True])
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_every_query_is_padded_to_whole_blocks(asks_keepalive: bool, a: int, b: int, c: int) -> None:
    plain = query(f"{'a' * a}.{'b' * b}.{'c' * c}.example")
    padded = with_options(plain, asks_keepalive=asks_keepalive)
    assert len(padded) % QUERY_BLOCK_OCTETS == 0
    assert len(padded) - len(plain) < QUERY_BLOCK_OCTETS + 8
    options = padded[len(plain) :]
    assert padded[: len(plain) - 2] == plain[:-2]
    assert int.from_bytes(padded[len(plain) - 2 : len(plain)], "big") == len(options)
    assert options.startswith(b"\0\x0b\0\0\0\x0c" if asks_keepalive else b"\0\x0c")
    assert set(options[8 if asks_keepalive else 4 :]) <= {0}


def test_a_query_without_edns_stays_as_it_is() -> None:
    plain = query("www.example.org", edns=False)
    assert with_options(plain, asks_keepalive=True) == plain


def test_the_question_ends_before_the_opt_record() -> None:
    for edns in (False, True):
        assert (
            question_of(query("www.example.org", edns=edns))
            == name_from_text("www.example.org") + b"\0\1\0\1"
        )


def reply(options: bytes) -> bytes:
    opt = OPT_HEAD + len(options).to_bytes(2, "big") + options
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\7"
    return b"\0\7\x81\x80\0\1\0\1\0\0\0\1\3www\7example\0\0\1\0\1" + record + opt


@pytest.mark.parametrize(
    ("octets", "seconds"),
    [
        (reply(b"\0\x0b\0\2\0\x64"), 10.0),
        (reply(b"\0\x0c\0\3\0\0\0\0\x0b\0\2\0\0"), 0.0),
        (reply(b""), None),
        (reply(b"\0\x0b\0\0"), None),
        (reply(b"\0\x0b\0\3\0\0\0"), None),
        (reply(b"\0\x0b\0\2\0\x64")[:-14], None),
        (b"\0\7\x81\x80\0\0\0\0\0\0\0\0", None),
    ],
)
def test_the_timeout_of_a_connection_is_read(octets: bytes, seconds: float | None) -> None:
    assert keepalive_s(octets) == seconds


@given(st.binary(max_size=100))
def test_no_octets_raise(octets: bytes) -> None:
    keepalive_s(octets)
    keepalive_s(b"\0\7\x81\x80\0\1\0\1\0\0\0\1" + octets)
