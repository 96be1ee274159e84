"""Octets from an upstream -> a trimmed, trusted response, or why they are refused.

Knows: what was asked, RFC 5452's rules of acceptance, RFC 2181 and 2308's rules of TTL.
Does not know: sockets, caches, policy.  Never raises.
Only the chain that starts at qname survives; NS and glue never do.
"""

from __future__ import annotations

import struct

from resolver.wire.chain import (
    CHAIN_LINKS_MAX,
    follow_chain,
    is_referral,
    negative_records,
    proof_records,
)
from resolver.wire.layout import TTL_TOP_BIT, are_names_fixed, lay_out
from resolver.wire.names import is_at_or_below
from resolver.wire.numbers import NegativeKind, Qtype, Rcode
from resolver.wire.outcomes import (
    ChainLink,
    Refused,
    Response,
    SentQuery,
    Truncated,
    UpstreamFailure,
)
from resolver.wire.service_binding import read_service
from resolver.wire.walk import (
    RECORD_FIXED,
    RECORD_OCTETS_MIN,
    RECORDS_MAX,
    Names,
    Record,
    WireError,
    read_name,
    read_section,
    skip_name,
)

__all__ = [
    "REFUSED_REASONS",
    "ChainLink",
    "Refused",
    "Response",
    "SentQuery",
    "Truncated",
    "UpstreamFailure",
    "accept_response",
]

_HEADER = struct.Struct("!HHHHHH").unpack_from
# Plain ints: looking a member up on an enum costs more than the comparison.
_CNAME, _SOA, _OPT, _ANY = 5, 6, 41, 255
_QR_OPCODE_TC = 0xFA00
_AA_RA = 0x0480
_BROKEN_LAYOUT = (IndexError, WireError, struct.error)
"""What walking broken octets raises; nothing else does."""
_POINTED_RECORD = struct.Struct("!HHHIH").unpack_from
"""A record whose owner is a compression pointer."""
_QNAME_POINTER = 0xC00C
_PLAIN_SIZES: dict[int, int] = {
    Qtype.A: 4,
    Qtype.AAAA: 16,
    Qtype.TXT: 0,
    Qtype.DS: 0,
    Qtype.DNSKEY: 0,
    Qtype.TLSA: 0,
    Qtype.CAA: 0,
}
"""Types of the plain path: those with addresses by their RDLENGTH, opaque ones by 0."""
_EDNS_STUMBLES = frozenset((Rcode.FORMERR, Rcode.NOTIMP, Rcode.BADVERS))
"""What servers without EDNS say to it (RFC 6891 §7)."""

TRUNCATED = Truncated()
SHORT = Refused("short", False)
NOT_RESPONSE = Refused("not-response", False)
WRONG_ID = Refused("id", True)
WRONG_OPCODE = Refused("opcode", True)
WRONG_COUNT = Refused("qdcount", True)
WRONG_QUESTION = Refused("question", True)
WRONG_CASE = Refused("case", True)
TOO_MANY = Refused("counts", True)
BROKEN = Refused("malformed", True)
REFUSED_REASONS = tuple([one.reason for one in globals().values() if type(one) is Refused])
"""The closed set of reasons: those of the constants above."""
BROKEN_REASONS = (TOO_MANY.reason, BROKEN.reason)
"""Reasons of what repeats ID and question letter by letter and still is no answer: as hard to forge as
one, and nothing better follows."""


def accept_response(octets: bytes, sent: SentQuery) -> Response | Truncated | Refused | UpstreamFailure:
    """Judge octets that came from the upstream asked, and trim them to what was asked.

    Refused: drop them and keep waiting.  Never raises; at most RECORDS_MAX records are looked at.
    """
    length = len(octets)
    if length < 12:
        return SHORT
    id_, flags, qdcount, ancount, nscount, arcount = _HEADER(octets)
    question = sent.question_octets
    question_end = 12 + len(question)
    # RFC 5452 §9.1: ID and question must be the ones sent, or the message is as good as forged.
    told = octets[12:question_end]
    if told != question or id_ != sent.id or flags & _QR_OPCODE_TC != 0x8000 or qdcount != 1:
        return _other_than_whole(octets, sent, id_, flags, qdcount)
    records = ancount + nscount + arcount
    if records > RECORDS_MAX or records * RECORD_OCTETS_MIN > length - question_end:
        return TOO_MANY
    counts = (ancount, nscount, arcount)
    # Why two paths: nearly every answer is one RRset of qname, a short chain in order, or one SOA: sliced
    # without a list of records, which saves a tenth of a miss.  This path may punt; what it accepts is what
    # the general one makes of it, which only refuses a broken owner in the authority section.
    rcode = flags & 0xF
    if (not nscount or not sent.dnssec_ok) and (not rcode or rcode == 3):
        try:
            plain = _accept_plain(octets, sent, question_end, flags, counts)
            if plain is not None:
                return plain
        except _BROKEN_LAYOUT:
            pass
    try:
        return _accept_sections(octets, sent, question_end, flags, counts)
    except _BROKEN_LAYOUT:
        return BROKEN


