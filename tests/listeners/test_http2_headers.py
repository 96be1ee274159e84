"""HTTP/2 without sockets: which headers of a request are well formed, and what follows where they are not."""

from __future__ import annotations

import pytest
from hpack import Encoder

from resolver.listeners.http import (
    BROKEN,
)
from tests.listeners.http2_rig import QUERY, TARGET, Talk, breaks, frame, frames_in
from tests.support.for_each import for_each

HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"dns.example"), (b":path", TARGET)]


@for_each(
    "headers",
    [
        [*HEAD, (b"Accept", b"x")],
        [*HEAD, (b"", b"x")],
        [*HEAD, (b"a b", b"x")],
        [*HEAD, (b"x", b"a\nb")],
        [*HEAD, (b"x", b"a\0")],
        [*HEAD, (b"x", b" a")],
        [*HEAD, (b"connection", b"close")],
        [*HEAD, (b"transfer-encoding", b"chunked")],
        [*HEAD, (b"upgrade", b"h2c")],
        [*HEAD, (b"te", b"gzip")],
        [*HEAD, (b":path", TARGET)],
        [*HEAD, (b":status", b"200")],
        [*HEAD, (b"host", b"other.example")],
        [(b"x", b"y"), *HEAD],
        HEAD[1:],
        HEAD[:3],
        [HEAD[0], HEAD[2], HEAD[3]],
        [HEAD[0], HEAD[1], HEAD[3]],
        [*HEAD[:3], (b":path", b"")],
    ],
)
def test_headers_that_are_not_well_formed_end_the_connection(headers: list[tuple[bytes, bytes]]) -> None:
    talk = Talk()
    block = Encoder().encode(headers, huffman=False)
    assert breaks(talk, frame(1, 5, 1, block)) == BROKEN
    assert talk.arrived == []
    assert frames_in(talk.session.outgoing())[-1][0] == 7


@pytest.mark.parametrize(
    "headers",
    [
        [*HEAD, (b"te", b"trailers")],
        [*HEAD, (b"host", b"dns.example")],
        [*HEAD[:2], HEAD[3], (b"host", b"dns.example")],
        [HEAD[3], HEAD[2], HEAD[1], HEAD[0], (b"x", b"")],
        [*HEAD, (b"cookie", b"a"), (b"cookie", b"b"), (b"x", b"\xc3\xa4")],
    ],
)
def test_uncommon_headers_that_are_well_formed_are_taken(headers: list[tuple[bytes, bytes]]) -> None:
    talk = Talk()
    talk.feed(frame(1, 5, 1, Encoder().encode(headers)))
    assert [arrived.message for arrived in talk.arrived] == [QUERY]


def test_connect_has_no_path_and_is_no_method_of_ours() -> None:
    talk = Talk()
    talk.feed(frame(1, 4, 1, Encoder().encode([(b":method", b"CONNECT"), (b":authority", b"dns.example")])))
    assert [arrived.status for arrived in talk.arrived] == [405]
