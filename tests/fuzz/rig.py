"""A service without sockets: one policy, one cache, and a forwarder that says what it is told.

Knows: how the rooms are put together.  Does not know: what is thrown at them.
Also the canaries: questions with known answers, asked again after every batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar, cast

import dns.message
import dns.rcode

from resolver.access import AccessList
from resolver.cache import ResponseCache
from resolver.clock import TimerHandle
from resolver.forwarding.forwarder import Answered, Failed, Forwarder
from resolver.forwarding.upstream import Upstream
from resolver.local import LocalNames
from resolver.outcome import Ask, Drop, Peer, Respond, Transport
from resolver.policy.compiler import compile_in_process
from resolver.policy.image import Image
from resolver.policy.table import PolicyTable
from resolver.service import Service
from resolver.wire.response import Response, SentQuery, accept_response
from tests.fuzz.corpus import ANSWER_ID, BLOCKED, CANARY, CANARY_ADDRESS, Answer, made_answer

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
"""`FUZZ_PROFILE=long` runs ten times as many cases."""
CASE_S_MAX = 0.010
"""Longest any one message may take."""
RETRIES = 5
"""A case over the limit is taken again, and its fastest run counts: the scheduler is not the code."""
BATCH = 1000

T = TypeVar("T")


class StillClock:
    """Time that stands still."""

    def now(self) -> float:
        return 1000.0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        return cast(TimerHandle, self)

    def cancel(self) -> None:
        """No callback ever comes."""


class ScriptedForwarder:
    """Stands in for the forwarder: gives `result` to whoever asks, at once."""

    def __init__(self) -> None:
        self.result: Answered | Failed = Failed("timeout", (22, "no upstream answered"))

    def covers(self, qname: bytes) -> bool:
        return False

    def ask(
        self,
        qname: bytes,
        qtype: int,
        dnssec_ok: bool,
        checking_disabled: bool,
        done: Callable[[Answered | Failed], None],
    ) -> None:
        done(self.result)


POLICY = f"""\
version: 1
exchanges:
  alpha: {{name: Alpha, domains: [{BLOCKED}]}}
"""


def policy_table(directory: Path) -> PolicyTable:
    """A policy that blocks `BLOCKED` and everything under it."""
    source = directory / "blocklist.yaml"
    source.write_text(POLICY)
    image, problems = compile_in_process(source, directory)
    assert image is not None, problems
    return PolicyTable(Image(image), 1, 0.0, 0.0)


class Rig:
    """The service and its canaries."""

    def __init__(self, directory: Path) -> None:
        self.forwarder = ScriptedForwarder()
        self.cache = ResponseCache(4 << 20)
        self.service = Service(
            table=policy_table(directory),
            cache=self.cache,
            forwarder=cast(Forwarder, self.forwarder),
            local=LocalNames({"printer.example.org": ["192.0.2.77"]}),
            clock=StillClock(),
            access=AccessList([ip_network("127.0.0.0/8")]),
            memo_octets_max=1 << 20,
        )
        self.peers = (self._peer(Transport.UDP), self._peer(Transport.TCP))
        self.upstream = Upstream("192.0.2.53")
        self.keep(made_answer(CANARY, "A", answer=(f"{CANARY} 86400 A {CANARY_ADDRESS}",)))

    @staticmethod
    def _peer(transport: Transport) -> Peer:
        return Peer(bytes((127, 0, 0, 1)), transport)

    def keep(self, answer: Answer) -> None:
        """Put a good answer into the cache."""
        response = accept_response(answer.octets, sent_query(answer))
        assert isinstance(response, Response)
        self.store(answer, response)

    def store(self, answer: Answer, response: Response) -> None:
        """Cache what was accepted, as the service does."""
        self.cache.store(answer.qname.lower(), answer.qtype, answer.dnssec_ok, False, response, 1000.0)

    def answer(self, octets: bytes, peer: Peer) -> Respond | Drop:
        """What the service says; what it would ask is answered by the scripted forwarder."""
        outcome = self.service.answer_now(octets, peer, 1000.0)
        if isinstance(outcome, Ask):
            delivered: list[Respond | Drop] = []
            self.service.resolve(outcome, lambda _, final: delivered.append(final))
            assert len(delivered) == 1
            return delivered[0]
        return outcome

    def check_canaries(self) -> None:
        """A cached name, a blocked one and a local one still get their right answers."""
        for peer in self.peers:
            assert self._addresses(CANARY, peer) == [CANARY_ADDRESS]
            assert self._addresses("printer.example.org.", peer) == ["192.0.2.77"]
            assert self._addresses("www." + BLOCKED, peer) is None
        assert self.service.defects == 0

    def _addresses(self, qname: str, peer: Peer) -> list[str] | None:
        """Addresses of a NOERROR answer; None for NXDOMAIN."""
        query = dns.message.make_query(qname, "A")
        outcome = self.answer(query.to_wire(), peer)
        assert isinstance(outcome, Respond)
        reply = dns.message.from_wire(query.id.to_bytes(2, "big") + outcome.tail)
        assert query.is_response(reply)
        if reply.rcode() == dns.rcode.NXDOMAIN:
            return None
        assert reply.rcode() == dns.rcode.NOERROR
        return [rdata.to_text() for rrset in reply.answer for rdata in rrset]


def sent_query(answer: Answer) -> SentQuery:
    """What was sent for an answer to come."""
    return SentQuery(
        id=ANSWER_ID,
        qname=answer.qname,
        qtype=answer.qtype,
        qclass=1,
        edns=True,
        dnssec_ok=answer.dnssec_ok,
    )


def timed(work: Callable[[], T], case: bytes) -> T:
    """Do `work`; AssertionError when it takes over `CASE_S_MAX` however often it is tried."""
    began = time.perf_counter()
    result = work()
    if time.perf_counter() - began > CASE_S_MAX:
        fastest_s = min(_seconds(work) for _ in range(RETRIES))
        assert fastest_s <= CASE_S_MAX, f"{fastest_s * 1e3:.1f} ms for {case.hex()}"
    return result


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