def _other_than_whole(
    octets: bytes, sent: SentQuery, id_: int, flags: int, qdcount: int
) -> Truncated | Refused | UpstreamFailure:
    """What a message is that is not the whole reply to what was asked."""
    if not flags & 0x8000:
        return NOT_RESPONSE
    told = octets[12 : 12 + len(sent.question_octets)]
    if told == sent.question_octets and id_ == sent.id:
        return BROKEN if flags & 0x7800 or qdcount != 1 else TRUNCATED
    if id_ != sent.id:
        return WRONG_ID
    if flags & 0x7800:
        return WRONG_OPCODE
    if qdcount == 0 and len(octets) == 12:
        # Without a question it is believed only as a bare error over a stream, or as a stumble over EDNS,
        # which costs one query more (servers before EDNS: RFC 6891 §7).
        rcode = flags & 0xF
        edns_refused = sent.edns and rcode in _EDNS_STUMBLES
        if edns_refused or (sent.is_stream and rcode not in (0, Rcode.NXDOMAIN)):
            return UpstreamFailure(rcode, edns_refused)
    if qdcount != 1:
        return WRONG_COUNT
    return WRONG_CASE if told.lower() == sent.question_octets.lower() else WRONG_QUESTION


def _accept_plain(
    octets: bytes, sent: SentQuery, question_end: int, flags: int, counts: tuple[int, int, int]
) -> Response | None:
    """A chain and its final RRset standing in order, or one SOA; None where in any doubt."""
    qtype, qclass = sent.qtype, sent.qclass
    size = _PLAIN_SIZES.get(qtype, -1)
    expected = _QNAME_POINTER
    at = question_end
    name = sent.name
    names = Names()
    names[12] = sent.qname
    offsets: list[int] = []
    ttls: list[int] = []
    links: tuple[ChainLink, ...] = ()
    found: list[bytes] = []
    final_ttl_s = -1
    for _ in range(counts[0]):
        owner, rtype, rclass, ttl_s, rdlength = _POINTED_RECORD(octets, at)
        if owner != expected or rclass != qclass or ttl_s >= TTL_TOP_BIT:
            return None
        start = at + 12
        end = start + rdlength
        if rtype == qtype:
            if (rdlength != size and size) or (ttl_s != final_ttl_s and final_ttl_s >= 0):
                return None
            final_ttl_s = ttl_s
            if size:
                found.append(octets[start:end])
        elif rtype == _CNAME and final_ttl_s < 0 and qtype != _ANY:
            target, target_end = read_name(octets, start, names)
            target = target.lower()
            if target_end != end or start > 0x3FFF or not _is_new(target, links, sent):
                return None
            # The next owner points to this target, or where this target itself only points to.
            expected = 0xC000 | start if rdlength != 2 else octets[start] << 8 | octets[start + 1]
            name = target
            links = (*links, ChainLink(target, end - question_end, len(links) + 1))
        else:
            return None
        offsets.append(at + 6 - question_end)
        ttls.append(ttl_s)
        at = end
    if final_ttl_s < 0:
        return _accept_plain_negative(
            octets, question_end, flags, counts, at, name, names, offsets, ttls, links
        )
    if flags & 0xF or _step_over(octets, at, counts[1], counts[2]):
        return None
    if links and not are_names_fixed(octets, question_end, names, [o + question_end for o in offsets]):
        return None
    return Response(
        0,
        flags & 0x0020 != 0,
        octets[question_end:at],
        counts[0],
        0,
        tuple(offsets),
        tuple(ttls),
        None,
        final_ttl_s if not links else min(ttls),
        links,
        (),
        tuple(found),
        name,
    )


def _is_new(target: bytes, links: tuple[ChainLink, ...], sent: SentQuery) -> bool:
    """Whether the chain may go on to `target`: not been there, and not too long."""
    if len(links) == CHAIN_LINKS_MAX or target == sent.name:
        return False
    return target not in [link.target for link in links]


