"""Reads whole messages for people: `describe`, and records from zone text.  Never on a hot path.

Knows: every section, RDATA as text (dnslib's readers).  Does not know: what was asked, policy.
dnslib meets octets only after our own walker has passed and expanded them: handed raw messages it
recurses without bound on alternating pointers, takes labels over 63 octets, refuses labels that
are not UTF-8 and records without RDATA.  Whatever it cannot read is shown as RFC 3597 text.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import dnslib
from dnslib.label import DNSLabelError

from resolver.wire.names import name_to_text
from resolver.wire.numbers import EdnsOption, ExtendedError, Opcode, Qclass, Qtype, Rcode
from resolver.wire.query import read_options
from resolver.wire.walk import (
    HEADER_OCTETS,
    RECORD_OCTETS_MIN,
    RECORDS_MAX,
    Names,
    Record,
    WireError,
    expand_rdata,
    read_name,
    read_section,
)

_HEADER = struct.Struct("!HHHHHH").unpack_from
_FLAG_BITS = ((0x8000, "qr"), (0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"))
_DNSSEC_BITS = ((0x0020, "ad"), (0x0010, "cd"))
_NAME_OFFSETS: dict[int, int] = {Qtype.RRSIG: 18, Qtype.NSEC: 0, Qtype.SVCB: 2, Qtype.HTTPS: 2}
"""Where RDATA that our walker leaves as it is has a name that dnslib would follow pointers in."""
_KNOWN_TYPES = frozenset(Qtype)
_DNSLIB_ERRORS = (
    dnslib.DNSError,
    BufferError,
    dnslib.dns.BufferError,
    dnslib.dns.BimapError,
    DNSLabelError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
)
"""What dnslib's readers were seen to raise."""


@dataclass(slots=True, frozen=True)
class ReadRecord:
    """One record with nothing left to look up: names expanded."""

    owner: bytes
    """Wire form, lower case."""
    rtype: int
    rclass: int
    ttl_s: int
    rdata: bytes
    """Names inside uncompressed."""


@dataclass(slots=True, frozen=True)
class Message:
    """A whole message."""

    id: int
    flags: int
    questions: tuple[tuple[bytes, int, int], ...]
    """(qname as sent, qtype, qclass)."""
    answer: tuple[ReadRecord, ...]
    authority: tuple[ReadRecord, ...]
    additional: tuple[ReadRecord, ...]
    """Without the OPT."""
    opt: ReadRecord | None

    @property
    def rcode(self) -> int:
        """The 12-bit rcode, OPT's upper bits included."""
        return self.flags & 0xF | (self.opt.ttl_s >> 24 << 4 if self.opt else 0)

    @property
    def extended_errors(self) -> tuple[tuple[int, str], ...]:
        """Extended DNS Errors as (INFO-CODE, text); ill-formed ones are left out."""
        options = (read_options(self.opt.rdata, 0, len(self.opt.rdata)) if self.opt else None) or ()
        return tuple(
            (int.from_bytes(value[:2], "big"), value[2:].decode("utf-8", "replace"))
            for code, value in options
            if code == EdnsOption.EXTENDED_ERROR and len(value) >= 2
        )


def read_message(octets: bytes) -> Message | None:
    """A whole message, each section in full; None when it is not well-formed.  Never raises."""
    if len(octets) < HEADER_OCTETS:
        return None
    id_, flags, *counts = _HEADER(octets)
    records_count = sum(counts[1:])
    if records_count > RECORDS_MAX or counts[0] * 5 + records_count * RECORD_OCTETS_MIN > len(octets) - 12:
        return None
    names = Names()
    try:
        at = HEADER_OCTETS
        questions = []
        for _ in range(counts[0]):
            qname, at = read_name(octets, at, names)
            questions.append((qname, *struct.unpack_from("!HH", octets, at)))
            at += 4
        sections = []
        for count in counts[1:]:
            records, at = read_section(octets, at, count, names)
            sections.append([_read(octets, r, names) for r in records])
    except (IndexError, WireError, struct.error):
        return None
    opts = [r for r in sections[2] if r.rtype == Qtype.OPT]
    if len(opts) > 1 or at != len(octets):
        return None
    additional = tuple(r for r in sections[2] if r.rtype != Qtype.OPT)
    return Message(
        id_,
        flags,
        tuple(questions),
        tuple(sections[0]),
        tuple(sections[1]),
        additional,
        opts[0] if opts else None,
    )


