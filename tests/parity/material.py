"""What both engines are asked about: policies by chance, queries and answers around their names.

Knows: how to spell them, and dnspython.  Does not know: any engine's opinion.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from resolver.publishing.compiler import compile_in_process
from scripts import policy_examples
from scripts.policy_examples import ADDRESS_TEXTS, NO_META
from tests.fuzz.corpus import Answer, made_answer

RECORDS = {
    "printer.example.org": ["192.0.2.77"],
    "both.example.org": ["192.0.2.78", "2001:db8::78"],
    "a.b": ["192.0.2.79"],
}
"""The site's own names; one of them is a name that policies speak of."""
LOCAL_NAMES = [
    *RECORDS,
    "x.printer.example.org",
    "77.2.0.192.in-addr.arpa",
    "localhost",
    "a.localhost",
    "1.0.0.127.in-addr.arpa",
    "1.0.168.192.in-addr.arpa",
    "use-application-dns.net",
    "router.local",
    "home.arpa",
    "x.home.arpa",
    "hidden.onion",
    "nobody.invalid",
    "resolver.arpa",
    "_dns.resolver.arpa",
]
"""Those that are answered here, and special ones."""
OTHER_NAMES = ["www.example.org", "example.org", *(f"name{number}.example.com" for number in range(6))]
TYPES = [
    *[1] * 12,
    *[28] * 6,
    *[65] * 3,
    16,
    16,
    255,
    64,
    43,
    6,
    12,
    2,
    15,
    33,
    5,
    65280,
    252,
    41,
    249,
    261,
    261,
    0,
]
AUDIT_SECRET = bytes(range(16))
OPTIONS = [
    *[(65331, AUDIT_SECRET)] * 2,
    (65331, bytes(16)),
    (65331, AUDIT_SECRET[:15]),
    (10, bytes(8)),
    (10, bytes(3)),
    (8, b"\0\1\x18\0\xc0\0\2"),
    (11, b""),
    (11, b"\0\1"),
    (3, b""),
    (3, b"x"),
    (12, b""),
    (12, bytes(20)),
    (65001, b"x"),
    (65001, b""),
    (65001, b""),
]


@dataclass(frozen=True)
class Policy:
    """An image, the moment it is judged at, and the names and addresses it speaks of."""

    image: Path
    wall: float
    monotonic: float
    names: list[str]
    addresses: list[str]


def policies(folder: Path, chance: random.Random) -> list[Policy]:
    """One of every kind and a dozen by chance, each at one of its moments."""
    written = policy_examples.written_blocklist(folder)
    image, problems = compile_in_process(written.path, folder / "images")
    assert image is not None, problems
    found = [(image, written.example)]
    for number, (example, writer) in enumerate(policy_examples.direct(chance)):
        path = folder / f"{number}.policy"
        writer.write(path, NO_META)
        found.append((path, example))
    addresses = [*ADDRESS_TEXTS.split(), *_carriers(ADDRESS_TEXTS.split())]
    return [Policy(path, *chance.choice(example.times), example.names, addresses) for path, example in found]


def _carriers(texts: list[str]) -> list[str]:
    """IPv6 addresses that carry those of IPv4 among these, in every way that there is."""
    carriers = []
    for ipv4 in [IPv4Address(text) for text in texts if ":" not in text]:
        high, low = divmod(int(ipv4), 1 << 16)
        turned = f"{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
        carriers += [
            f"64:ff9b::{ipv4}",
            f"64:ff9b:1::{ipv4}",
            f"2001:db8:64::{ipv4}",
            f"2002:{high:x}:{low:x}::1",
            f"2001:0:{high:x}:{low:x}::",
            f"2001:0:1:2:3:4:{turned}",
            f"2001:db8::5efe:{ipv4}",
            f"::{ipv4}",
        ]
    return [str(IPv6Address(text)) for text in carriers]


def name(policy: Policy, chance: random.Random) -> str:
    """A name that may be asked, or that an answer may lead to."""
    kind = chance.random()
    return chance.choice(policy.names if kind < 0.6 else OTHER_NAMES if kind < 0.85 else LOCAL_NAMES)


