"""Messages of plays: queries and replies written, answers read, by dnspython.

Knows: DNS as dnspython sees it, which shares no code with the package.  Does not know: plays' order.
"""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.support.scenario_network import Sent
from tests.support.scenario_play import Answer, QueryStep, Reply, UpstreamStep

PAYLOAD_OCTETS_MAX = 1232


def query_octets(step: QueryStep, query_id: int) -> bytes:
    """The query a client sends."""
    if step.octets is not None:
        return query_id.to_bytes(2, "big") + bytes.fromhex(step.octets)[2:]
    message = dns.message.QueryMessage(id=query_id)
    name = dns.name.from_text(step.name)
    message.question.append(
        dns.rrset.RRset(name, dns.rdataclass.from_text(step.class_), dns.rdatatype.from_text(step.type))
    )
    message.set_opcode(dns.opcode.Opcode(step.opcode))
    flags = message.flags & 0x7800
    for wanted, bit in ((step.rd, 0x0100), (step.cd, 0x0010), (step.ad, 0x0020), (step.z, 0x0040)):
        flags |= bit if wanted else 0
    message.flags = dns.flags.Flag(flags)
    if step.edns is not None:
        message.use_edns(
            edns=step.edns.version,
            ednsflags=dns.flags.DO if step.edns.do else 0,
            payload=step.edns.size,
            options=[
                dns.edns.GenericOption(dns.edns.OptionType.make(code), bytes.fromhex(octets))
                for code, octets in step.edns.options.items()
            ],
        )
    return message.to_wire()


def reply_octets(query: bytes, reply: Reply) -> bytes:
    """An upstream's reply to the octets it was sent."""
    asked = dns.message.from_wire(query)
    message = dns.message.make_response(asked, recursion_available=True)
    if not reply.edns or asked.edns < 0:
        message.use_edns(False)
    qname = asked.question[0].name
    for section, texts in (
        (message.answer, reply.answer),
        (message.authority, reply.authority),
        (message.additional, reply.additional),
    ):
        for text in texts:
            section.append(record(text, qname))
    message.set_rcode(dns.rcode.from_text(reply.rcode))
    if reply.tc:
        message.flags |= dns.flags.TC
    if reply.ad:
        message.flags |= dns.flags.AD
    return spoil(message.to_wire(max_size=65535), reply.wrong)


def record(text: str, qname: dns.name.Name) -> dns.rrset.RRset:
    """`OWNER TTL TYPE RDATA` as an RRset of one; `@` is the name asked."""
    owner, ttl, rdtype, *rest = text.split(maxsplit=3)
    name = qname if owner == "@" else dns.name.from_text(owner)
    rdata = dns.rdata.from_text("IN", rdtype, rest[0] if rest else "", origin=dns.name.root, relativize=False)
    return dns.rrset.from_rdata(name, int(ttl), rdata)


def spoil(octets: bytes, wrong: str | None) -> bytes:
    """`octets` with one thing wrong about them."""
    end = 12
    while octets[end]:
        end += octets[end] + 1
    end += 1
    flags, counts = octets[2:4], octets[4:12]
    match wrong:
        case "id":
            return bytes([octets[0] ^ 0x55]) + octets[1:]
        case "qname":
            return octets[:13] + b"x" + octets[14:]
        case "qtype":
            return octets[:end] + struct.pack("!H", 16) + octets[end + 2 :]
        case "qclass":
            return octets[: end + 2] + struct.pack("!H", 3) + octets[end + 4 :]
        case "case":
            return octets[:12] + octets[12:end].swapcase() + octets[end:]
        case "lowered":
            return octets[:12] + octets[12:end].lower() + octets[end:]
        case "broken":
            return octets[: end + 4] + b"\xff" * (len(octets) - end)
        case "bare":
            return octets[:4] + bytes(8)
        case "qr":
            return octets[:2] + bytes([flags[0] & 0x7F]) + octets[3:]
        case "opcode":
            return octets[:2] + bytes([flags[0] | 0x20]) + octets[3:]
        case "qdcount0":
            return octets[:4] + b"\0\0" + octets[6:12] + octets[end + 4 :]
        case "qdcount2":
            return octets[:4] + b"\0\2" + counts[2:] + octets[12 : end + 4] + octets[12:]
        case "garbage":
            return octets[:12] + b"\xff" * 20
        case "short":
            return octets[:11]
        case _:
            return octets


