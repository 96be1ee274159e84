"""Lays kept records out as one body behind the question: sliced where possible, else rebuilt.

Knows: which octets may be taken as they stand, RRset TTLs, name compression of owners.
Does not know: why these records were kept.
Theory: pointers only lead backwards, so records that follow each other from the question on can
be taken as one slice; anything else is written anew, names in RDATA uncompressed.  So is a slice
in which a pointer leads to octets that change later (a TTL, the client's question).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from resolver.wire.chain import Synthesized
from resolver.wire.encode import STREAM_OCTETS_MAX
from resolver.wire.numbers import Qclass, Qtype
from resolver.wire.walk import HEADER_OCTETS, Names, Record, WireError, expand_rdata

TTL_TOP_BIT = 0x80000000
_POINTER_OFFSET_MAX = 0x3FFF
_pack_ttl = struct.Struct("!I").pack
_FIXED = struct.Struct("!HHIH").pack
_POINTER = struct.Struct("!H").pack


class Body(NamedTuple):
    """Records as octets, and where things stand in them."""

    octets: bytes
    ends: list[int]
    """For each record the offset after it."""
    ttl_offsets: tuple[int, ...]
    ttls: tuple[int, ...]


def lay_out(
    octets: bytes,
    question_end: int,
    records: Sequence[Record | Synthesized],
    soa: Record | None,
    names: Names,
) -> Body:
    """The body made of `records`, in their order, RDATA checked, TTLs made one per RRset.

    Raises WireError on broken RDATA and when expanding names makes the message longer than
    STREAM_OCTETS_MAX.
    """
    ttls = _rrset_ttls(octets, records, soa)
    expected = question_end
    ttl_starts = []
    for record in records:
        if isinstance(record, Synthesized) or record.start != expected:
            return _rebuild(octets, question_end, records, ttls, names)
        expand_rdata(octets, record, names)
        expected = record.end
        ttl_starts.append(record.rdata_start - 6)
    if not are_names_fixed(octets, question_end, names, ttl_starts):
        return _rebuild(octets, question_end, records, ttls, names)
    ends = []
    offsets = []
    patches = []
    for record, ttl_s in zip(records, ttls, strict=True):
        assert isinstance(record, Record)
        ends.append(record.end - question_end)
        offset = record.rdata_start - 6 - question_end
        offsets.append(offset)
        if ttl_s != record.ttl_s:
            patches.append((offset, ttl_s))
    body = octets[question_end:expected]
    if patches:
        patched = bytearray(body)
        for offset, ttl_s in patches:
            patched[offset : offset + 4] = _pack_ttl(ttl_s)
        body = bytes(patched)
    return Body(body, ends, tuple(offsets), ttls)


def are_names_fixed(octets: bytes, question_end: int, names: Names, ttl_starts: list[int]) -> bool:
    """Whether no name that a pointer leads to reads over a TTL or out of the question's name.

    A TTL runs down and a question is another client's later: a name laid over them would become
    another name after it was judged.  `ttl_starts` are offsets in the message, ascending; `names`
    has every pointer target.
    """
    name_end = question_end - 4
    for target in names:
        if target == HEADER_OCTETS:
            continue
        end = names.end_of(octets, target)
        if target < question_end:
            if end > name_end:
                return False
        elif ttl_starts:
            # The first TTL that ends behind the target must start behind the run's end.
            index = bisect_right(ttl_starts, target - 4)
            if index < len(ttl_starts) and ttl_starts[index] < end:
                return False
    return True


def _rrset_ttls(
    octets: bytes, records: Sequence[Record | Synthesized], soa: Record | None
) -> tuple[int, ...]:
    """The TTL of each record: the lowest of its RRset, 0 for a set top bit, the SOA's as RFC 2308 says."""
    lowest: dict[tuple[bytes, int, bytes], int] = {}
    keys = []
    for record in records:
        ttl_s = record.ttl_s
        # RFC 2181 §8: a TTL with the top bit set is to be taken as 0.
        if ttl_s >= TTL_TOP_BIT:
            ttl_s = 0
        if isinstance(record, Synthesized):
            key = (record.owner, int(Qtype.CNAME), b"")
        else:
            # Signatures form one set per type they cover.
            at = record.rdata_start
            covered = octets[at : at + 2] if record.rtype == Qtype.RRSIG else b""
            key = (record.owner, record.rtype, covered)
            if record is soa:
                # RFC 2308 §5: the negative TTL is the lesser of the SOA's own TTL and its MINIMUM.
                minimum_s = int.from_bytes(octets[record.end - 4 : record.end], "big")
                ttl_s = min(ttl_s, 0 if minimum_s >= TTL_TOP_BIT else minimum_s)
        keys.append(key)
        # RFC 2181 §5.2: differing TTLs within an RRset are an error, cured by the lowest.
        if ttl_s < lowest.get(key, TTL_TOP_BIT):
            lowest[key] = ttl_s
    return tuple([lowest[key] for key in keys])


def _rebuild(
    octets: bytes,
    question_end: int,
    records: Sequence[Record | Synthesized],
    ttls: tuple[int, ...],
    names: Names,
) -> Body:
    """Write the records anew; owners point to an earlier whole name where there is one."""
    out = bytearray()
    written = {names[12].lower(): 12}
    ends = []
    offsets = []
    for record, ttl_s in zip(records, ttls, strict=True):
        owner = record.owner
        if owner in written:
            out += _POINTER(0xC000 | written[owner])
        else:
            _remember(written, owner, question_end + len(out))
            out += owner
        if isinstance(record, Synthesized):
            rtype: int = Qtype.CNAME
            rclass: int = Qclass.IN
            rdata = record.target
        else:
            rtype, rclass = record.rtype, record.rclass
            rdata = expand_rdata(octets, record, names)
        offsets.append(len(out) + 4)
        out += _FIXED(rtype, rclass, ttl_s, len(rdata))
        if rtype == Qtype.CNAME:
            _remember(written, rdata.lower(), question_end + len(out))
        out += rdata
        if question_end + len(out) > STREAM_OCTETS_MAX:
            raise WireError
        ends.append(len(out))
    return Body(bytes(out), ends, tuple(offsets), ttls)


def _remember(written: dict[bytes, int], name: bytes, offset: int) -> None:
    if offset <= _POINTER_OFFSET_MAX and name != b"\0":
        written.setdefault(name, offset)
