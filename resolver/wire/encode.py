"""The one encoder: facts and record octets -> a whole message, the same on every transport.

Knows: header bits, OPT, Extended DNS Errors, padding, and what gives way when a message is too long.
Does not know: why an answer is what it is, which options its client gets.
Order of giving way: the text of Extended DNS Errors, then the errors, then the other options, then the
records (TC=1): over a datagram all of them, for the client can come back over a stream; over a stream
those at the end that do not fit.  Question and OPT always stay.  Padding comes last, where there is room.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from resolver.wire.numbers import EdnsOption, Qclass, Qtype, Rcode
from resolver.wire.query import Query
from resolver.wire.walk import RECORD_FIXED, WireError, skip_name

UDP_PAYLOAD_OCTETS_MAX = 1232
"""Largest UDP message sent or asked for: fits the IPv6 minimum MTU of 1280 (DNS Flag Day 2020)."""
UDP_PAYLOAD_OCTETS_MIN = 512
"""What every client takes (RFC 1035 §4.2.1)."""
STREAM_OCTETS_MAX = 65535
"""Largest message over TCP: its length field has 16 bits (RFC 1035 §4.2.2)."""
EDE_TEXT_OCTETS_MAX = 200
"""Longest EXTRA-TEXT sent: an explanation, not a page; leaves room for records in 512 octets."""

NSID_OCTETS_MAX = 64
"""Longest name of a server: tells it from its twin, and hardly lets an answer outgrow its query."""

PADDED_BLOCK_OCTETS = 468
"""A padded answer has a multiple of this many octets (RFC 8467 §4.1): who reads along learns little of it."""

ANY_GROWTH_HALVES = 3
"""An answer to ANY over a datagram has at most as many halves of its query's octets: the address may be
somebody else's, and no client needs more than the hint to come over a stream (RFC 8482 §4.4)."""

Options = tuple[tuple[int, bytes], ...]
ExtendedErrors = tuple[tuple[int, str], ...]


class AskedOptions(NamedTuple):
    """The EDNS options that a client gets because its query asked for them."""

    values: Options
    pads: bool
    """Whether its answer is padded to a block (RFC 7830)."""

    @property
    def octets(self) -> int:
        """What they take in the OPT, padding aside."""
        return sum(OPTION_HEAD_OCTETS + len(value) for _, value in self.values)


NOTHING_ASKED: Final = AskedOptions((), pads=False)
OPTION_HEAD_OCTETS: Final = 4
"""Code and length of an EDNS option (RFC 6891 §6.1.2)."""

_FOUR_COUNTS = struct.Struct("!HHHHH").pack
_OPT = struct.Struct("!BHHBBHH").pack
OPT_OCTETS = 11
"""Root owner, type, class, TTL and RDLENGTH of an OPT without options."""
_QUERY_HEADS = tuple(
    struct.pack("!HHHHH", 0x0110 if cd else 0x0100, 1, 0, 0, edns) for cd in (False, True) for edns in (0, 1)
)
"""A query's header after the ID: RD=1, one question; by `CD << 1 | EDNS`."""
_TYPE_CLASS = struct.Struct("!HH").pack
_CODE_LENGTH = struct.Struct("!HH").pack
_IN = int(Qclass.IN)
_OPT_TYPE = int(Qtype.OPT)
_ANY = int(Qtype.ANY)
COPIED_FLAGS = 0x0110
"""RD and CD: the only bits a reply takes from its query (RFC 1035 §4.1.1, RFC 4035 §3.2.2)."""


