"""What a transaction works with: attempts, and the steps that it wants next.

Knows: the words.  Does not know: which step follows from what (`transaction`), sockets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Protocol

from resolver.forwarding.oddities import Trial
from resolver.forwarding.upstream import Upstream
from resolver.wire.encode import encode_question
from resolver.wire.numbers import ExtendedError, Qclass, Rcode
from resolver.wire.question import Question
from resolver.wire.response import Response, SentQuery

_IN = int(Qclass.IN)
_TYPE_CLASS = struct.Struct("!HH").pack


class RandomSource(Protocol):
    """What a transaction needs to be unpredictable (`entropy.Entropy` in a server)."""

    def query_id(self) -> int: ...

    def mix_case(self, qname: bytes) -> bytes: ...

    def below(self, bound: int) -> int: ...


class Closable(Protocol):
    """What the shell keeps for an attempt that is out."""

    def close(self) -> None: ...


class Asker(Protocol):
    """Whose attempt it is: a transaction."""

    def hear(self, attempt: Attempt, octets: bytes) -> None: ...

    def lose(self, attempt: Attempt, reason: str, sends: int | None) -> None: ...


class Attempt(SentQuery):
    """One query to one upstream; as a step: send it, and if that is impossible, call `on_error`.

    It is what was sent, and its own receiver (see `network.Receiver`): it passes what it hears to its
    transaction.  That makes it, field by field: each further object, and each call of an `__init__`,
    shows in the cost of a miss.
    """

    __slots__ = (
        "bad_packets",
        "due_at",
        "is_case_changed",
        "is_late",
        "is_over",
        "octets",
        "sent_at",
        "ticket",
        "transaction",
        "trial",
        "upstream",
        "verifier",
    )

    transaction: Asker
    upstream: Upstream
    octets: bytes
    """The whole message."""
    sent_at: float
    due_at: float
    """When its upstream is thought too slow; the attempt goes on listening."""
    is_over: bool
    """Nothing it receives counts any more."""
    is_late: bool
    is_case_changed: bool
    """A reply came that differs in nothing but a question in lower case."""
    bad_packets: int
    trial: Trial
    """What its answer says of the upstream, beside what was asked."""
    verifier: Attempt | None
    """The attempt that decides about this one, its check."""
    ticket: Closable | None
    """The shell's; None when not sent or given up."""

    def on_octets(self, octets: bytes) -> None:
        """See `network.Receiver`."""
        self.transaction.hear(self, octets)

    def on_error(self, reason: str, sends: int | None = None) -> None:
        """See `network.Receiver`."""
        self.transaction.lose(self, reason, sends)


def new_attempt(
    transaction: Asker,
    upstream: Upstream,
    question: Question,
    query_id: int,
    qname: bytes,
    edns: bool,
    is_stream: bool,
    trial: Trial,
) -> Attempt:
    """An attempt that is not sent yet: without times.  `qname`: the question's name as it is spelt here."""
    attempt = Attempt.__new__(Attempt)
    attempt.transaction = transaction
    attempt.upstream = upstream
    attempt.id = query_id
    attempt.name, qtype, dnssec_ok, checking_disabled = question
    attempt.qname = qname
    attempt.qtype = qtype
    attempt.qclass = _IN
    attempt.edns = edns
    attempt.dnssec_ok = dnssec_ok = dnssec_ok and edns
    attempt.is_stream = is_stream
    attempt.question_octets = octets = qname + _TYPE_CLASS(qtype, _IN)
    attempt.octets = encode_question(query_id, octets, dnssec_ok, checking_disabled, edns)
    attempt.is_over = attempt.is_late = attempt.is_case_changed = False
    attempt.bad_packets = 0
    attempt.trial = trial
    attempt.verifier = attempt.ticket = None
    return attempt


@dataclass(slots=True)
class Wait:
    """Nothing to send now."""


@dataclass(slots=True)
class Answered:
    """An upstream gave a usable answer."""

    response: Response
    upstream: Upstream
    kept: Any = None
    """What the keeper made of it; carried for those who wait, never read here."""


@dataclass(slots=True)
class Failed:
    """No usable answer.  `reason`: timeout, network, rcode, chain, malformed, overload or closed."""

    reason: str
    ede: tuple[int, str]
    """What to tell the client (RFC 8914): code and text."""


Step = Attempt | Wait | Answered | Failed

WAIT = Wait()

EXPLANATIONS: dict[str, tuple[int, str]] = {
    "timeout": (ExtendedError.NO_REACHABLE_AUTHORITY, "no upstream answered in time"),
    "network": (ExtendedError.NETWORK_ERROR, "no upstream can be reached"),
    "rcode": (ExtendedError.OTHER, "the upstreams answered with a failure"),
    "chain": (ExtendedError.OTHER, "the chain of CNAMEs is too long or runs in a circle"),
    "malformed": (ExtendedError.INVALID_DATA, "the upstreams sent no valid answer"),
}

RCODE_REASONS: dict[int, str] = {Rcode.SERVFAIL: "servfail", Rcode.REFUSED: "refused"}


def found_the_name(response: Response) -> bool:
    """Whether it has something of the name asked for, so that the name was found as it was spelt."""
    return response.negative is None or bool(response.links)