def check_answer(query: bytes, answer: bytes, expected: Answer, is_stream: bool) -> list[str]:
    """Everything that is wrong with a client's answer, as sentences."""
    flaws: list[str] = []

    def claim(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            flaws.append(f"{what} is {got!r}, expected {wanted!r}")

    if not expected.question_kept:
        claim("reply length", len(answer), 12)
        claim("ID", answer[:2], query[:2])
        claim("rcode", dns.rcode.to_text(dns.rcode.Rcode(answer[3] & 15)), expected.rcode)
        return flaws
    asked = dns.message.from_wire(query, continue_on_error=True)
    got = dns.message.from_wire(answer, one_rr_per_rrset=True)
    qname = asked.question[0].name
    end = 12 + len(qname.to_wire() or b"") + 4
    claim("ID", got.id, asked.id)
    claim("question", answer[12:end], query[12:end])
    claim("QR", bool(got.flags & dns.flags.QR), True)
    claim("opcode", got.opcode(), asked.opcode())
    claim("AA", bool(got.flags & dns.flags.AA), False)
    for bit in (dns.flags.RD, dns.flags.CD):
        claim(str(bit), bool(got.flags & bit), bool(asked.flags & bit))
    claim("Z", bool(answer[3] & 0x40), False)
    claim("RA", bool(got.flags & dns.flags.RA), expected.ra)
    claim("TC", bool(got.flags & dns.flags.TC), expected.tc)
    claim("AD", bool(got.flags & dns.flags.AD), expected.ad)
    claim("rcode", dns.rcode.to_text(got.rcode()), expected.rcode)
    claim("answer", _texts(got.answer), [_text(record(text, qname)) for text in expected.answer])
    authority = [rrset for rrset in got.authority if rrset.rdtype != dns.rdatatype.SOA]
    claim("authority", _texts(authority), [_text(record(text, qname)) for text in expected.authority])
    claim("SOA", _soa(got), _expected_soa(expected, qname))
    claim("additional", _texts(got.additional), [])
    claim("OPT", got.edns, 0 if asked.edns >= 0 else -1)
    claim("DO", bool(got.ednsflags & dns.flags.DO), bool(asked.ednsflags & dns.flags.DO))
    errors = [option for option in got.options if isinstance(option, dns.edns.EDEOption)]
    claim("EDE", [int(option.code) for option in errors], expected.ede if asked.edns >= 0 else [])
    claim("options", [int(o.otype) for o in got.options if o not in errors], expected.options)
    if expected.ede_text is not None and not any(expected.ede_text in (e.text or "") for e in errors):
        flaws.append(f"EDE texts are {[e.text for e in errors]!r}, expected {expected.ede_text!r} in one")
    limit = (
        65535 if is_stream else min(max(asked.payload, 512), PAYLOAD_OCTETS_MAX) if asked.edns >= 0 else 512
    )
    if len(answer) > min(limit, expected.octets_max):
        flaws.append(f"it has {len(answer)} octets, more than {min(limit, expected.octets_max)}")
    return flaws


def _texts(section: list[dns.rrset.RRset]) -> list[str]:
    return [_text(rrset) for rrset in section]


def _text(rrset: dns.rrset.RRset) -> str:
    # The case of an owner is the question's by compression; of names in RDATA, the upstream's.
    return rrset.to_text().lower()


def _soa(message: dns.message.Message) -> list[str]:
    return [
        f"{rrset.name.to_text().lower()} {rrset.ttl} {rrset[0].minimum}"
        for rrset in message.authority
        if rrset.rdtype == dns.rdatatype.SOA
    ]


def _expected_soa(expected: Answer, qname: dns.name.Name) -> list[str]:
    if expected.soa is None:
        return []
    owner, ttl, minimum = expected.soa.split()
    name = qname if owner == "@" else dns.name.from_text(owner)
    return [f"{name.to_text().lower()} {ttl} {minimum}"]


def asked(octets: bytes) -> str:
    """`NAME TYPE` of a query."""
    question = dns.message.from_wire(octets).question[0]
    return f"{question.name.to_text(omit_final_dot=True).lower()} {dns.rdatatype.to_text(question.rdtype)}"


def query_flaws(sent: Sent, step: UpstreamStep) -> list[str]:
    """Everything that is wrong with a query sent to an upstream, as sentences."""
    query = dns.message.from_wire(sent.octets)
    name = query.question[0].name.to_text()
    # RD alone of the flags, CD if the client set it; the payload that avoids fragments (DNS Flag Day 2020).
    flags = dns.flags.RD | (dns.flags.CD if step.cd else 0)
    facts = {
        "question": (asked(sent.octets), step.asks),
        "class": (int(query.question[0].rdclass), 1),
        "EDNS": (query.edns, 0 if step.edns else -1),
        "payload": (query.payload, 1232 if step.edns else 0),
        "DO": (bool(query.ednsflags & dns.flags.DO), step.do),
        "options": (len(query.options), 0),
        "AD left out of flags": (int(query.flags) & ~int(dns.flags.AD), int(flags)),
        "stream": (sent.is_stream, step.stream),
        "server": (sent.upstream.name, step.server or sent.upstream.name),
        "lower case": (name == name.lower(), name == name.lower() if step.lower is None else step.lower),
    }
    return [
        f"{what} is {got!r}, expected {wanted!r}" for what, (got, wanted) in facts.items() if got != wanted
    ]
