"""A server without sockets: one policy, one cache, and a forwarder that says what it is told.

Knows: how the rooms of either engine are put together.  Does not know: what is thrown at them.
Also the canaries: questions with known answers, asked again after every batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar, cast

import dns.message
import dns.rcode

from resolver.cache import AnyCache, NativeCache, ResponseCache
from resolver.clock import TimerHandle
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.flow.waiting import WAITING_MAX
from resolver.forwarding.forwarder import Answered, Failed, Forwarder, Keep
from resolver.forwarding.upstream import Upstream
from resolver.local import LocalNames
from resolver.plane import ASK, PUNT, RESPOND
from resolver.policy.image import Image
from resolver.policy.policy import Policy, make_policy
from resolver.publishing.compiler import compile_in_process
from resolver.wire.encode import encode_query
from resolver.wire.question import Question
from resolver.wire.response import Response, SentQuery
from tests.fuzz.corpus import ANSWER_ID, BLOCKED, CANARY, CANARY_ADDRESS, Answer, made_answer
from tests.support.engines import Engine, testing_of

IS_LONG = os.environ.get("FUZZ_PROFILE", "short") == "long"
"""`FUZZ_PROFILE=long` runs ten times as many cases."""
CASE_S_MAX = 0.010
"""Longest any one message may take."""
RETRIES = 5
"""A case over the limit is taken again, and its fastest run counts: the scheduler is not the code."""
BATCH = 1000
NOW = 1000.0
NEVER = float("inf")
LOOPBACK = bytes((127, 0, 0, 1))

T = TypeVar("T")


class StillClock:
    """Time that stands still."""

    def now(self) -> float:
        return NOW

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        return cast(TimerHandle, self)

    def cancel(self) -> None:
        """No callback ever comes."""


class ScriptedForwarder:
    """Stands in for the forwarder: keeps `result`, and gives it to whoever asks, at once."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self.result: Answered | Failed = Failed("timeout", (22, "no upstream answered"))

    def covers(self, qname: bytes) -> bool:
        return False

    def ask(self, question: Question, done: Callable[[Answered | Failed], None]) -> None:
        kept = self._keep(question, self.result, NOW)
        if isinstance(self.result, Answered):
            self.result.kept = kept
        done(self.result)


POLICY = f"""\
version: 1
exchanges:
  alpha: {{name: Alpha, domains: [{BLOCKED}]}}
"""


def blocking_policy(directory: Path) -> Policy:
    """A policy that blocks `BLOCKED` and everything under it."""
    source = directory / "blocklist.yaml"
    source.write_text(POLICY)
    image, problems = compile_in_process(source, directory)
    assert image is not None, problems
    return make_policy(Image(image), 1, 0.0, 0.0)