def _accept_plain_negative(
    octets: bytes,
    question_end: int,
    flags: int,
    counts: tuple[int, int, int],
    answer_end: int,
    name: bytes,
    names: Names,
    offsets: list[int],
    ttls: list[int],
    links: tuple[ChainLink, ...],
) -> Response | None:
    """No final RRset: one SOA at or above the name that ends the chain; None for any other shape."""
    if counts[1] != 1:
        return None
    owner, at = read_name(octets, answer_end, names)
    rtype, rclass, ttl_s, rdlength = RECORD_FIXED(octets, at)
    if rtype != _SOA or rclass != 1 or not is_at_or_below(name, owner.lower()):
        return None
    end = at + 10 + rdlength
    _, numbers_at = read_name(octets, at + 10, names)
    _, numbers_at = read_name(octets, numbers_at, names)
    if numbers_at + 20 != end or end > len(octets) or _step_over(octets, end, 0, counts[2]):
        return None
    minimum_s = int.from_bytes(octets[end - 4 : end], "big")
    body = octets[question_end:end]
    offset = at + 4 - question_end
    if ttl_s >= TTL_TOP_BIT or minimum_s >= TTL_TOP_BIT:
        return None
    # RFC 2308 §5: the negative TTL is the lesser of the SOA's own TTL and its MINIMUM.
    if minimum_s < ttl_s:
        body = body[:offset] + octets[end - 4 : end] + body[offset + 4 :]
        ttl_s = minimum_s
    ttls.append(ttl_s)
    offsets.append(offset)
    if not are_names_fixed(octets, question_end, names, [o + question_end for o in offsets]):
        return None
    return Response(
        flags & 0xF,
        flags & 0x0020 != 0,
        body,
        counts[0],
        1,
        tuple(offsets),
        tuple(ttls),
        NegativeKind.NXDOMAIN if flags & 0xF else NegativeKind.NODATA,
        min(ttls),
        links,
        (),
        (),
        name,
    )


def _accept_sections(
    octets: bytes, sent: SentQuery, question_end: int, flags: int, counts: tuple[int, int, int]
) -> Response | UpstreamFailure:
    """The general path: read all records, pick the chain, lay it out."""
    names = Names()
    names[12] = sent.qname
    answer, at = read_section(octets, question_end, counts[0], names)
    authority, at = read_section(octets, at, counts[1], names)
    rcode = flags & 0xF | _step_over(octets, at, 0, counts[2])
    if rcode != Rcode.NOERROR and rcode != Rcode.NXDOMAIN:
        return UpstreamFailure(rcode, sent.edns and rcode in _EDNS_STUMBLES)
    qclass = sent.qclass
    answer = [r for r in answer if r.rclass == qclass]
    authority = [r for r in authority if r.rclass == qclass]
    dnssec_ok = sent.dnssec_ok
    chain = follow_chain(octets, answer, sent.name, sent.qtype, rcode, dnssec_ok, names)
    if chain.is_broken:
        return UpstreamFailure(Rcode.SERVFAIL, False, has_endless_chain=True)
    negative = soa = None
    if chain.terminal:
        vouching = proof_records(octets, authority) if dnssec_ok else []
    else:
        negative = NegativeKind.NXDOMAIN if rcode else NegativeKind.NODATA
        soa, vouching = negative_records(octets, authority, chain.name_at_end, dnssec_ok)
        # From who recurses or has authority, NS records alone are a way of saying NODATA.
        if soa is None and rcode == 0 and not flags & _AA_RA and is_referral(authority):
            return UpstreamFailure(Rcode.SERVFAIL, False)
    body = lay_out(octets, question_end, [*chain.kept, *vouching], soa, names)
    targets, addresses = _pointed_to(octets, chain.terminal)
    links = tuple([ChainLink(ln.target, body.ends[ln.count - 1], ln.count) for ln in chain.links])
    # RFC 2308 §5: a negative answer without SOA is not kept.
    ttl_s = 0 if negative and soa is None else min(body.ttls)
    return Response(
        rcode,
        bool(flags & 0x0020),
        body.octets,
        len(chain.kept),
        len(vouching),
        body.ttl_offsets,
        body.ttls,
        negative,
        ttl_s,
        links,
        targets,
        addresses,
        chain.name_at_end,
    )


def _pointed_to(octets: bytes, records: list[Record]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """SVCB/HTTPS targets, and addresses with hints, of the final RRset."""
    targets: list[bytes] = []
    addresses: list[bytes] = []
    for record in records:
        if record.rtype == Qtype.A or record.rtype == Qtype.AAAA:
            addresses.append(octets[record.rdata_start : record.end])
        elif record.rtype == Qtype.HTTPS or record.rtype == Qtype.SVCB:
            target, hints = read_service(octets, record.rdata_start, record.end)
            if target is not None:
                targets.append(target)
            addresses += hints
    return tuple(targets), tuple(addresses)


def _step_over(octets: bytes, at: int, nscount: int, arcount: int) -> int:
    """Step over authority and additional records; return the OPT's upper eight rcode bits in place.

    Raises WireError on two OPTs, an OPT with an owner name, or records that overrun; struct.error
    or IndexError past the end.
    """
    length = len(octets)
    upper = -1
    for left in range(nscount + arcount, 0, -1):
        start = at
        # Nearly every owner is a pointer or, before an OPT, the root: no call for these.
        first = octets[at]
        if first >= 0xC0:
            at += 2
        elif first:
            at = skip_name(octets, at)
        else:
            at += 1
        rtype, _, ttl_s, rdlength = RECORD_FIXED(octets, at)
        at += 10 + rdlength
        if rtype == _OPT and left <= arcount:
            if upper >= 0 or octets[start]:
                raise WireError
            upper = ttl_s >> 24
    if at > length:
        raise WireError
    return upper << 4 if upper > 0 else 0