def describe(octets: bytes) -> str:
    """A message as text much like dig's, hostile octets escaped.  Never raises."""
    message = read_message(octets)
    if message is None:
        return f";; {len(octets)} octets that are no well-formed message"
    flags = message.flags
    shown = " ".join(text for bit, text in _FLAG_BITS + _DNSSEC_BITS if flags & bit)
    opcode = _number_text(Opcode, flags >> 11 & 0xF, "OPCODE")
    lines = [
        f";; opcode: {opcode}, status: {_number_text(Rcode, message.rcode, 'RCODE')}, id: {message.id}",
        f";; flags: {shown}",
    ]
    if message.opt is not None:
        opt = message.opt
        do = " do" if opt.ttl_s & 0x8000 else ""
        lines.append(f";; EDNS: version {opt.ttl_s >> 16 & 0xFF}, flags:{do}; udp: {opt.rclass}")
        for code, text in message.extended_errors:
            name = _number_text(ExtendedError, code, "EDE")
            lines.append(f";; EDE: {code} ({name}){': ' + ascii(text) if text else ''}")
    for qname, qtype, qclass in message.questions:
        lines.append(f";{_dotted(qname)} {class_text(qclass)} {type_text(qtype)}")
    sections = (("ANSWER", message.answer), ("AUTHORITY", message.authority))
    for title, records in (*sections, ("ADDITIONAL", message.additional)):
        if records:
            lines.append(f";; {title}:")
            lines += [record_text(r) for r in records]
    return "\n".join(lines)


def record_text(record: ReadRecord) -> str:
    """One record as a line of zone text."""
    head = f"{_dotted(record.owner)} {record.ttl_s} {class_text(record.rclass)} {type_text(record.rtype)}"
    return f"{head} {rdata_text(record.rtype, record.rdata)}"


def rdata_text(rtype: int, rdata: bytes) -> str:
    """RDATA (names uncompressed) as zone text; RFC 3597 §5's generic form where no reader fits."""
    if rtype in (Qtype.CNAME, Qtype.NS, Qtype.PTR, Qtype.DNAME):
        return _dotted(rdata)
    if rtype in (Qtype.TXT, Qtype.SPF, Qtype.HINFO) and (strings := _strings_text(rdata)) is not None:
        return strings
    reader = dnslib.RDMAP.get(Qtype(rtype).name) if rtype in _KNOWN_TYPES else None
    if reader is not None and rdata:
        try:
            if rtype in _NAME_OFFSETS:
                # These carry a name that must not be compressed; a pointer makes this raise.
                read_name(rdata[_NAME_OFFSETS[rtype] :], 0, Names())
            text = str(reader.parse(dnslib.DNSBuffer(rdata), len(rdata)))
            if text.isascii() and text.isprintable():
                return text
        except (*_DNSLIB_ERRORS, WireError):
            pass
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def records_from_zone(text: str) -> list[ReadRecord]:
    """Records of a small zone written as text, in order; for built-in zones, not for strangers' octets.

    Raises ValueError on text that dnslib cannot read.
    """
    try:
        return [_from_dnslib(rr) for rr in dnslib.RR.fromZone(text)]
    except _DNSLIB_ERRORS as error:
        raise ValueError(f"zone text: {error}") from None


def type_text(rtype: int) -> str:
    """`A`, `HTTPS`, or `TYPE65280` (RFC 3597 §5)."""
    return _number_text(Qtype, rtype, "TYPE")


def class_text(rclass: int) -> str:
    """`IN`, or `CLASS42`."""
    return _number_text(Qclass, rclass, "CLASS")


def _read(octets: bytes, record: Record, names: Names) -> ReadRecord:
    rdata = expand_rdata(octets, record, names)
    return ReadRecord(record.owner, record.rtype, record.rclass, record.ttl_s, rdata)


def _from_dnslib(rr: dnslib.RR) -> ReadRecord:
    buffer = dnslib.DNSBuffer()
    # Packed alone, RDATA has nothing to point to: compression pointers would count from its start.
    buffer.encode_name = buffer.encode_name_nocompress
    rr.rdata.pack(buffer)
    owner = b"".join([bytes((len(label),)) + label for label in rr.rname.label]) + b"\0"
    return ReadRecord(owner.lower(), rr.rtype, rr.rclass, rr.ttl, bytes(buffer.data))


def _number_text(
    kind: type[Qtype] | type[Qclass] | type[Rcode] | type[Opcode] | type[ExtendedError],
    number: int,
    prefix: str,
) -> str:
    try:
        return kind(number).name
    except ValueError:
        return f"{prefix}{number}"


def _strings_text(rdata: bytes) -> str | None:
    """Character-strings, each quoted, odd octets as `\\DDD`; None when they overrun."""
    texts = []
    at = 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        if end > len(rdata):
            return None
        text = "".join(
            chr(c) if 0x20 <= c < 0x7F and c not in b'"\\' else f"\\{c:03d}" for c in rdata[at + 1 : end]
        )
        texts.append(f'"{text}"')
        at = end
    return " ".join(texts) or None


def _dotted(name: bytes) -> str:
    return name_to_text(name) if name == b"\0" else name_to_text(name) + "."
