"""What octets from an upstream turn out to be: a trusted response, or why they are none.

Knows: the words.  Does not know: how they are told apart (`response`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from resolver.wire.numbers import NegativeKind

_TYPE_CLASS = struct.Struct("!HH").pack


@dataclass(slots=True, frozen=True)
class ChainLink:
    """One CNAME (or DNAME) step of an answer's chain.

    `body[:end]` holds the chain up to and including this step, `ancount` records of it.
    """

    target: bytes
    """Where the step leads: wire form, lower case."""
    end: int
    ancount: int


@dataclass(slots=True)
class Response:
    """An accepted upstream answer, as the cache keeps it.

    `body` is the answer and authority sections, OPT and additional left out.  Its compression
    pointers count from a message whose question is the one asked (same length, any case) at
    offset 12, so it can be put behind any client's own question octets.
    """

    rcode: int
    """Extended rcode (12 bit) as the upstream meant it."""
    authentic_data: bool
    """The upstream's AD bit; whether to believe it is the caller's business."""
    body: bytes
    ancount: int
    nscount: int
    ttl_offsets: tuple[int, ...]
    """Where in `body` each record's TTL stands."""
    ttls: tuple[int, ...]
    """Their values in seconds, after the RRset minimum and the top-bit rule; `body` holds the same."""
    negative: NegativeKind | None
    ttl_s: int
    """How long it may be kept: the lowest TTL, or RFC 2308's negative TTL; 0: answer once, do not keep."""
    links: tuple[ChainLink, ...]
    """The CNAME/DNAME chain from qname, in order; `body` starts with it in this order."""
    service_targets: tuple[bytes, ...]
    """Targets of SVCB and HTTPS records (the owner itself, spelt `.`, left out): wire form, lower case."""
    addresses: tuple[bytes, ...]
    """RDATA of the A (4 octets) and AAAA (16 octets) records and SVCB address hints of the answer."""
    name_at_end: bytes
    """Owner of the final RRset: qname, or the last link's target."""


@dataclass(slots=True, frozen=True)
class Truncated:
    """The expected message with TC=1: ask again over TCP, keep nothing of it."""


@dataclass(slots=True, frozen=True)
class Refused:
    """Octets that are not the answer to what was asked.

    `near_miss`: it came from the right place and looks like a forgery attempt (wrong ID, question or
    case), so the asker should move to TCP.
    """

    reason: str
    near_miss: bool


@dataclass(slots=True, frozen=True)
class UpstreamFailure:
    """The upstream's own word that it has no answer: an rcode other than NOERROR and NXDOMAIN.

    Also a chain that loops or is too long and a bare referral, both as SERVFAIL: they are answers
    to what was asked, and nothing better follows.
    """

    rcode: int
    """Extended rcode, 12 bit."""
    edns_refused: bool
    """It may have stumbled over our EDNS: one retry without is due."""
    has_endless_chain: bool = field(default=False, compare=False)
    """Its chain of CNAMEs is too long or runs in a circle."""


@dataclass(slots=True, eq=False)
class SentQuery:
    """What was asked of an upstream, as its answer must repeat it."""

    id: int
    qname: bytes
    """Wire form, in the exact case sent."""
    qtype: int
    qclass: int
    edns: bool
    dnssec_ok: bool
    is_stream: bool = False
    """Asked over TCP: nobody off the path can forge, so a header-only error is believed too."""
    name: bytes = field(init=False)
    """`qname` in lower case: what an accepted answer names as its owner."""
    question_octets: bytes = field(init=False)
    """The question as it was sent: name, type and class."""

    def __post_init__(self) -> None:
        self.name = self.qname.lower()
        self.question_octets = self.qname + _TYPE_CLASS(self.qtype, self.qclass)