def query(policy: Policy, chance: random.Random) -> bytes:
    """A query around the names of a policy: usual, rare or odd, but whole."""
    qname = _mixed(dns.name.from_text(name(policy, chance)).to_wire() or b"", chance)
    flags = 0x0100 if chance.random() < 0.9 else 0
    for bit in (0x0010, 0x0020, 0x0040, 0x0200, 0x0080, 0x0400):
        flags |= bit if chance.random() < 0.08 else 0
    qclass = 1 if chance.random() < 0.97 else chance.choice((3, 254, 255, 0))
    additional = _opt(chance) if chance.random() < 0.6 else b""
    head = chance.randbytes(2) + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0" + bytes((0, bool(additional)))
    return head + qname + chance.choice(TYPES).to_bytes(2, "big") + qclass.to_bytes(2, "big") + additional


def _mixed(qname: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return qname.lower()
    return bytes(o ^ 0x20 if 97 <= o | 0x20 <= 122 and chance.random() < 0.5 else o for o in qname)


def _opt(chance: random.Random) -> bytes:
    payload = chance.choice((512, 1232, 1232, 4096, 65535, 0, 700))
    version = 0 if chance.random() < 0.95 else chance.choice((1, 255))
    flags = 0x8000 if chance.random() < 0.3 else chance.choice((0, 0, 1))
    rdata = b""
    while chance.random() < 0.25:
        code, value = chance.choice(OPTIONS)
        rdata += code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    head = b"\0\0\x29" + payload.to_bytes(2, "big") + bytes((chance.choice((0, 0, 0, 7)), version))
    return head + flags.to_bytes(2, "big") + len(rdata).to_bytes(2, "big") + rdata


TTLS = [0, 1, 5, 30, 60, 300, 3600, 100_000, 2**31 - 1, 2**31]


def answer(policy: Policy, chance: random.Random) -> Answer:
    """An upstream's answer about the policy's names: addresses, chains into it, denials, services."""
    qname = _fitting(name(policy, chance))
    qtype = chance.choice(("A", "A", "AAAA", "TXT", "HTTPS", "MX"))
    lines, owner = [], qname
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 3))):
        target = _fitting(name(policy, chance))
        lines.append(f"{owner} {chance.choice(TTLS)} CNAME {target}")
        owner = target
    authority: tuple[str, ...] = ()
    rcode = chance.choice((0, 0, 0, 0, 0, 0, 0, 3, 3, 2))
    if chance.random() < 0.9 and rcode == 0:
        lines += [
            f"{owner} {chance.choice(TTLS)} {line}"
            for line in _rdata(qtype, policy, _fitting(name(policy, chance)), chance)
        ]
    elif chance.random() < 0.8:
        minimum_s = chance.choice(TTLS) % 2**31
        authority = (f"example. {chance.choice(TTLS)} SOA ns.example. host.example. 1 2 3 4 {minimum_s}",)
    return made_answer(
        qname,
        qtype,
        answer=tuple(lines),
        authority=authority,
        rcode=rcode,
        flags="QR RD RA AD" if chance.random() < 0.3 else "QR RD RA",
        dnssec_ok=chance.random() < 0.2,
    )


def _fitting(text: str) -> str:
    return text if text == "." else f"{text}."


def _rdata(qtype: str, policy: Policy, target: str, chance: random.Random) -> list[str]:
    addresses = [text for text in policy.addresses if (":" in text) is (qtype == "AAAA")]
    match qtype:
        case "A" | "AAAA":
            return [f"{qtype} {text}" for text in chance.sample(addresses, chance.choice((1, 1, 1, 2, 4)))]
        case "TXT":
            return [f'TXT "{"x" * 200}"'] * chance.choice((1, 3, 7))
        case "MX":
            return [f"MX 10 {target}"]
        case _:
            hint = chance.choice([text for text in policy.addresses if ":" not in text])
            return [
                chance.choice(
                    (f"HTTPS 0 {target}", f"HTTPS 1 . ipv4hint={hint}", f"HTTPS 1 {target} alpn=h2")
                )
            ]
