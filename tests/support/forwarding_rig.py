"""A forwarder on a fake clock in front of scripted upstreams, and the replies these give."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence

from resolver.forwarding.entropy import Entropy
from resolver.forwarding.forwarder import Answered, Failed, Forwarder, Keep
from resolver.forwarding.plan import ForwardPlan, Server, Strategy
from resolver.wire.question import Question
from tests.support.scenario_clock import FakeClock
from tests.support.scenario_network import ScriptedNetwork, Sent
from tests.support.wirebuild import QNAME, opt, rr, wire_name

FIRST = Server("udp", "192.0.2.1", 53)
SECOND = Server("udp", "192.0.2.2", 53)
WWW = wire_name("www.example.org")
ADDRESS = b"\xc0\x00\x02\x07"
A, AAAA = 1, 28


def seeded(seed: int = 1) -> Entropy:
    """The same numbers in every run."""
    return Entropy(random.Random(seed).randbytes)


def question_of(octets: bytes) -> bytes:
    """The question of a query, case kept."""
    end = octets.index(b"\0", 12) + 5
    return octets[12:end]


def has_opt(octets: bytes) -> bool:
    """Whether a query carries EDNS."""
    return octets[10:12] == b"\0\1"


def reply_to(
    octets: bytes,
    *answer: bytes,
    flags: int = 0x8180,
    id_: int | None = None,
    question: bytes | None = None,
    qdcount: int = 1,
    additional: Sequence[bytes] = (),
) -> bytes:
    """A reply to a query, wrong where the caller says so."""
    query_id = octets[:2] if id_ is None else struct.pack("!H", id_)
    counts = struct.pack("!HHHH", qdcount, len(answer), 0, len(additional))
    asked = question_of(octets) if question is None else question
    return query_id + struct.pack("!H", flags) + counts + asked + b"".join(answer) + b"".join(additional)


def good(sent: Sent, address: bytes = ADDRESS) -> bytes:
    """The right answer."""
    return reply_to(sent.octets, rr(QNAME, A, address))


def failure(sent: Sent, rcode: int) -> bytes:
    """The right message, saying that it has no answer."""
    additional = (opt(),) if has_opt(sent.octets) else ()
    return reply_to(sent.octets, flags=0x8180 | rcode, additional=additional)


def keep_nothing(question: Question, result: Answered | Failed, now: float) -> None:
    """For tests without a cache."""


class Rig:
    """Everything a test of forwarding needs."""

    def __init__(
        self,
        *servers: Server,
        strategy: Strategy = "ordered",
        unreachable: Sequence[str] = (),
        timeout_s: float = 2.0,
        keep: Keep = keep_nothing,
        case_shown: bool = True,
        **more: int,
    ) -> None:
        self.clock = FakeClock()
        self.started_at = self.clock.now()
        self.network = ScriptedNetwork(unreachable)
        self.plan = ForwardPlan(servers or (FIRST,), strategy)
        if case_shown:
            for upstream in self.plan.upstreams:
                upstream.oddities.case_shown_until = math.inf
        self.forwarder = Forwarder(
            self.plan, self.network, self.clock, seeded(), keep=keep, timeout_s=timeout_s, **more
        )
        self.results: list[Answered | Failed] = []

    def ask(self, qname: bytes = WWW, qtype: int = A, done: Callable[..., None] | None = None) -> None:
        """Ask; the result goes to `results`."""
        self.forwarder.ask(Question(qname, qtype), done or self.results.append)

    @property
    def sent(self) -> list[Sent]:
        """All that was sent, in order."""
        return self.network.sent

    def deliver(self, sent: Sent, octets: bytes) -> bool:
        """Hand over a reply."""
        return self.network.deliver(sent, octets)

    @property
    def answer(self) -> Answered:
        """The one result, which must be an answer; nothing may be left open."""
        (result,) = self.results
        assert isinstance(result, Answered), result
        self.assert_nothing_pending()
        return result

    @property
    def failed(self) -> Failed:
        """The one result, which must be a failure; nothing may be left open."""
        (result,) = self.results
        assert isinstance(result, Failed), result
        self.assert_nothing_pending()
        return result

    def assert_nothing_pending(self) -> None:
        """No question, no ticket left."""
        assert self.forwarder.pending == 0
        assert [sent for sent in self.sent if sent.is_open] == []
