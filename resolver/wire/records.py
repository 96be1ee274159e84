"""Builds the octets of our own resource records, to stand behind a question.

Knows: record layout, the compression pointer to the question's name.  Does not know: when an
answer is due, nor the message around it (`encode`).
Everything here takes trusted values; wrong sizes are bugs and raise struct.error.
"""

from __future__ import annotations

import struct

from resolver.wire.numbers import Qclass, Qtype

QNAME_POINTER = 0xC00C
"""A compression pointer to the question's name; add an offset within the name for an ancestor."""

_FIXED = struct.Struct("!HHIH").pack
_POINTER_FIXED = struct.Struct("!HHHIH").pack
_SOA_NUMBERS = struct.Struct("!IIIII").pack


def record(owner: bytes | int, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One record of class IN.  `owner`: a whole wire name, or a pointer (QNAME_POINTER + offset)."""
    if isinstance(owner, int):
        return _POINTER_FIXED(owner, rtype, Qclass.IN, ttl, len(rdata)) + rdata
    return owner + _FIXED(rtype, Qclass.IN, ttl, len(rdata)) + rdata


def soa_record(
    owner: bytes | int,
    mname: bytes,
    rname: bytes,
    serial: int,
    refresh: int,
    retry: int,
    expire: int,
    minimum: int,
    ttl: int,
) -> bytes:
    """A SOA record (RFC 1035 §3.3.13); names in wire form, times in seconds."""
    return record(
        owner, Qtype.SOA, ttl, mname + rname + _SOA_NUMBERS(serial, refresh, retry, expire, minimum)
    )


def hinfo_body(ttl: int) -> bytes:
    """The one-record answer to ANY: HINFO "RFC8482" "" (RFC 8482 §4.2)."""
    return record(QNAME_POINTER, Qtype.HINFO, ttl, b"\x07RFC8482\x00")
