"""What a server owes to odd and broken queries: each probe, what it sends, what must come of it.

Knows: RFC 8906 §8, as it applies to a forwarder, RFC 1035, 6891, 8482, 9619 and others named in the rows.
Does not know: sockets, which server it is.
Theory: a probe meets a name of every outcome over every transport.  `AS_USUAL` stands for what the outcome
gets anyway; whatever else a probe expects is the same for every outcome, but where its row says so.  What
differs between transports stands in `DIFFERENCES`, with the reason; a difference that is not there is a
failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype

from tests.support.asking import CLOSED, IGNORED

TRANSPORTS = ("udp", "tcp", "tls", "https")
NUMBER = 0x4A7E
"""The ID of every probe."""

# Flags of a header (RFC 1035 §4.1.1, RFC 4035 §3.2.2).
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10


class Outcome(StrEnum):
    """What becomes of the name a probe asks for."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    CACHED = "cached"
    DEAD = "upstream dead"


AS_USUAL = {
    Outcome.ALLOWED: "NOERROR",
    Outcome.BLOCKED: "NXDOMAIN",
    Outcome.CACHED: "NOERROR",
    Outcome.DEAD: "SERVFAIL",
}
"""Rcode of a plain question for an address."""
NO_DATA = {**AS_USUAL, Outcome.DEAD: "SERVFAIL"}
KNOWN_HERE = {**AS_USUAL, Outcome.ALLOWED: "REFUSED", Outcome.DEAD: "REFUSED"}
"""RD=0: what is known here is told; nothing is asked for it (RFC 1034 §4.3.1 leaves the choice)."""
NEVER_ASKED = {**AS_USUAL, Outcome.DEAD: "NOERROR"}
"""ANY is answered here, whether the upstream lives or not (RFC 8482)."""

NOTHING = "nothing"
"""No answer: see `DIFFERENCES` for what that is on each transport."""

DIFFERENCES: dict[str, dict[str, str]] = {
    # A datagram is dropped.  On a stream nobody knows where the next message begins, or it is a response and
    # its sender no client, so the connection ends (RFC 7766 §8).  A request must be answered or reset.
    NOTHING: {"udp": IGNORED, "tcp": CLOSED, "tls": CLOSED, "https": CLOSED},
    # RFC 8484 §4.1: the body of a request is one DNS message; what cannot hold a header is none, and HTTP has
    # a word for it.
    "no header": {"udp": IGNORED, "tcp": CLOSED, "tls": CLOSED, "https": "status 400"},
}
"""Word -> what comes of it over each transport."""

KEEPALIVE_OVER = ("tcp", "tls")
"""RFC 7828 §3.2.2: the option speaks of a TCP connection that carries DNS; HTTP has its own (RFC 8484 §5)."""
PADDED_OVER = ("tls", "https")
"""RFC 7830 §6 and RFC 8467 §4.1: only where it hides something."""
TRUNCATED_OVER = ("udp",)
UDP_OCTETS_MAX = 1232


@dataclass(frozen=True)
class Probe:
    """One kind of query."""

    name: str
    source: str
    """Where it is written what must come."""
    make: Callable[[bytes], bytes]
    """From a name in wire form to the message."""
    wanted: str | dict[Outcome, str] = field(default_factory=lambda: AS_USUAL)
    """An rcode for all outcomes, or one for each; or a word of `DIFFERENCES`."""
    has_answer: bool = True
    """Whether NOERROR comes with a record of the type asked for."""
    is_name_echoed: bool = True
    """Whether the question comes back."""
    is_forwarded: bool = True
    """Whether an upstream may be asked at all."""
    may_be_cut: bool = False
    """Whether it may come with TC=1 where an answer may (`TRUNCATED_OVER`): who forges senders asks for it."""
    more: Callable[[dns.message.Message, str, Outcome], None] | None = None
    """Looks at what else must be so; gets the transport."""

    def rcode_for(self, outcome: Outcome) -> str:
        """What this outcome gets."""
        return self.wanted if isinstance(self.wanted, str) else self.wanted[outcome]


