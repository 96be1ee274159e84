"""Builds messages octet by octet for tests, well-formed or not: nothing here checks anything."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from resolver.wire.query import Query, parse_query
from resolver.wire.response import (
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
    accept_response,
)

QNAME = b"\xc0\x0c"
"""A pointer to the question's name."""
ID = 0x1234


def wire_name(text: str) -> bytes:
    """Labels of a dotted text, case kept; no escapes."""
    if text in ("", "."):
        return b"\0"
    return b"".join(bytes((len(label),)) + label.encode("latin-1") for label in text.split(".")) + b"\0"


def header(flags: int = 0x0100, counts: Sequence[int] = (1, 0, 0, 0), id_: int = ID) -> bytes:
    """The twelve octets."""
    return struct.pack("!HHHHHH", id_, flags, *counts)


def question(text: str = "www.example.org", qtype: int = 1, qclass: int = 1) -> bytes:
    """A question."""
    return wire_name(text) + struct.pack("!HH", qtype, qclass)


def opt(
    payload: int = 1232,
    version: int = 0,
    flags: int = 0,
    rdata: bytes = b"",
    upper: int = 0,
    owner: bytes = b"\0",
) -> bytes:
    """An OPT record."""
    return owner + struct.pack("!HHBBHH", 41, payload, upper, version, flags, len(rdata)) + rdata


def option(code: int, value: bytes = b"") -> bytes:
    """An EDNS option."""
    return struct.pack("!HH", code, len(value)) + value


def rr(owner: bytes | str, rtype: int, rdata: bytes, ttl: int = 300, rclass: int = 1) -> bytes:
    """A record; `owner` in wire form (pointers allowed) or as text."""
    wire = wire_name(owner) if isinstance(owner, str) else owner
    return wire + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata


def soa(owner: bytes | str = "example.org", ttl: int = 300, minimum: int = 60) -> bytes:
    """A SOA record."""
    rdata = (
        wire_name("ns.example.org")
        + wire_name("host.example.org")
        + struct.pack("!IIIII", 1, 2, 3, 4, minimum)
    )
    return rr(owner, 6, rdata, ttl)


def rrsig(owner: bytes | str, covered: int, ttl: int = 300) -> bytes:
    """A signature that only looks like one."""
    rdata = struct.pack("!HBBIIIH", covered, 8, 3, 300, 0, 0, 1) + wire_name("example.org") + b"\x99" * 8
    return rr(owner, 46, rdata, ttl)


def query_octets(
    text: str = "www.example.org",
    qtype: int = 1,
    *,
    flags: int = 0x0100,
    qclass: int = 1,
    additional: bytes | None = None,
) -> bytes:
    """A query with one question and, if given, one additional record."""
    counts = (1, 0, 0, 0 if additional is None else 1)
    return header(flags, counts) + question(text, qtype, qclass) + (additional or b"")


def query(text: str = "www.example.org", qtype: int = 1, **more: object) -> Query:
    """The parsed query; fails when it is malformed."""
    parsed = parse_query(query_octets(text, qtype, **more))  # type: ignore[arg-type]
    assert isinstance(parsed, Query), parsed
    return parsed


def sent(
    text: str = "www.example.org",
    qtype: int = 1,
    *,
    edns: bool = True,
    dnssec_ok: bool = False,
    is_stream: bool = False,
) -> SentQuery:
    """What was asked of the upstream."""
    return SentQuery(ID, wire_name(text), qtype, 1, edns, dnssec_ok, is_stream)


def reply(
    asked: SentQuery,
    answer: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
    *,
    flags: int = 0x8180,
) -> bytes:
    """An upstream's answer to what was asked."""
    counts = (1, len(answer), len(authority), len(additional))
    return (
        header(flags, counts, asked.id) + asked.question_octets + b"".join((*answer, *authority, *additional))
    )


def accept(
    asked: SentQuery, *sections: Sequence[bytes], flags: int = 0x8180
) -> Response | Truncated | Refused | UpstreamFailure:
    """The judgement on `reply`."""
    return accept_response(reply(asked, *sections, flags=flags), asked)


def accepted(asked: SentQuery, *sections: Sequence[bytes], flags: int = 0x8180) -> Response:
    """The response made of `reply`; fails when it is not accepted."""
    response = accept(asked, *sections, flags=flags)
    assert isinstance(response, Response), response
    return response
