"""Steps over untrusted octets: names with compression pointers, records, the names inside RDATA.

Knows: RFC 1035 §4.1 layout and which types carry compressible names.  Does not know: what any of
it means.
Raises WireError (or IndexError past the end); only this room catches them, so nothing leaves it.
Theory: a pointer must lead to a smaller offset than the run of labels it ends, so every walk
halts; targets already expanded are remembered per message and their number is limited, so that a
message costs time linear in its octets.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from resolver.wire.names import NAME_OCTETS_MAX
from resolver.wire.numbers import Qtype

POINTER_TARGETS_MAX = 128
"""Distinct pointer targets followed in one message; real messages have a few dozen."""
RECORDS_MAX = 1024
"""Records looked at in one message; keeps the worst message within a few milliseconds."""
HEADER_OCTETS = 12
RECORD_FIXED = struct.Struct("!HHIH").unpack_from
"""TYPE, CLASS, TTL, RDLENGTH."""
RECORD_OCTETS_MIN = 11
"""Root owner, fixed part, empty RDATA."""


class WireError(Exception):
    """Octets that break RFC 1035's layout.  Stays within this room."""


class Record(NamedTuple):
    """Where one resource record stands in a message, and its facts."""

    owner: bytes
    """Wire form, lower case."""
    rtype: int
    rclass: int
    ttl_s: int
    """As sent: 32 bits."""
    start: int
    """Offset of its owner name."""
    rdata_start: int
    end: int


def read_name(octets: bytes, at: int, names: dict[int, bytes]) -> tuple[bytes, int]:
    """The name at an offset, expanded, case kept; and the offset after it.

    `names` remembers expanded pointer targets of this message between calls.
    Raises WireError on label types 01 and 10, on pointers that do not lead backwards or lead into
    the header, and on names over 255 octets; IndexError past the end.
    """
    run = at
    runs: list[tuple[int, int]] | None = None
    after = 0
    while True:
        length = octets[at]
        if length == 0:
            name = octets[run : at + 1]
            if len(name) > NAME_OCTETS_MAX:
                raise WireError
            if runs is None:
                return name, at + 1
            names[run] = name
            break
        if length < 64:
            at += length + 1
            if at - run >= NAME_OCTETS_MAX:
                raise WireError
            continue
        if length < 0xC0:
            raise WireError
        target = (length & 0x3F) << 8 | octets[at + 1]
        if not HEADER_OCTETS <= target < run:
            raise WireError
        if runs is None:
            after = at + 2
            known = names.get(target)
            if known is not None:
                name = octets[run:at] + known
                if len(name) > NAME_OCTETS_MAX:
                    raise WireError
                return name, after
            runs = []
        runs.append((run, at))
        if target in names:
            name = names[target]
            break
        if len(names) + len(runs) > POINTER_TARGETS_MAX:
            raise WireError
        at = run = target
    return _join_runs(octets, runs, name, names), after


def _join_runs(octets: bytes, runs: list[tuple[int, int]], name: bytes, names: dict[int, bytes]) -> bytes:
    """Put the label runs before `name` in front of it, last first, remembering each but the first."""
    while True:
        run, end = runs.pop()
        name = octets[run:end] + name
        if len(name) > NAME_OCTETS_MAX:
            raise WireError
        if not runs:
            return name
        names[run] = name


def skip_name(octets: bytes, at: int) -> int:
    """The offset after the name at `at`, pointers not followed."""
    limit = at + NAME_OCTETS_MAX
    while length := octets[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise WireError
        at += length + 1
        if at >= limit:
            raise WireError
    return at + 1


def read_section(octets: bytes, at: int, count: int, names: dict[int, bytes]) -> tuple[list[Record], int]:
    """`count` records from an offset on, and the offset after them.

    The caller has checked `count` against the octets (RECORD_OCTETS_MIN each) and RECORDS_MAX.
    """
    records = []
    length = len(octets)
    for _ in range(count):
        start = at
        owner, at = read_name(octets, at, names)
        if at + 10 > length:
            raise WireError
        rtype, rclass, ttl_s, rdlength = RECORD_FIXED(octets, at)
        rdata_start = at + 10
        at = rdata_start + rdlength
        if at > length:
            raise WireError
        records.append(Record(owner.lower(), rtype, rclass, ttl_s, start, rdata_start, at))
    return records, at


class _Layout(NamedTuple):
    """How RDATA with names in it is laid out: fixed octets, strings, names, and what may follow."""

    fixed: int
    strings: int
    names: int
    tail: int | None
    """Octets after the names; None: any number."""


# RFC 3597 §4: names inside these types may come compressed and are to be expanded; RDATA of
# every other type is opaque, pointers or not.  DNAME (RFC 6672 §2.5) and KX are never
# compressed by the rules, but expanding costs nothing where a sender broke them.
_LAYOUTS: dict[int, _Layout] = {
    2: _Layout(0, 0, 1, 0),  # NS
    3: _Layout(0, 0, 1, 0),  # MD
    4: _Layout(0, 0, 1, 0),  # MF
    5: _Layout(0, 0, 1, 0),  # CNAME
    6: _Layout(0, 0, 2, 20),  # SOA
    7: _Layout(0, 0, 1, 0),  # MB
    8: _Layout(0, 0, 1, 0),  # MG
    9: _Layout(0, 0, 1, 0),  # MR
    12: _Layout(0, 0, 1, 0),  # PTR
    14: _Layout(0, 0, 2, 0),  # MINFO
    15: _Layout(2, 0, 1, 0),  # MX
    17: _Layout(0, 0, 2, 0),  # RP
    18: _Layout(2, 0, 1, 0),  # AFSDB
    21: _Layout(2, 0, 1, 0),  # RT
    24: _Layout(18, 0, 1, None),  # SIG
    26: _Layout(2, 0, 2, 0),  # PX
    30: _Layout(0, 0, 1, None),  # NXT
    33: _Layout(6, 0, 1, 0),  # SRV
    35: _Layout(4, 3, 1, 0),  # NAPTR
    36: _Layout(2, 0, 1, 0),  # KX
    39: _Layout(0, 0, 1, 0),  # DNAME
}
_FIXED_LENGTHS: dict[int, int] = {Qtype.A: 4, Qtype.AAAA: 16}


def expand_rdata(octets: bytes, record: Record, names: dict[int, bytes]) -> bytes:
    """RDATA with the names inside it uncompressed, case kept; types not listed stay as they are.

    Also the check of RDATA: raises WireError when a listed type is not laid out as it must be.
    """
    rtype, at, end = record.rtype, record.rdata_start, record.end
    layout = _LAYOUTS.get(rtype)
    if layout is None:
        if _FIXED_LENGTHS.get(rtype, end - at) != end - at:
            raise WireError
        return octets[at:end]
    start = at
    at += layout.fixed
    for _ in range(layout.strings):
        at += octets[at] + 1
    parts = [octets[start:at]]
    for _ in range(layout.names):
        if at >= end:
            raise WireError
        name, at = read_name(octets, at, names)
        parts.append(name)
    if at > end or (layout.tail is not None and end - at != layout.tail):
        raise WireError
    parts.append(octets[at:end])
    return b"".join(parts)
