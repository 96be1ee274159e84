"""Octets from a client -> the facts of one query, or why it is none.

Knows: the header, one question, the OPT record.  Does not know: policy, cache, sockets.
Strict: whatever this walker passes, every later step may trust (no untrusted octets reach
dnslib before it).  Never raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from resolver.wire.numbers import Qtype, Rcode
from resolver.wire.question import Question
from resolver.wire.walk import RECORD_FIXED, Names, WireError, read_name


@dataclass(slots=True)
class Query:
    """One well-formed query: the client's octets and the facts read from them.

    Treat as immutable (not `frozen=True`: that triples the cost of making one).
    """

    octets: bytes
    flags: int
    """The header's 16-bit flags word, as sent."""
    qname: bytes
    """Wire form, ASCII lower case, with the root's zero octet; at most 255 octets."""
    qtype: int
    qclass: int
    question_end: int
    """Offset of the first octet after the question, so `octets[12:question_end]` is it, case kept."""
    has_opt: bool
    edns_version: int
    payload_octets: int
    """Largest UDP response the client takes: 512 without OPT, never under 512 with it."""
    dnssec_ok: bool
    options: tuple[tuple[int, bytes], ...]
    """EDNS options in order, as (code, octets); without OPT at most one, from an `AUDIT_RECORD`."""

    @property
    def question(self) -> Question:
        """What it asks, made anew each time: keep it rather than ask twice.  The class must be IN."""
        # Not by the class, whose `__new__` is Python and costs half as much again.
        return _new_tuple(Question, (self.qname, self.qtype, self.dnssec_ok, self.flags & 0x0010 != 0))

    @property
    def checking_disabled(self) -> bool:
        """The CD bit."""
        return bool(self.flags & 0x0010)

    @property
    def recursion_desired(self) -> bool:
        """The RD bit."""
        return bool(self.flags & 0x0100)


@dataclass(slots=True, frozen=True)
class Malformed:
    """Octets that are no query we answer; `rcode` None means: send nothing."""

    reason: str
    """From a closed set of short words, fit for a metric label."""
    rcode: Rcode | None


_new_tuple = tuple.__new__

UDP_PAYLOAD_OCTETS_WITHOUT_OPT = 512
"""Largest UDP response to a client without EDNS, and the floor with it (RFC 6891 §6.2.3)."""

OPTIONS_MAX = 64
"""EDNS options that a query may carry; more get FORMERR.  A server ignores options that it does not know
(RFC 6891 §6.1.2), so this is well above what anybody sends: under 30 are assigned (IANA), clients send up
to 8.  A message of 64 KiB has room for 16,000, and each costs time."""

ADDITIONAL_MAX = 16
"""Additional records that a query may carry; more get FORMERR.  Only OPT, TSIG and SIG(0) have a meaning
there (RFC 6891 §6.1.1, RFC 8945, RFC 2931), and a message of 64 KiB has room for 5,950 records."""

AUDIT_RECORD = 65331
"""Type of an additional record that holds one EDNS option for a query without EDNS: that of an audit, of the
same number (for private use, RFC 6895 §3.1).  Any other content of it is stepped over."""

_ONE_QUESTION = b"\0\1\0\0\0\0\0"
"""QDCOUNT 1, no answer, no authority, and the upper half of an ARCOUNT under 256."""
_NO_OPTIONS: tuple[tuple[int, bytes], ...] = ()
_TYPE_AND_CLASS = struct.Struct("!HH").unpack_from
_OPT_FIXED = struct.Struct("!HBBHH").unpack_from
_OPT_OCTETS = 11
"""Root owner, type, class, TTL and RDLENGTH of an OPT without options."""
_OPT_START = b"\0\0\x29"

_STEPS = (0, *range(2, 65), *([1 << 16] * 192))
"""From a length octet to the next one; beyond every message for octets over 63: a pointer in the first name
of a message has nothing before it to point to, and other kinds of labels are not in use (RFC 1035 §4.1.4)."""

USUAL_OPTS = {
    _OPT_START + struct.pack("!HIH", payload, flags, 0): (payload, flags == 0x8000)
    for payload in (512, 1220, 1232, 1280, 1400, 1410, 1432, 1452, 1472, 2048, 4096, 8192)
    for flags in (0, 0x8000)
}
"""Whole OPT records that most clients and servers send: one look-up instead of reading each."""

SHORT = Malformed("short", None)
RESPONSE = Malformed("response", None)
OPCODE = Malformed("opcode", Rcode.NOTIMP)
COUNTS = Malformed("counts", Rcode.FORMERR)
NAME = Malformed("name", Rcode.FORMERR)
RECORD = Malformed("record", Rcode.FORMERR)
OPT = Malformed("opt", Rcode.FORMERR)
TRAILING = Malformed("trailing", Rcode.FORMERR)
MALFORMED_REASONS = tuple(m.reason for m in (SHORT, RESPONSE, OPCODE, COUNTS, NAME, RECORD, OPT, TRAILING))
"""The closed set of reasons."""


