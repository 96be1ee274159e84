"""Asks two servers the same and says where they differ, and which differences are meant.

Knows: rcode, flags, question and answer set of a reply.  Does not know: how either server works.
TTLs are left out: the two fetched at different moments.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.query
import dns.rcode

from tests.differential.questions import Asked

REPLY_S_MAX = 6.0

Record = tuple[str, int, int, bytes]
"""Owner, type, class, RDATA in canonical form."""


@dataclass(frozen=True)
class Reply:
    """What is compared."""

    rcode: str
    flags: str
    has_opt: bool
    question: tuple[str, ...]
    """As echoed, letter case kept."""
    answer: frozenset[Record]


class Peer:
    """One server: a connected UDP socket, and TCP where a reply was cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(REPLY_S_MAX)
        self._socket.connect(("127.0.0.1", port))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, asked: Asked) -> Reply:
        """The reply over UDP; when that is cut, its flags with the answer of TCP."""
        query = asked.message()
        reply = self._exchange(query)
        whole = reply
        if reply.flags & dns.flags.TC:
            whole = dns.query.tcp(query, "127.0.0.1", port=self.port, timeout=REPLY_S_MAX)
        return Reply(
            dns.rcode.to_text(reply.rcode()),
            dns.flags.to_text(reply.flags),
            reply.edns >= 0,
            tuple(f"{rrset.name} {rrset.rdclass} {rrset.rdtype}" for rrset in reply.question),
            records(whole),
        )

    def _exchange(self, query: dns.message.Message) -> dns.message.Message:
        self._socket.send(query.to_wire())
        while True:
            octets = self._socket.recv(65535)
            if octets[:2] == query.id.to_bytes(2, "big"):
                # A cut reply may end within its answer section.
                return dns.message.from_wire(octets, ignore_trailing=True, raise_on_truncation=False)


def records(message: dns.message.Message) -> frozenset[Record]:
    """The answer section as a set."""
    return frozenset(
        (str(rrset.name).lower(), int(rrset.rdtype), int(rrset.rdclass), rdata.to_digestable())
        for rrset in message.answer
        for rdata in rrset
    )


@dataclass(frozen=True)
class Difference:
    """Two replies to one question that are not the same."""

    asked: Asked
    ours: Reply
    theirs: Reply

    def parts(self) -> list[str]:
        """Names of the compared parts that differ."""
        return [
            part
            for part in ("rcode", "flags", "has_opt", "question", "answer")
            if getattr(self.ours, part) != getattr(self.theirs, part)
        ]


Explanation = tuple[str, Callable[[Difference], bool]]
"""Why the two may differ, and which differences that covers."""

EXPLAINED: tuple[Explanation, ...] = (
    (
        "RFC 8482: ANY gets one synthesized HINFO from us, all that is cached from Unbound",
        lambda difference: difference.asked.qtype == "ANY",
    ),
    (
        "a referral from an upstream that was asked to recurse is its failure to us, an empty answer to Unbound",
        lambda difference: (
            "child.example.com" in difference.asked.qname.lower()
            and (difference.ours.rcode, difference.theirs.rcode) == ("SERVFAIL", "NOERROR")
        ),
    ),
    (
        "chains of over 11 links are refused by us; by Unbound only until parts of the chain are cached",
        lambda difference: (
            difference.asked.qname.lower().startswith(("chain12.", "chain13.", "chain14.", "chain15."))
            and (difference.ours.rcode, difference.theirs.rcode) == ("SERVFAIL", "NOERROR")
        ),
    ),
    (
        "RFC 4035 section 2.5: a CNAME's owner has NSEC and RRSIG of its own; Unbound follows a cached CNAME",
        lambda difference: (
            difference.asked.qtype in ("NSEC", "RRSIG")
            and difference.asked.qname.lower() == "cname.example.com."
            and difference.parts() == ["answer"]
        ),
    ),
)
"""Differences that are meant.  Each must be seen in a run, or it has to go."""


def explanation(difference: Difference) -> str | None:
    """Why a difference is meant; None for one that is not."""
    for reason, covers in EXPLAINED:
        if covers(difference):
            return reason
    return None
