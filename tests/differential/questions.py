"""The questions of the comparison: every owner of the test zones and names beside, under and above them.

Knows: the zone files.  Does not know: who is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.zone

from tests.loopback.authority import ZONES

COMMON_TYPES = ("A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "PTR", "SRV", "HTTPS", "SVCB", "CAA", "NAPTR")
RARE_TYPES = ("DS", "DNSKEY", "NSEC", "RRSIG", "TLSA", "SSHFP", "HINFO", "RP", "LOC", "AFSDB", "CERT", "URI")
RARER_TYPES = ("DNAME", "OPENPGPKEY", "SPF", "TYPE65280", "TYPE731", "TYPE999", "ANY")

ABSENT = (
    "no-such-name.example.org",
    "no.such.name.example.org",
    "below.www.example.org",
    "under.ent.example.org",
    "x.exact.wild.example.org",
    "no-such-name.example.net",
    "no-such-name.example.com",
    "b.child.example.com",
    "child.example.com",
    "no-such-zone.example",
    "invalid-label-.example.net",
)
"""Names that no zone file holds: denials of every kind."""

SYNTHESIZED = (
    "ent.example.org",
    "any.wild.example.org",
    "two.labels.wild.example.org",
    "any.wildcname.example.org",
    "www.dname.example.org",
    "deep.er.dname.example.org",
    "nothing.dname.example.org",
    "www.abroad.example.org",
    "some.wild.example.com",
    "one.any.example.net",
)
"""Names that exist by a wildcard, a DNAME, or by what is under them."""


@dataclass(frozen=True)
class Asked:
    """One question with all that may vary about it."""

    qname: str
    qtype: str
    edns: bool = True
    payload_octets: int = 1232
    dnssec_ok: bool = False
    checking_disabled: bool = False

    def message(self) -> dns.message.Message:
        """As a message with an ID of its own."""
        query = dns.message.make_query(
            self.qname,
            self.qtype,
            use_edns=0 if self.edns else False,
            payload=self.payload_octets if self.edns else None,
            want_dnssec=self.dnssec_ok,
        )
        if self.checking_disabled:
            query.flags |= dns.flags.CD
        return query


def owners() -> list[str]:
    """Every owner name of the test zones, in presentation form."""
    found: list[str] = []
    for path in sorted(ZONES.glob("*.zone")):
        zone = dns.zone.from_file(str(path), origin=path.stem, relativize=False, check_origin=False)
        found += [str(name) for name in zone]
    return found


def swap_case(qname: str) -> str:
    """Every other letter as a capital."""
    return "".join(octet.upper() if place % 2 else octet for place, octet in enumerate(qname))


def questions() -> Iterator[Asked]:
    """All of them; the same in every run."""
    names = [*owners(), *ABSENT, *SYNTHESIZED]
    for qname, qtype in itertools.product(names, COMMON_TYPES):
        yield Asked(qname, qtype)
    for qname, qtype in itertools.product(names, RARE_TYPES + RARER_TYPES):
        yield Asked(qname, qtype)
    for qname, qtype in itertools.product(names, ("A", "TXT")):
        yield Asked(qname, qtype, edns=False)
    for qname, qtype in itertools.product(names, ("A", "AAAA", "TXT", "MX", "DS", "NSEC", "DNSKEY")):
        if qname.rstrip(".").endswith("example.com"):
            yield Asked(qname, qtype, dnssec_ok=True)
            yield Asked(qname, qtype, dnssec_ok=True, checking_disabled=True)
            yield Asked(qname, qtype, checking_disabled=True)
    for qname in names:
        if "\\" not in qname:
            yield Asked(swap_case(qname), "A")
            yield Asked(swap_case(qname), "TXT", dnssec_ok=True)
    for size in ("size400", "size900", "size1180", "big", "huge", "sixty", "crowd", "cname-big"):
        for payload, qtype in itertools.product((512, 1232, 4096), ("A", "AAAA", "TXT")):
            yield Asked(f"{size}.example.org", qtype, payload_octets=payload)


def label(asked: Asked) -> str:
    """For a report: what dig would be given."""
    words = [asked.qname, asked.qtype]
    words += [] if asked.edns else ["+noedns"]
    words += [f"+bufsize={asked.payload_octets}"] if asked.payload_octets != 1232 else []
    words += ["+dnssec"] if asked.dnssec_ok else []
    words += ["+cdflag"] if asked.checking_disabled else []
    return " ".join(words)