def parse_query(octets: bytes) -> Query | Malformed:
    """Read one query, or say why it is none.

    Judges form only: whether type, class and EDNS version are served is for later gates.
    Never raises; at most 128 labels, `ADDITIONAL_MAX` records and `OPTIONS_MAX` options.
    """
    length = len(octets)
    if length < 12:
        return SHORT
    high = octets[2]
    if high & 0xF8:
        # Why first: a response must never be answered (two servers would play ping-pong for ever).
        return RESPONSE if high & 0x80 else OPCODE
    additional = octets[11]
    if octets[4:11] != _ONE_QUESTION or additional > 1:
        if not _counts_fit(octets[4:12], length):
            return COUNTS
        additional = 2
    try:
        at = 12
        while step := _STEPS[octets[at]]:
            at += step
    except IndexError:
        return NAME
    at += 1
    if at > 267 or at + 4 > length:  # 12 octets of header and a name of 255
        return NAME
    qtype, qclass = _TYPE_AND_CLASS(octets, at)
    qname = octets[12:at].lower()
    at += 4
    flags = high << 8 | octets[3]
    query = Query.__new__(Query)  # its `__init__` costs as much as all the lines above
    query.octets = octets
    query.flags = flags
    query.qname = qname
    query.qtype = qtype
    query.qclass = qclass
    query.question_end = at
    query.edns_version = 0
    query.options = _NO_OPTIONS
    if not additional:
        if at != length:
            return TRAILING
        query.has_opt = query.dnssec_ok = False
        query.payload_octets = UDP_PAYLOAD_OCTETS_WITHOUT_OPT
        return query
    if additional == 1:
        usual = USUAL_OPTS.get(octets[at:])
        if usual is not None:
            query.has_opt = True
            query.payload_octets, query.dnssec_ok = usual
            return query
        if octets[at : at + 3] == _OPT_START and at + _OPT_OCTETS <= length:
            return _parse_opt(query, octets, at)
    return _parse_additional(query, octets, at)


def _parse_opt(query: Query, octets: bytes, at: int) -> Query | Malformed:
    """Complete a query whose one additional record is an OPT with the root as owner, at offset `at`."""
    payload, _, version, bits, rdlength = _OPT_FIXED(octets, at + 3)
    end = at + _OPT_OCTETS + rdlength
    if end != len(octets):
        return TRAILING if end < len(octets) else OPT
    if rdlength and not version:
        found = read_options(octets, at + _OPT_OCTETS, end)
        if found is None:
            return OPT
        query.options = found
    query.has_opt = True
    query.edns_version = version
    query.payload_octets = max(payload, UDP_PAYLOAD_OCTETS_WITHOUT_OPT)
    query.dnssec_ok = bits >= 0x8000
    return query


def _counts_fit(counts: bytes, length: int) -> bool:
    """Whether there is one question, no answer or authority, few other records, and octets enough for them.

    RFC 9619: a query has exactly one question.  A record takes at least 11 octets.
    """
    additional = counts[6] << 8 | counts[7]
    return counts[:6] == b"\0\1\0\0\0\0" and additional <= ADDITIONAL_MAX and additional * 11 <= length - 17


def read_options(octets: bytes, at: int, end: int) -> tuple[tuple[int, bytes], ...] | None:
    """EDNS options between two offsets, empty ones included; None: they overrun, or are over OPTIONS_MAX."""
    options: list[tuple[int, bytes]] = []
    while at < end:
        if at + 4 > end or len(options) == OPTIONS_MAX:
            return None
        code, length = _TYPE_AND_CLASS(octets, at)
        at += 4
        if at + length > end:
            return None
        options.append((code, octets[at : at + length]))
        at += length
    return tuple(options)


def _parse_additional(query: Query, octets: bytes, at: int) -> Query | Malformed:
    """Complete the rare shapes: no OPT first, or more than one additional record (TSIG, SIG(0)).

    Records other than OPT are stepped over: we hold no keys, so we answer unsigned.
    """
    query.has_opt = query.dnssec_ok = False
    query.payload_octets = UDP_PAYLOAD_OCTETS_WITHOUT_OPT
    names = Names()
    try:
        for _ in range(octets[10] << 8 | octets[11]):
            owner, at = read_name(octets, at, names)
            if at + 10 > len(octets):
                return RECORD
            rtype, rclass, ttl, rdlength = RECORD_FIXED(octets, at)
            at += 10
            end = at + rdlength
            if end > len(octets):
                return OPT if rtype == Qtype.OPT else RECORD
            if rtype == Qtype.OPT:
                if query.has_opt or owner != b"\0":
                    return OPT
                query.has_opt = True
                query.edns_version = ttl >> 16 & 0xFF
                query.payload_octets = max(rclass, UDP_PAYLOAD_OCTETS_WITHOUT_OPT)
                query.dnssec_ok = bool(ttl & 0x8000)
                options = read_options(octets, at, end) if query.edns_version == 0 else ()
                if options is None:
                    return OPT
                query.options = options
            elif rtype == AUDIT_RECORD and not query.has_opt:
                query.options = _audit_option(octets[at:end])
            at = end
    except (IndexError, WireError):
        return RECORD
    return query if at == len(octets) else TRAILING


def _audit_option(rdata: bytes) -> tuple[tuple[int, bytes], ...]:
    """The one option that an `AUDIT_RECORD` holds, if that is what it holds."""
    options = read_options(rdata, 0, len(rdata)) or ()
    return options if len(options) == 1 and options[0][0] == AUDIT_RECORD else ()
