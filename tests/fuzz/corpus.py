"""Well-formed messages to break: queries of every kind, and upstream answers with poison in them.

Knows: dnspython, an independent writer of messages.  Does not know: the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from unittest import mock

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

ANSWER_ID = 0x1234
CANARY = "canary.example.org."
CANARY_ADDRESS = "192.0.2.53"
POISON_ADDRESS = "203.0.113.66"
BLOCKED = "blocked.example.net."
QUESTION_OFFSET = 12

LONG_NAME = ".".join(["a" * 63] * 3 + ["b" * 61]) + "."
"""255 octets in wire form, the most there may be."""
DEEP_NAME = ".".join(["d"] * 127) + "."
"""127 labels, the most there may be."""


@cache
def queries() -> tuple[bytes, ...]:
    """Queries as clients send them, and rarer ones that are still whole."""
    made: list[dns.message.Message] = []
    for qname in (
        "www.example.org.",
        CANARY,
        BLOCKED,
        "www." + BLOCKED,
        LONG_NAME,
        DEEP_NAME,
        ".",
        "WwW.eXaMpLe.OrG.",
    ):
        for qtype in ("A", "AAAA", "TXT", "HTTPS", "ANY", "DS"):
            made.append(dns.message.make_query(qname, qtype))
        made.append(dns.message.make_query(qname, "A", use_edns=0, payload=1232))
        made.append(dns.message.make_query(qname, "A", want_dnssec=True, payload=4096))
    options = [
        dns.edns.GenericOption(dns.edns.OptionType(10), b"12345678"),
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(dns.edns.OptionType(11), b""),
        dns.edns.GenericOption(dns.edns.OptionType(12), bytes(32)),
        dns.edns.GenericOption(dns.edns.OptionType(65001), b"unknown"),
    ]
    made.append(dns.message.make_query("www.example.org.", "A", use_edns=0, options=options))
    made.append(dns.message.make_query("www.example.org.", "A", use_edns=0, payload=100))
    made.append(dns.message.make_query("www.example.org.", "A", use_edns=1))
    made.append(dns.message.make_query("version.bind.", "TXT", rdclass=dns.rdataclass.CH))
    made.append(dns.message.make_query("example.org.", "AXFR"))
    made.append(dns.message.make_query("localhost.", "A"))
    made.append(dns.message.make_query("1.0.168.192.in-addr.arpa.", "PTR"))
    for opcode in (dns.opcode.IQUERY, dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE):
        odd = dns.message.make_query("example.org.", "SOA")
        odd.set_opcode(opcode)
        made.append(odd)
    with_answer = dns.message.make_query("www.example.org.", "A")
    with_answer.answer.append(dns.rrset.from_text("www.example.org.", 60, "IN", "A", POISON_ADDRESS))
    made.append(with_answer)
    for query in made:
        query.id = 0x4321
    return tuple(query.to_wire() for query in made)


@dataclass(frozen=True)
class Answer:
    """One upstream answer and the question it belongs to."""

    qname: bytes
    """Wire form, as sent."""
    qtype: int
    dnssec_ok: bool
    octets: bytes


def made_answer(
    qname: str,
    qtype: str,
    *,
    answer: tuple[str, ...] = (),
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    rcode: int = 0,
    flags: str = "QR RD RA",
    dnssec_ok: bool = False,
    edns: bool = True,
) -> Answer:
    query = dns.message.make_query(qname, qtype, use_edns=0 if edns else False, want_dnssec=dnssec_ok)
    query.id = ANSWER_ID
    reply = dns.message.make_response(query)
    reply.flags = dns.flags.from_text(flags)
    for section, lines in (
        (reply.answer, answer),
        (reply.authority, authority),
        (reply.additional, additional),
    ):
        for line in lines:
            owner, ttl, rdtype, rdata = line.split(" ", 3)
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", rdtype, *rdata.split(" | ")))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    wire_name = dns.name.from_text(qname).to_wire()
    assert wire_name is not None
    # dnspython would shuffle the records of a set.
    with mock.patch("random.shuffle"):
        octets = reply.to_wire(max_size=65535)
    return Answer(wire_name, int(dns.rdatatype.from_text(qtype)), dnssec_ok, octets)


SOA = "example.org. 300 SOA ns1.example.org. host.example.org. 1 7200 900 1209600 60"
POISON = (
    f"{CANARY} 3600 A {POISON_ADDRESS}",
    f"example.org. 3600 NS {CANARY}",
    "canary.example.org. 3600 AAAA 2001:db8::66",
)
"""What must never reach the cache: records of a name that was not asked."""
SIGNATURE = "13 3 300 20370101000000 20240101000000 4711 example.org. AAECAwQFBgc="


@cache
def answers() -> tuple[Answer, ...]:
    """Answers of every shape, most with poison in some section."""
    www = "www.example.org."
    big = " | ".join(f'"{place:03d} {"x" * 180}"' for place in range(30))
    turning = " | ".join(f"192.0.2.{number}" for number in range(1, 12))
    carrying = "64:ff9b::192.0.2.80 | 2002:c000:250::1 | 2001:db8::5efe:192.0.2.80 | 64:ff9b:1::192.0.2.80"
    # More compression targets than a few dozen: each name is one for the next.
    hosts = " | ".join(f"{'h.' * (number % 40)}h{number % 150}.example.org." for number in range(300))
    return (
        made_answer(www, "A", answer=(f"{www} 300 A 192.0.2.80",)),
        made_answer(www, "A", answer=(f"{www} 300 A 192.0.2.80",), edns=False),
        made_answer(
            "WwW.eXaMpLe.oRg.", "A", answer=("WwW.eXaMpLe.oRg. 300 A 192.0.2.80",), additional=POISON
        ),
        made_answer(www, "A", answer=(f"{www} 300 A 192.0.2.80 | 192.0.2.81 | 192.0.2.82", *POISON)),
        made_answer(www, "A", answer=(f"{www} 300 CNAME b.example.org.", "b.example.org. 60 A 192.0.2.81")),
        made_answer(
            www,
            "AAAA",
            answer=(
                f"{www} 300 CNAME b.example.org.",
                "b.example.org. 200 CNAME c.example.net.",
                "c.example.net. 100 AAAA 2001:db8::80",
                *POISON,
            ),
        ),
        made_answer(
            "www.d.example.org.",
            "A",
            answer=(
                "d.example.org. 300 DNAME e.example.net.",
                "www.d.example.org. 300 CNAME www.e.example.net.",
                "www.e.example.net. 300 A 192.0.2.82",
            ),
        ),
        made_answer(www, "A", answer=(f"{www} 300 CNAME b.example.org.",), authority=(SOA,), rcode=3),
        made_answer("nx.example.org.", "A", authority=(SOA, *POISON), rcode=3),
        made_answer(www, "LOC", authority=(SOA,)),
        made_answer(
            www, "MX", answer=(f"{www} 300 MX 10 mail.example.org. | 20 {CANARY}",), additional=POISON
        ),
        made_answer(www, "TXT", answer=(f"{www} 300 TXT {big}",)),
        made_answer(www, "A", answer=(f"{www} 300 A {turning}",)),
        made_answer(www, "AAAA", answer=(f"{www} 300 AAAA {carrying}",)),
        made_answer("80.2.0.192.in-addr.arpa.", "PTR", answer=(f"80.2.0.192.in-addr.arpa. 300 PTR {hosts}",)),
        made_answer(
            www,
            "SRV",
            answer=(f"{www} 300 SRV 0 5 53 b.example.org. | 0 5 53 c.example.net.",),
            additional=POISON,
        ),
        made_answer(
            www,
            "HTTPS",
            answer=(f"{www} 300 HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80 | 2 b.example.org. port=8443",),
        ),
        made_answer(www, "SVCB", answer=(f"{www} 300 SVCB 0 b.example.org.",)),
        made_answer(
            "example.org.", "NS", answer=("example.org. 300 NS ns1.example.org. | ns2.example.net.",)
        ),
        made_answer("example.org.", "SOA", answer=(SOA,)),
        made_answer(
            www, "NAPTR", answer=(f'{www} 300 NAPTR 100 10 "S" "SIP+D2U" "" _sip._udp.example.org.',)
        ),
        made_answer(www, "TYPE65280", answer=(f"{www} 300 TYPE65280 \\# 4 00010203",)),
        made_answer(
            www,
            "A",
            dnssec_ok=True,
            answer=(f"{www} 300 A 192.0.2.80", f"{www} 300 RRSIG A {SIGNATURE}"),
        ),
        made_answer(
            "nx.example.org.",
            "A",
            dnssec_ok=True,
            rcode=3,
            authority=(
                SOA,
                f"example.org. 300 RRSIG SOA {SIGNATURE}",
                "example.org. 300 NSEC www.example.org. A NS SOA RRSIG NSEC",
                f"example.org. 300 RRSIG NSEC {SIGNATURE}",
            ),
        ),
        made_answer(www, "A", flags="QR RD RA TC"),
        made_answer(www, "A", rcode=2),
        made_answer(www, "A", rcode=1, edns=False),
        made_answer(www, "A", rcode=16),
        made_answer(www, "A", authority=POISON, additional=POISON),
    )