def header(
    flags: int = RD,
    *,
    opcode: int = 0,
    counts: tuple[int, int, int, int] = (1, 0, 0, 0),
    number: int = NUMBER,
) -> bytes:
    """Twelve octets."""
    return b"".join(each.to_bytes(2, "big") for each in (number, flags | opcode << 11, *counts))


def question(name: bytes, qtype: int = 1, qclass: int = 1) -> bytes:
    """QNAME, QTYPE, QCLASS."""
    return name + qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big")


def opt(
    *options: tuple[int, bytes], version: int = 0, flags: int = 0, payload: int = 4096, owner: bytes = b"\0"
) -> bytes:
    """An OPT record (RFC 6891 §6.1.2)."""
    rdata = b"".join(
        code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for code, value in options
    )
    ttl = bytes((0, version)) + flags.to_bytes(2, "big")
    return owner + b"\0\x29" + payload.to_bytes(2, "big") + ttl + len(rdata).to_bytes(2, "big") + rdata


def plain(flags: int = RD, qtype: int = 1, qclass: int = 1) -> Callable[[bytes], bytes]:
    """A query without EDNS."""
    return lambda name: header(flags) + question(name, qtype, qclass)


def with_edns(
    *options: tuple[int, bytes], version: int = 0, flags: int = 0, payload: int = 4096, qtype: int = 1
) -> Callable[[bytes], bytes]:
    """A query with one OPT."""
    record = opt(*options, version=version, flags=flags, payload=payload)
    return lambda name: header(counts=(1, 0, 0, 1)) + question(name, qtype) + record


def with_opcode(opcode: int, flags: int = RD) -> Callable[[bytes], bytes]:
    """A message of another kind, with a question."""
    return lambda name: header(flags, opcode=opcode) + question(name)


def in_place_of_the_name(name: bytes) -> Callable[[bytes], bytes]:
    """A query whose name is these octets, whatever name is asked for."""
    return lambda _: header() + question(name)


def mixed_case(name: bytes) -> bytes:
    """The name with every second letter in upper case."""
    spelt = bytes(octet - 32 if at % 2 and 97 <= octet <= 122 else octet for at, octet in enumerate(name))
    return header() + question(spelt)


def shows_option(code: int) -> Callable[[dns.message.Message, str, Outcome], None]:
    """The reply must not carry this option."""

    def look(reply: dns.message.Message, transport: str, outcome: Outcome) -> None:
        assert code not in [int(option.otype) for option in reply.options]

    return look


def shows_keepalive(reply: dns.message.Message, transport: str, outcome: Outcome) -> None:
    """The reply has the option where it may."""
    codes = [int(option.otype) for option in reply.options]
    assert (KEEPALIVE in codes) == (transport in KEEPALIVE_OVER), transport


def shows_badvers(reply: dns.message.Message, transport: str, outcome: Outcome) -> None:
    """OPT of version 0, no record, no unknown flag (RFC 6891 §6.1.3)."""
    assert reply.edns == 0
    assert not reply.answer
    assert not reply.authority
    assert not reply.options


def shows_minimal_any(reply: dns.message.Message, transport: str, outcome: Outcome) -> None:
    """One HINFO at most (RFC 8482 §4.2): never an amplifier."""
    assert [rrset.rdtype for rrset in reply.answer] in ([], [dns.rdatatype.HINFO])


LONGEST = b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3d" + b"b" * 61 + b"\0"
ONE_TOO_LONG = b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3e" + b"b" * 62 + b"\0"
COOKIE, NSID, EXPIRE, SUBNET, KEEPALIVE, PADDING = 10, 3, 9, 8, 11, 12
DEFINED = ((COOKIE, b"8 octets"), (NSID, b""), (EXPIRE, b""), (SUBNET, b"\0\1\0\0"))