def encode_response(
    query: Query,
    rcode: int,
    *,
    body: bytes = b"",
    ancount: int = 0,
    nscount: int = 0,
    limit: int,
    ede: ExtendedErrors = (),
    options: Options = (),
    pads: bool = False,
    ra: bool = True,
    aa: bool = False,
    ad: bool = False,
    truncated: bool = False,
) -> bytes:
    """A whole reply to `query`, at most `limit` octets, its question echoed octet for octet.

    `body` is answer and authority, with compression pointers that count from this query's
    question at offset 12.  OPT, and with it `ede`, `options` and the upper bits of `rcode`, is
    sent only to a client that sent one (RFC 6891 §6.1.1); without it an rcode over 15 becomes
    SERVFAIL.  `limit` is a `response_limit`, or at least 512.  `pads`: the OPT ends with as many octets of
    padding as make whole blocks, or as there is room for.
    """
    opt = b""
    if query.has_opt:
        if ede or options or rcode > 15:
            opt = _encode_opt(query.dnssec_ok, rcode >> 4 & 0xFF, ede, options)
        else:
            opt = _PLAIN_OPTS[query.dnssec_ok]
    elif rcode > 15:
        rcode = Rcode.SERVFAIL
    question_end = query.question_end
    octets = query.octets
    if question_end + len(body) + len(opt) > limit:
        room = limit - question_end - len(body)
        opt = _shortened_opt(query, rcode, ede, options, room)
        if len(opt) > room:
            truncated = True
            if limit == STREAM_OCTETS_MAX:
                room = limit - question_end - (OPT_OCTETS if query.has_opt else 0)
                body, ancount, nscount = _first_records(body, ancount, nscount, room)
            else:
                body = b""
                ancount = nscount = 0
            opt = _shortened_opt(query, rcode, (), options, limit - question_end - len(body))
    if pads and opt:
        opt = _padded_opt(opt, question_end + len(body), limit)
    flags = 0x8000 | query.flags & COPIED_FLAGS | rcode & 0xF
    if ra:
        flags |= 0x0080
    if aa:
        flags |= 0x0400
    if ad:
        flags |= 0x0020
    if truncated:
        flags |= 0x0200
    return b"".join(
        (
            octets[:2],
            _FOUR_COUNTS(flags, 1, ancount, nscount, 1 if opt else 0),
            octets[12:question_end],
            body,
            opt,
        )
    )


def usual_tail(query: Query, rcode: int, body: bytes, ancount: int, nscount: int) -> bytes:
    """What `encode_response` writes after the ID, over UDP and with nothing to tell beside the records.

    Empty where that is more than every client takes, or the rcode needs more than its four bits.
    """
    question_end = query.question_end
    opt = _PLAIN_OPTS[query.dnssec_ok] if query.has_opt else b""
    if rcode > 15 or question_end + len(body) + len(opt) > UDP_PAYLOAD_OCTETS_MIN:
        return b""
    flags = 0x8080 | query.flags & COPIED_FLAGS | rcode
    head = _FOUR_COUNTS(flags, 1, ancount, nscount, 1 if opt else 0)
    return head + query.octets[12:question_end] + body + opt