class Rig:
    """The server and its canaries: the service alone, or behind the native flow."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.engine = engine
        policy = blocking_policy(directory)
        self.cache: AnyCache
        self._core: Any = None
        self._steps: Any = None
        if engine.module is None:
            self.cache = ResponseCache(4 << 20)
        else:
            self.cache = NativeCache(engine.module.Cache(4 << 20))
            self._core = native_core(engine.module, self.cache, policy)
            self._steps = testing_of(engine.module).Steps(self._core, seed=bytes(range(32)))
        self.forwarder = ScriptedForwarder(keeper_of(self.cache))
        self.service = Service(
            policy=policy,
            cache=self.cache,
            forwarder=cast(Forwarder, self.forwarder),
            local=LocalNames({"printer.example.org": ["192.0.2.77"]}),
            clock=StillClock(),
            clients=Clients([ip_network("127.0.0.0/8")]),
            memo_octets_max=1 << 20 if engine.module is None else 0,
        )
        self.peers = (self._peer(Transport.UDP), self._peer(Transport.TCP))
        self.upstream = Upstream("192.0.2.53")
        self.keep(made_answer(CANARY, "A", answer=(f"{CANARY} 86400 A {CANARY_ADDRESS}",)))

    @staticmethod
    def _peer(transport: Transport) -> Peer:
        return Peer(LOOPBACK, transport)

    def keep(self, answer: Answer) -> None:
        """Put a good answer into the cache."""
        response = self.engine.accept_response(answer.octets, sent_query(answer))
        assert isinstance(response, Response)
        self.store(answer, response)

    def store(self, answer: Answer, response: Response) -> None:
        """Cache what was accepted, as the service does."""
        self.cache.store(Question(answer.qname.lower(), answer.qtype, answer.dnssec_ok), response, NOW)

    def answer(self, octets: bytes, peer: Peer) -> bytes | None:
        """What the server says, None for nothing; what it would ask is answered by the scripted forwarder."""
        if self._core is not None:
            if not peer.is_stream:
                [(word, message)] = self._steps.answer_batch([(octets, peer.address)], NOW)
            else:
                word, message = self._core.answer(octets, peer.address, peer.transport, NOW)
            if word not in (ASK, PUNT):
                return message if word == RESPOND else None
        outcome = self.service.answer_now(octets, peer, NOW)
        if isinstance(outcome, Ask):
            delivered: list[Respond | Drop] = []
            self.service.resolve(outcome, lambda _, final: delivered.append(final))
            assert len(delivered) == 1
            outcome = delivered[0]
        return octets[:2] + outcome.tail if isinstance(outcome, Respond) else None

    def hear(self, answer: Answer, octets: bytes, response: Response | None) -> None:
        """Let octets come from an upstream that was asked `answer`'s question; `response`: they are accepted."""
        query = encode_query(
            answer.qname, answer.qtype, id=7, dnssec_ok=answer.dnssec_ok, checking_disabled=False, edns=True
        )
        if self._core is not None:
            self._hear_natively(query, octets, response is not None)
        elif response is not None:
            self.forwarder.result = Answered(response, self.upstream)
            self.answer(query, self.peers[1])
            self.store(answer, response)

    def _hear_natively(self, query: bytes, octets: bytes, is_accepted: bool) -> None:
        word, attempt, _, sent = self._steps.ask(query, LOOPBACK, NOW, 1)
        assert word == "send"
        end = sent.index(0, 12) + 5
        is_ours = octets[:2] == ANSWER_ID.to_bytes(2, "big")
        if is_ours and octets[12:end] == query[12:end]:
            # As far as ID and question go, it is the answer to what was sent just now.
            octets = sent[:2] + octets[2:12] + sent[12:end] + octets[end:]
        word, *fields = self._steps.on_response(attempt, octets, NOW)
        assert (word == "done") is is_accepted
        if word == "done":
            told, punts = fields
            assert [token for token, _ in told] + punts == [1]
        else:
            self._steps.close_ticket(attempt)
        assert self._core.in_flight == self._core.waiting == 0

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
        octets = self.answer(query.to_wire(), peer)
        assert octets is not None
        reply = dns.message.from_wire(octets)
        assert query.is_response(reply)
        if reply.rcode() == dns.rcode.NXDOMAIN:
            return None
        assert reply.rcode() == dns.rcode.NOERROR
        return [rdata.to_text() for rrset in reply.answer for rdata in rrset]


def native_core(module: Any, cache: NativeCache, policy: Policy) -> Any:
    """The native flow over this cache and policy, with one upstream."""
    core = module.Core(
        cache.core,
        allow=[(bytes((127, 0, 0, 0)), 8)],
        rate_limit_qps=0,
        records=[(b"\7printer\7example\3org\0", [bytes((192, 0, 2, 77))])],
        tcp_idle_s=10.0,
        in_flight_max=64,
        waiters_max=64,
        waiting_max=WAITING_MAX,
    )
    core.publish(str(policy.image.path), policy.generation, *policy.made_at)
    core.publish_upstreams([("192.0.2.53", 53)], [(b"", 0, True, True, 2.0, NEVER, 2, None)])
    return core


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
    """Do `work`; AssertionError when it takes over `CASE_S_MAX` of CPU however often it is tried."""
    began = time.thread_time()
    result = work()
    if time.thread_time() - began > CASE_S_MAX:
        fastest_s = min(_seconds(work) for _ in range(RETRIES))
        assert fastest_s <= CASE_S_MAX, f"{fastest_s * 1e3:.1f} ms for {case.hex()}"
    return result


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