BASIC = (
    Probe("a plain question", "RFC 8906 §8.1", plain()),
    Probe("an unknown type", "RFC 8906 §8.1, RFC 3597 §3", plain(qtype=1000), has_answer=False),
    Probe("CD=1", "RFC 8906 §8.1, RFC 4035 §3.2.2", plain(RD | CD)),
    Probe("AD=1", "RFC 8906 §8.1, RFC 6840 §5.7", plain(RD | AD)),
    Probe("the reserved bit", "RFC 8906 §8.1, RFC 1035 §4.1.1", plain(RD | Z)),
    Probe("TC, RA and AA in a query", "RFC 1035 §4.1.1", plain(RD | TC | RA | AA)),
    Probe("RD=0", "RFC 1034 §4.3.1", plain(0), KNOWN_HERE, is_forwarded=False),
    Probe(
        "opcode 15, header only",
        "RFC 8906 §8.1",
        lambda _: header(0, opcode=15, counts=(0, 0, 0, 0)),
        "NOTIMP",
        is_name_echoed=False,
        is_forwarded=False,
    ),
    *(
        Probe(
            f"opcode {opcode}, all flags",
            "RFC 8906 §8.1",
            with_opcode(opcode, TC | AA | Z | RA | RD | AD | CD),
            "NOTIMP",
            is_name_echoed=False,
            is_forwarded=False,
        )
        for opcode in (1, 2, 3, 5, 6, 15)
    ),
    Probe(
        "NOTIFY of a zone that nobody here follows",
        "RFC 1996",
        with_opcode(4),
        "NOTIMP",
        is_name_echoed=False,
        is_forwarded=False,
    ),
    Probe("mixed case", "RFC 4343 §4.1", mixed_case),
    Probe("ANY", "RFC 8482 §4", plain(qtype=255), NEVER_ASKED, has_answer=False, may_be_cut=True, more=shows_minimal_any),
    *(
        Probe(f"class {qclass}", "RFC 1035 §3.2.4", plain(qclass=qclass), "REFUSED", is_forwarded=False)
        for qclass in (0, 3, 4, 254, 255)
    ),
    *(
        Probe(f"type {qtype}", "RFC 6895 §3.1", plain(qtype=qtype), rcode, is_forwarded=False)
        for qtype, rcode in (
            (0, "FORMERR"), (41, "FORMERR"), (249, "NOTIMP"), (250, "FORMERR"),
            (251, "REFUSED"), (252, "REFUSED"), (253, "NOTIMP"), (254, "NOTIMP"),
        )
    ),
)  # fmt: skip

EDNS = (
    Probe("minimal EDNS", "RFC 8906 §8.2", with_edns()),
    Probe("EDNS version 1", "RFC 8906 §8.2", with_edns(version=1), "BADVERS", is_forwarded=False, more=shows_badvers),
    Probe("EDNS version 255", "RFC 6891 §6.1.3", with_edns(version=255), "BADVERS", is_forwarded=False, more=shows_badvers),
    Probe("an unknown option", "RFC 8906 §8.2", with_edns((100, b"")), more=shows_option(100)),
    Probe("an unknown flag", "RFC 8906 §8.2", with_edns(flags=0x40)),
    Probe("version 1 and an unknown flag", "RFC 8906 §8.2", with_edns(version=1, flags=0x40), "BADVERS", is_forwarded=False, more=shows_badvers),
    Probe("version 1 and an unknown option", "RFC 8906 §8.2", with_edns((100, b""), version=1), "BADVERS", is_forwarded=False, more=shows_badvers),
    Probe("DO=1", "RFC 8906 §8.2, RFC 3225", with_edns(flags=0x8000)),
    Probe("version 1 and DO=1", "RFC 8906 §8.2", with_edns(version=1, flags=0x8000), "BADVERS", is_forwarded=False, more=shows_badvers),
    Probe("many defined options", "RFC 8906 §8.2", with_edns(*DEFINED), more=shows_option(SUBNET)),
    Probe("a payload size under 512", "RFC 6891 §6.2.3", with_edns(payload=100)),
    Probe("keepalive", "RFC 7828 §3.2.2", with_edns((KEEPALIVE, b"")), more=shows_keepalive),
    *(
        Probe(name, "RFC 6891 §6.1.1", make, "FORMERR", is_name_echoed=False, is_forwarded=False)
        for name, make in (
            ("two OPTs", lambda name: header(counts=(1, 0, 0, 2)) + question(name) + opt() + opt()),
            ("an OPT with an owner name", lambda name: header(counts=(1, 0, 0, 1)) + question(name) + opt(owner=b"\1a\0")),
            ("an OPT in the answer section", lambda name: header(counts=(1, 1, 0, 0)) + question(name) + opt()),
            ("an option beyond its OPT", lambda name: header(counts=(1, 0, 0, 1)) + question(name) + opt()[:-2] + b"\0\4\0\x64\0\4"),
        )
    ),
)  # fmt: skip

