"""Octets from a client -> the facts of one query, or why it is none.

Knows: the header, one question, the OPT record.  Does not know: policy, cache, sockets.
Strict: whatever this walker passes, every later step may trust (no untrusted octets reach
dnslib before it).  Never raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resolver.wire.numbers import Rcode


@dataclass(slots=True)
class Query:
    """One well-formed query: the client's octets and the facts read from them.

    Treat as immutable (not `frozen=True`: that triples the cost of making one).
    """

    octets: bytes
    flags: int
    """The header's 16-bit flags word, as sent."""
    qname: bytes
    """Wire form, ASCII lower case, with the root's zero octet; at most 255 octets."""
    qtype: int
    qclass: int
    question_end: int
    """Offset of the first octet after the question, so `octets[12:question_end]` is it, case kept."""
    has_opt: bool
    edns_version: int
    payload_octets: int
    """Largest UDP response the client takes: 512 without OPT, never under 512 with it."""
    dnssec_ok: bool
    options: tuple[tuple[int, bytes], ...]
    """EDNS options in order, as (code, octets)."""

    @property
    def checking_disabled(self) -> bool:
        """The CD bit."""
        return bool(self.flags & 0x0010)

    @property
    def recursion_desired(self) -> bool:
        """The RD bit."""
        return bool(self.flags & 0x0100)


@dataclass(slots=True, frozen=True)
class Malformed:
    """Octets that are no query we answer; `rcode` None means: send nothing."""

    reason: str
    """From a closed set of short words, fit for a metric label."""
    rcode: Rcode | None


class Question(NamedTuple):
    """What is asked: the key of caches and in-flight tables."""

    qname: bytes
    """Wire form, lower case."""
    qtype: int
    qclass: int
