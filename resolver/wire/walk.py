"""Steps over untrusted octets: names with compression pointers, records, the names inside RDATA.

Knows: RFC 1035 §4.1 layout and which types carry compressible names.  Does not know: what any of
it means.
Raises WireError (or IndexError past the end); only this room catches them, so nothing leaves it.
Theory: a pointer must lead to a smaller offset than the run of labels it ends, so every walk
halts; targets already expanded are remembered per message, and so is where each run that a pointer
led into ends.  No label behind a pointer is stepped over twice, so a message costs time linear in
its octets, and a name costs at most 255 octets of memory for each two octets of the message.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from resolver.wire.names import NAME_OCTETS_MAX
from resolver.wire.numbers import Qtype

HEADER_OCTETS = 12
POINTER_TARGETS_MAX = 8_186
"""Distinct pointer targets followed in one message: as many names as can start within the reach of a
pointer (14 bits, RFC 1035 §4.1.4), each of at least a pointer's two octets."""
RECORDS_MAX = 5_956
"""Records looked at in one message: as many as 64 KiB hold beside the shortest question."""
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


class Names(dict[int, bytes]):
    """The names that pointers of one message led to, expanded, by their offsets."""

    run_ends: dict[int, int] | None = None
    """For each label behind a pointer where its run ends, at a root octet or a pointer; None: none yet."""

    def end_of(self, octets: bytes, target: int) -> int:
        """The offset after the name at a target, pointers not followed."""
        end = (self.run_ends or {}).get(target)
        if end is None:
            return skip_name(octets, target)
        return end + 2 if octets[end] else end + 1


def read_name(octets: bytes, at: int, names: Names) -> tuple[bytes, int]:
    """The name at an offset, expanded, case kept; and the offset after it.

    `names` remembers expanded pointer targets of this message between calls.
    Raises WireError on label types 01 and 10, on pointers that do not lead backwards or lead into
    the header, and on names over 255 octets; IndexError past the end.
    """
    run = at
    while length := octets[at]:
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
        known = names.get(target)
        if known is None:
            known = _follow(octets, target, names)
        name = octets[run:at] + known
        if len(name) > NAME_OCTETS_MAX:
            raise WireError
        return name, at + 2
    name = octets[run : at + 1]
    if len(name) > NAME_OCTETS_MAX:
        raise WireError
    return name, at + 1


def _follow(octets: bytes, target: int, names: Names) -> bytes:
    """Expand a target that no pointer led to before, and remember every target on the way."""
    runs: list[tuple[int, int]] = []
    while True:
        # The first run, which ends in the pointer to the first target, counts as well.
        if len(names) + len(runs) >= POINTER_TARGETS_MAX:
            raise WireError
        run = target
        end = _run_end(octets, run, names)
        length = octets[end]
        if not length:
            name = octets[run : end + 1]
            names[run] = name
            break
        target = (length & 0x3F) << 8 | octets[end + 1]
        if not HEADER_OCTETS <= target < run:
            raise WireError
        runs.append((run, end))
        known = names.get(target)
        if known is not None:
            name = known
            break
    while runs:
        run, end = runs.pop()
        name = octets[run:end] + name
        if len(name) > NAME_OCTETS_MAX:
            raise WireError
        names[run] = name
    return name


def _run_end(octets: bytes, run: int, names: Names) -> int:
    """Where the labels from `run` on end: the offset of a root octet or of a pointer."""
    ends = names.run_ends
    if ends is None:
        ends = names.run_ends = {}
    at = run
    starts = []
    while (end := ends.get(at)) is None:
        length = octets[at]
        if length == 0 or length >= 0xC0:
            end = at
            break
        if length > 63:
            raise WireError
        starts.append(at)
        at += length + 1
        if at - run >= NAME_OCTETS_MAX:
            raise WireError
    if end - run >= NAME_OCTETS_MAX:
        raise WireError
    for start in starts:
        ends[start] = end
    return end


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


def read_section(octets: bytes, at: int, count: int, names: Names) -> tuple[list[Record], int]:
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


def expand_rdata(octets: bytes, record: Record, names: Names) -> bytes:
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