def response_limit(query: Query, is_stream: bool) -> int:
    """Octets a reply may have: the client's payload size up to 1232, 512 without OPT, 65535 on a stream.

    To ANY over a datagram at most one and a half times the query's.
    """
    if is_stream:
        return STREAM_OCTETS_MAX
    payload = query.payload_octets
    limit = payload if payload < UDP_PAYLOAD_OCTETS_MAX else UDP_PAYLOAD_OCTETS_MAX
    return limit if query.qtype != _ANY else min(limit, len(query.octets) * ANY_GROWTH_HALVES // 2)


def encode_malformed(octets: bytes, rcode: int) -> bytes:
    """A header-only reply to octets that are no query: ID, opcode and RD echoed, all else 0 but QR.

    Octets under a header's 12 get an empty reply: send nothing.
    """
    if len(octets) < 12:
        return b""
    return octets[:2] + bytes((0x80 | octets[2] & 0x79, rcode & 0xF)) + b"\0\0\0\0\0\0\0\0"


def encode_query(
    qname: bytes,
    qtype: int,
    *,
    id: int,  # noqa: A002 - the header field is called ID
    dnssec_ok: bool,
    checking_disabled: bool,
    edns: bool,
    payload_octets: int = UDP_PAYLOAD_OCTETS_MAX,
) -> bytes:
    """A query for an upstream: class IN, RD=1, the case of `qname` as the caller chose it."""
    question = qname + _TYPE_CLASS(qtype, _IN)
    if payload_octets == UDP_PAYLOAD_OCTETS_MAX or not edns:
        return encode_question(id, question, dnssec_ok, checking_disabled, edns)
    opt = _OPT(0, _OPT_TYPE, payload_octets, 0, 0, 0x8000 if dnssec_ok else 0, 0)
    return id.to_bytes(2, "big") + _QUERY_HEADS[checking_disabled << 1 | 1] + question + opt


def encode_question(
    query_id: int, question: bytes, dnssec_ok: bool, checking_disabled: bool, edns: bool
) -> bytes:
    """A query for an upstream: RD=1, our payload size, and `question` (name, type and class) as given."""
    head = query_id.to_bytes(2, "big") + _QUERY_HEADS[checking_disabled << 1 | edns] + question
    return head + _PLAIN_OPTS[dnssec_ok] if edns else head


def cut_text(text: str, octets_max: int) -> bytes:
    """UTF-8 of `text`, cut between characters to at most `octets_max` octets."""
    octets = text.encode("utf-8", "replace")
    if len(octets) <= octets_max:
        return octets
    return octets[:octets_max].decode("utf-8", "ignore").encode("utf-8")


@lru_cache(maxsize=4096)
def _encode_opt(dnssec_ok: bool, extended_rcode: int, ede: ExtendedErrors, options: Options) -> bytes:
    """An OPT record, version 0, of DO and options alone; the few distinct ones are remembered."""
    rdata = b"".join(
        [_CODE_LENGTH(code, len(octets)) + octets for code, octets in options]
        + [_encode_ede(code, cut_text(text, EDE_TEXT_OCTETS_MAX)) for code, text in ede]
    )
    flags = 0x8000 if dnssec_ok else 0
    return _OPT(0, _OPT_TYPE, UDP_PAYLOAD_OCTETS_MAX, extended_rcode, 0, flags, len(rdata)) + rdata


def _encode_ede(code: int, text: bytes) -> bytes:
    """One Extended DNS Error option (RFC 8914 §2): INFO-CODE, then EXTRA-TEXT without a NUL."""
    return _CODE_LENGTH(EdnsOption.EXTENDED_ERROR, 2 + len(text)) + code.to_bytes(2, "big") + text


def _shortened_opt(query: Query, rcode: int, ede: ExtendedErrors, options: Options, room: int) -> bytes:
    """The fullest OPT that fits `room`: texts cut, then no texts, then no errors, then no options."""
    if not query.has_opt:
        return b""
    upper = rcode >> 4 & 0xFF
    whole = _encode_opt(query.dnssec_ok, upper, ede, options)
    if len(whole) <= room or not (ede or options):
        return whole
    bare = tuple((code, "") for code, _ in ede)
    opt = _encode_opt(query.dnssec_ok, upper, bare, options)
    spare = room - len(opt)
    if spare >= 0:
        cut = []
        for code, text in ede:
            kept = cut_text(text, min(spare, EDE_TEXT_OCTETS_MAX))
            spare -= len(kept)
            cut.append((code, kept.decode("utf-8")))
        return _encode_opt.__wrapped__(query.dnssec_ok, upper, tuple(cut), options)
    opt = _encode_opt(query.dnssec_ok, upper, (), options)
    return opt if len(opt) <= room else _encode_opt(query.dnssec_ok, upper, (), ())


def _padded_opt(opt: bytes, octets_before: int, limit: int) -> bytes:
    """The OPT with a padding option at its end (RFC 7830 §3), in a message with so many octets before it."""
    octets = octets_before + len(opt) + OPTION_HEAD_OCTETS
    padding = min(-octets % PADDED_BLOCK_OCTETS, limit - octets)
    if padding < 0:
        return opt  # Not even an empty one fits.
    rdlength = len(opt) - OPT_OCTETS + OPTION_HEAD_OCTETS + padding
    head = opt[: OPT_OCTETS - 2] + rdlength.to_bytes(2, "big")
    return head + opt[OPT_OCTETS:] + _CODE_LENGTH(EdnsOption.PADDING, padding) + bytes(padding)


def _first_records(body: bytes, ancount: int, nscount: int, room: int) -> tuple[bytes, int, int]:
    """As many whole records of `body` as fit `room`, and how many of them are answer and authority."""
    end = kept = 0
    try:
        while kept < ancount + nscount:
            at = skip_name(body, end)
            at += 10 + RECORD_FIXED(body, at)[3]
            if at > room or at > len(body):
                break
            end = at
            kept += 1
    except (IndexError, WireError, struct.error):
        return b"", 0, 0
    return body[:end], min(kept, ancount), max(kept - ancount, 0)


_PLAIN_OPTS = (_encode_opt(False, 0, (), ()), _encode_opt(True, 0, (), ()))