BROKEN = (
    Probe("a response", "CVE-2024-2169", plain(QR | RD), NOTHING, is_forwarded=False),
    Probe("a response with opcode 15", "CVE-2024-2169", with_opcode(15, QR), NOTHING, is_forwarded=False),
    Probe("eleven octets", "RFC 1035 §4.1.1", lambda name: plain()(name)[:11], "no header", is_forwarded=False),
    *(
        Probe(name, source, make, "FORMERR", is_name_echoed=False, is_forwarded=False)
        for name, source, make in (
            ("no question", "RFC 9619", lambda _: header(counts=(0, 0, 0, 0))),
            ("two questions", "RFC 9619", lambda name: header(counts=(2, 0, 0, 0)) + question(name) * 2),
            ("more records than octets", "RFC 1035 §4.1.1", lambda name: header(counts=(1, 0, 0, 65535)) + question(name)),
            ("an answer in a query", "RFC 1035 §4.1.1", lambda name: header(counts=(1, 1, 0, 0)) + question(name) + name + b"\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"),
            ("an authority in a query", "RFC 1035 §4.1.1", lambda name: header(counts=(1, 0, 1, 0)) + question(name) + name + b"\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"),
            ("octets behind the last record", "RFC 1035 §4.1", lambda name: plain()(name) + b"\0"),
            ("a name of 256 octets", "RFC 1035 §2.3.4", in_place_of_the_name(ONE_TOO_LONG)),
            ("label type 01", "RFC 6891 §5", in_place_of_the_name(b"\x41a\0")),
            ("label type 10", "RFC 6891 §5", in_place_of_the_name(b"\x81a\0")),
            ("a pointer to itself", "RFC 1035 §4.1.4", in_place_of_the_name(b"\xc0\x0c")),
            ("a pointer forward", "RFC 1035 §4.1.4", in_place_of_the_name(b"\xc0\x10")),
            ("a pointer into the header", "RFC 1035 §4.1.4", in_place_of_the_name(b"\xc0\0")),
            ("a name without an end", "RFC 1035 §4.1.4", lambda name: header() + name[:-1]),
        )
    ),
)  # fmt: skip

PROBES = (*BASIC, *EDNS, *BROKEN)


@dataclass(frozen=True)
class Special:
    """A name that is answered here, whatever upstreams say."""

    name: str
    qtype: int
    rcode: str
    source: str
    answers: tuple[str, ...] = ()


SPECIAL = (
    Special("localhost", 1, "NOERROR", "RFC 6761 §6.3", ("127.0.0.1",)),
    Special("a.localhost", 28, "NOERROR", "RFC 6761 §6.3", ("::1",)),
    *(Special(f"a.{name}", 1, "NXDOMAIN", source) for name, source in (
        ("invalid", "RFC 6761 §6.4"), ("test", "RFC 6761 §6.2"), ("onion", "RFC 7686 §2"), ("alt", "RFC 9476 §3"),
        ("local", "RFC 6762 §22.1"), ("home.arpa", "RFC 8375 §4"),
    )),
    Special("1.2.0.192.in-addr.arpa", 12, "NXDOMAIN", "RFC 6303 §4.2"),
    Special("1.1.168.192.in-addr.arpa", 12, "NXDOMAIN", "RFC 6303 §4.1"),
    Special("resolver.arpa", 1, "NOERROR", "RFC 9462 §6.4"),
    Special("use-application-dns.net", 1, "NXDOMAIN", "the canary of browsers, while filtering"),
)  # fmt: skip
