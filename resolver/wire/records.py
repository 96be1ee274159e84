"""Builds the octets of our own resource records, to stand behind a question.

Knows: record layout, the compression pointer to the question's name.  Does not know: when an
answer is due, nor the message around it (`encode`).
Everything here takes trusted values; wrong sizes are bugs and raise struct.error.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from resolver.wire.encode import cut_text
from resolver.wire.numbers import Qclass, Qtype
from resolver.wire.query import Query

QNAME_POINTER = 0xC00C
"""A compression pointer to the question's name; add an offset within the name for an ancestor."""
TEXT_OCTETS_MAX = 255
"""Longest character-string (RFC 1035 §3.3)."""

_FIXED = struct.Struct("!HHIH").pack
_POINTER_FIXED = struct.Struct("!HHHIH").pack
_SOA_NUMBERS = struct.Struct("!IIIII").pack


def record(owner: bytes | int, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One record of class IN.  `owner`: a whole wire name, or a pointer (QNAME_POINTER + offset)."""
    if isinstance(owner, int):
        return _POINTER_FIXED(owner, rtype, Qclass.IN, ttl, len(rdata)) + rdata
    return owner + _FIXED(rtype, Qclass.IN, ttl, len(rdata)) + rdata


def address_body(query: Query, addresses: Sequence[bytes], ttl: int) -> bytes:
    """Answer records for the question's name: A for each 4 octets, AAAA for each 16.

    As many records as addresses, in their order; the question's type is not looked at.
    """
    del query  # The name is the question's, whatever the question is: a pointer says it.
    return b"".join(
        [
            _POINTER_FIXED(QNAME_POINTER, Qtype.A if len(a) == 4 else Qtype.AAAA, Qclass.IN, ttl, len(a)) + a
            for a in addresses
        ]
    )


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


def ptr_record(owner: bytes | int, target: bytes, ttl: int) -> bytes:
    """A PTR record to a name in wire form."""
    return record(owner, Qtype.PTR, ttl, target)


def cname_record(owner: bytes | int, target: bytes, ttl: int) -> bytes:
    """A CNAME record to a name in wire form."""
    return record(owner, Qtype.CNAME, ttl, target)


def txt_record(owner: bytes | int, text: str, ttl: int) -> bytes:
    """A TXT record of one character-string, cut between characters to 255 octets."""
    octets = cut_text(text, TEXT_OCTETS_MAX)
    return record(owner, Qtype.TXT, ttl, bytes((len(octets),)) + octets)


def hinfo_body(ttl: int) -> bytes:
    """The one-record answer to ANY: HINFO "RFC8482" "" (RFC 8482 §4.2)."""
    return record(QNAME_POINTER, Qtype.HINFO, ttl, b"\x07RFC8482\x00")
