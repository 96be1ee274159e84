"""One message of a zone transfer: octets to records as they are kept, and its signature.

Knows: the layout of DNS messages (by `wire`), TSIG's place in one (by dnspython).  Does not know:
connections, what the records mean together.
Theory: nearly every record of a policy zone is a CNAME, and there are millions of them: those are read
here, all other data by dnspython.
"""

from __future__ import annotations

import re
import struct
import time
from typing import Final, NamedTuple

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TSIG
import dns.tsig

from resolver.fetching.outcome import FetchFailed, Result
from resolver.fetching.zone_changes import Key, Record
from resolver.wire.names import is_at_or_below, name_to_text
from resolver.wire.numbers import Qclass, Qtype
from resolver.wire.walk import HEADER_OCTETS, Names, WireError, expand_rdata, read_name, read_section
from resolver.wire.walk import Record as WireRecord

_HEADER: Final = struct.Struct("!HHHHHH").unpack_from
_QUESTION: Final = struct.Struct("!HH").unpack_from
RECORD_OCTETS_MIN: Final = 11
_TSIG: Final = 250
_PLAIN: Final = re.compile(rb"[a-z0-9_.*-]+\Z")
APEX: Final = b"@"
UNSIGNED_MAX: Final = 99
"""Messages in a row without a signature (RFC 8945 §5.3.1: at least every 100th has one)."""


class Asked(NamedTuple):
    """What a question said, or the question that an answer repeats."""

    name: bytes
    """Wire form, lower case."""
    qtype: int
    qclass: int


class Message(NamedTuple):
    """What a transfer wants of a message."""

    id: int
    is_response: bool
    rcode: int
    question: Asked | None
    answer: list[WireRecord]
    octets: bytes
    names: Names
    """Names that its pointers lead to, as far as they were read."""
    tsig: WireRecord | None


def read_message(octets: bytes) -> Message:
    """A message's parts.  Raises FetchFailed (BAD_TRANSFER)."""
    try:
        id_, flags, *counts = _HEADER(octets)
        qdcount, ancount, nscount, arcount = counts
        if qdcount > 1 or sum(counts[1:]) * RECORD_OCTETS_MIN > len(octets):
            raise WireError
        names = Names()
        at = HEADER_OCTETS
        question = None
        if qdcount:
            name, at = read_name(octets, at, names)
            question = Asked(name.lower(), *_QUESTION(octets, at))
            at += 4
        answer, at = read_section(octets, at, ancount, names)
        rest, at = read_section(octets, at, nscount + arcount, names)
        if at != len(octets):
            raise WireError
    except (WireError, IndexError, struct.error):
        raise FetchFailed(Result.BAD_TRANSFER, "not a DNS message") from None
    has_tsig = arcount > 0 and rest[-1].rtype == _TSIG
    return Message(
        id_,
        bool(flags & 0x8000),
        flags & 0xF,
        question,
        answer,
        octets,
        names,
        rest[-1] if has_tsig else None,
    )


def record_of(message: Message, record: WireRecord, zone: bytes) -> Record:
    """One record as it is kept.  Raises FetchFailed where it does not belong to the zone.

    `zone`: wire form, lower case.
    """
    owner, rtype = record.owner, record.rtype
    if record.rclass != Qclass.IN:
        raise FetchFailed(
            Result.BAD_TRANSFER,
            f"a record of class {dns.rdataclass.to_text(dns.rdataclass.RdataClass.make(record.rclass))}",
        )
    if not is_at_or_below(owner, zone):
        raise FetchFailed(Result.BAD_TRANSFER, f"{name_to_text(owner)} is not in the zone")
    relative = owner[: len(owner) - len(zone)]
    kept = _text_of(relative + b"\0") if relative else APEX
    try:
        rdata = expand_rdata(message.octets, record, message.names)
        if rtype == Qtype.CNAME:
            target = b"." if rdata == b"\0" else _text_of(rdata.lower()) + b"."
            return Record(Key(kept, b"CNAME " + target), record.ttl_s)
        data = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata)
        )
    except (WireError, IndexError, ValueError, dns.exception.DNSException):
        shown = f"{name_to_text(owner)} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rtype))}"
        raise FetchFailed(Result.BAD_TRANSFER, f"the data of {shown} is broken") from None
    serial = int(data.serial) if isinstance(data, dns.rdtypes.ANY.SOA.SOA) else None
    text = f"{dns.rdatatype.to_text(data.rdtype)} {data.to_text()}"
    return Record(Key(kept, text.encode()), record.ttl_s, serial)


def _text_of(name: bytes) -> bytes:
    """Text of a lower-case name without its last dot."""
    labels = []
    at = 0
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length])
        at += length + 1
    text = b".".join(labels)
    if _PLAIN.match(text) and len(text) + 2 == len(name) and not any(b"." in label for label in labels):
        return text
    return name_to_text(name).encode()


class SignatureCheck:
    """Holds the messages of one answer against the key that signed the question (RFC 8945 §5.3.1)."""

    def __init__(self, key: dns.tsig.Key, request_mac: bytes) -> None:
        self._key = key
        self._request_mac = request_mac
        self._context: dns.tsig.HMACTSig | dns.tsig.GSSTSig | None = None
        self._unsigned = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last message was signed."""
        return self._unsigned == 0

    def check(self, message: Message) -> None:
        """One message more, in order.  Raises FetchFailed (TSIG)."""
        if message.tsig is None:
            self._unsigned += 1
            if self._context is None or self._unsigned > UNSIGNED_MAX:
                raise FetchFailed(Result.TSIG, "an answer that should be signed is not")
            self._context.update(message.octets)  # type: ignore[no-untyped-call]
            return
        self._unsigned = 0
        record = message.tsig
        try:
            rdata = dns.rdata.from_wire(
                dns.rdataclass.ANY,
                dns.rdatatype.TSIG,
                message.octets,
                record.rdata_start,
                record.end - record.rdata_start,
            )
            assert isinstance(rdata, dns.rdtypes.ANY.TSIG.TSIG)
            self._context = dns.tsig.validate(  # type: ignore[no-untyped-call]
                message.octets,
                self._key,
                dns.name.from_wire(record.owner, 0)[0],
                rdata,
                int(time.time()),
                self._request_mac,
                record.start,
                self._context,
                multi=True,
            )
        except (dns.tsig.BadTime, dns.tsig.PeerBadTime):
            raise FetchFailed(Result.TSIG, "the clocks here and there differ too much (BADTIME)") from None
        except dns.tsig.PeerBadKey:
            raise FetchFailed(Result.TSIG, "the primary does not know this key (BADKEY)") from None
        except dns.tsig.PeerBadSignature:
            raise FetchFailed(Result.TSIG, "the primary has another secret for this key (BADSIG)") from None
        except (dns.exception.DNSException, ValueError):
            raise FetchFailed(Result.TSIG, "an answer is not signed with the key of this list") from None
