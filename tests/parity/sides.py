"""The two engines side by side, each with its own cache, told the same.

Knows: how each is put together, and which word of one is which of the other.  Does not know: what is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, cast

from resolver.cache import NativeCache, ResponseCache
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Outcome, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import WAITING_MAX, Service
from resolver.forwarding.forwarder import Forwarder
from resolver.local import LocalNames
from resolver.observe.tally import Tallies
from resolver.plane import ASK, DROP, DROP_AND_CLOSE, PUNT, RESPOND
from resolver.policy.image import Image
from resolver.policy.policy import Policy as ServedPolicy
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyAction, Verdict
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.response import Response
from tests.fuzz.rig import ScriptedForwarder, StillClock
from tests.parity.material import RECORDS, Policy
from tests.support.engines import testing_of

ALLOW = ["192.0.2.0/24", "2001:db8::/32"]
CACHE_OCTETS = 16 << 20
REDIRECTED = (Qtype.A, Qtype.AAAA)


@dataclass(frozen=True)
class Question:
    """One query as a client sends it."""

    octets: bytes
    client: bytes
    """Packed address."""
    is_stream: bool


class Difference(AssertionError):
    """The engines do not agree."""


class Sides:
    """Both engines over one policy."""

    def __init__(
        self, module: Any, policy: Policy, *, rate_limit_qps: int = 0, punt_blocked: bool = False
    ) -> None:
        self.punt_blocked = punt_blocked
        table = PolicyTable(Image(policy.image), 1, policy.wall, policy.monotonic)
        self.table = table
        self.python_cache = ResponseCache(CACHE_OCTETS)
        self.native_cache = NativeCache(module.Cache(CACHE_OCTETS))
        self.service = Service(
            policy=ServedPolicy(table),
            cache=self.python_cache,
            forwarder=cast(Forwarder, ScriptedForwarder()),
            local=LocalNames(RECORDS),
            clock=StillClock(),
            clients=Clients([ip_network(text) for text in ALLOW]),
            memo_octets_max=0,
            rate_limit_qps=rate_limit_qps,
        )
        networks = [ip_network(text) for text in ALLOW]
        self.core = module.Core(
            self.native_cache.core,
            allow=[(network.network_address.packed, network.prefixlen) for network in networks],
            rate_limit_qps=rate_limit_qps,
            records=[
                (name_from_text(name), [ip_address(text).packed for text in texts])
                for name, texts in RECORDS.items()
            ],
            tcp_idle_s=10.0,
            in_flight_max=64,
            waiters_max=64,
            waiting_max=WAITING_MAX,
            punt_blocked=punt_blocked,
            punt_all=False,
        )
        self._steps = testing_of(module).Steps(self.core, seed=bytes(32))
        self.core.publish(str(policy.image), table.generation, *table.made_at)
        self.tallies = Tallies()
        self.punts = self.asks = 0
        self._peers: dict[tuple[bytes, bool], Peer] = {}

    def store(self, question: tuple[bytes, int, bool, bool], response: Response, now: float) -> None:
        """Let both keep an answer to a question: qname, qtype, DO, CD."""
        for cache in (self.python_cache, self.native_cache):
            cache.store(*question, response, now)

    def fail(self, question: tuple[bytes, int, bool, bool], ede: tuple[int, str], now: float) -> None:
        """Let both note a failure."""
        for cache in (self.python_cache, self.native_cache):
            cache.store_failure(*question, ede, now)

    def compare(self, questions: Sequence[Question], now: float) -> None:
        """Ask both; Difference says what is not the same."""
        told: dict[int, tuple[int, bytes]] = {}
        datagrams = [(number, q) for number, q in enumerate(questions) if not q.is_stream]
        batch = self._steps.answer_batch([(q.octets, q.client) for _, q in datagrams], now)
        told.update((number, answer) for (number, _), answer in zip(datagrams, batch, strict=True))
        for number, question in enumerate(questions):
            if question.is_stream:
                told[number] = self.core.answer(question.octets, question.client, Transport.TCP, now)
            self._compare_one(question, *told[number], now)

    def _compare_one(self, question: Question, word: int, message: bytes, now: float) -> None:
        key = (question.client, question.is_stream)
        transport = Transport.TCP if question.is_stream else Transport.UDP
        peer = self._peers.setdefault(key, Peer(question.client, transport))
        outcome = self.service.answer_now(question.octets, peer, now)
        if word == PUNT:
            self.punts += 1
            if not self._may_punt(outcome, question.octets):
                raise Difference(f"{question}: a punt without a reason: {outcome}")
            return
        if isinstance(outcome, Ask):
            self.asks += 1
            wanted: tuple[int, bytes] = (ASK, b"") if outcome.redirect is None else (PUNT, b"")
        else:
            self.tallies.of(transport, outcome).add(0.0)
            if isinstance(outcome, Respond):
                wanted = (RESPOND, question.octets[:2] + outcome.tail)
            else:
                wanted = (DROP_AND_CLOSE if outcome.close else DROP, b"")
        if (word, message) != wanted:
            raise Difference(
                f"{question.octets.hex()} from {question}: native {word} {message.hex()}, "
                f"Python {wanted[0]} {wanted[1].hex()}"
            )

    def _may_punt(self, outcome: Outcome, octets: bytes) -> bool:
        if isinstance(outcome, Ask) and outcome.redirect is not None:
            return True
        verdict = outcome.verdict
        if self.punt_blocked and (verdict.is_blocked or verdict.shadow is not None):
            return True
        qtype = outcome.query.qtype if isinstance(outcome, Ask) else outcome.qtype
        return qtype in REDIRECTED and leads_elsewhere(verdict)

    def compare_counts(self) -> None:
        """Both must have counted the same, but for what was punted or asked."""
        python = Counter({tuple(key): count for key, count, _ in self.tallies.snapshot().counts})
        native: Counter[tuple[Any, ...]] = Counter()
        for row in self.core.tallies():
            native[tuple(row[:7])] += row[7]
        if python != native:
            raise Difference(f"counts differ: {(python - native, native - python)}")


def leads_elsewhere(verdict: Verdict) -> bool:
    """Whether the rule answers with a CNAME."""
    if verdict.action is not PolicyAction.LOCAL_DATA or verdict.match is None:
        return False
    local_data = verdict.match.rule.local_data
    return local_data is not None and bool(local_data.redirect)


__all__ = ["Difference", "Drop", "Question", "Sides", "leads_elsewhere"]
