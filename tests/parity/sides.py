"""The two engines side by side, each with its own cache, told the same.

Knows: how each is put together, and which word of one is which of the other.  Does not know: what is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address, ip_network
from itertools import pairwise
from typing import Any, cast

from resolver.cache import NativeCache, ResponseCache
from resolver.flow.audit_queries import AuditSecret
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Outcome, Respond
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.flow.storing import keeper_of
from resolver.flow.waiting import WAITING_MAX
from resolver.forwarding.forwarder import Forwarder
from resolver.local import LocalNames
from resolver.observe.clients import ShownClients
from resolver.observe.query_log import lines_of
from resolver.observe.records import RecordBuffer
from resolver.observe.tally import Tallies
from resolver.plane import ASK, DROP, DROP_AND_CLOSE, PUNT, RESPOND
from resolver.policy.image import Image
from resolver.policy.policy import Policy as ServedPolicy
from resolver.policy.structured import StructuredErrors
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyAction, Verdict
from resolver.sinks.ipcrypt import PrefixCipher
from resolver.sinks.look import ENCODERS, ENDS
from resolver.wire.carried_addresses import nat64_prefix
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.question import Question
from resolver.wire.response import Response
from tests.fuzz.rig import ScriptedForwarder, StillClock
from tests.parity.material import AUDIT_SECRET, RECORDS, Policy
from tests.support.engines import testing_of

ALLOW = ["192.0.2.0/24", "2001:db8::/32"]
CACHE_OCTETS = 16 << 20
NAT64_PREFIXES = (nat64_prefix(IPv6Network("2001:db8:64::/96")),)
STRUCTURED = StructuredErrors(65001, 5, '"o":"Example Networks"', '"l":"en"')
"""Asked for by one of the options that queries are made with."""
NSID = b"resolver-1"
RESINFO = b"\x08qnamemin\x0cexterr=15-17"
REDIRECTED = (Qtype.A, Qtype.AAAA)
KEY = bytes(range(32))
HEAD = b"what stands in front"


@dataclass(frozen=True)
class ClientQuery:
    """One query as a client sends it."""

    octets: bytes
    client: bytes
    """Packed address."""
    transport: Transport
    name: str = ""
    """The one it gave itself; datagrams carry none."""


class Difference(AssertionError):
    """The engines do not agree."""


class Sides:
    """Both engines over one policy."""

    def __init__(
        self, module: Any, policy: Policy, *, rate_limit_qps: int = 0, query_records: str = "none"
    ) -> None:
        self._module = module
        self.matches: Counter[str] = Counter()
        """What rules spoke of, as far as lines of JSON said so."""
        image, times = Image(policy.image), (policy.wall, policy.monotonic)
        table = PolicyTable(image, 1, *times, nat64_prefixes=NAT64_PREFIXES)
        self.table = table
        self.python_cache = ResponseCache(CACHE_OCTETS)
        self.native_cache = NativeCache(module.Cache(CACHE_OCTETS))
        self.service = Service(
            policy=ServedPolicy(table),
            cache=self.python_cache,
            forwarder=cast(Forwarder, ScriptedForwarder(keeper_of(self.python_cache))),
            local=LocalNames(RECORDS, RESINFO),
            clock=StillClock(),
            clients=Clients([ip_network(text) for text in ALLOW]),
            memo_octets_max=0,
            rate_limit_qps=rate_limit_qps,
            audit_secret=AuditSecret(AUDIT_SECRET),
            structured_errors=STRUCTURED,
            nsid=NSID,
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
            query_records=query_records,
            audit_secret=AUDIT_SECRET,
            structured_errors=STRUCTURED.fields,
            resinfo=RESINFO,
            nsid=NSID,
            record_details=True,
        )
        self._steps = testing_of(module).Steps(self.core, seed=bytes(32))
        self.core.publish(str(policy.image), table.generation, *table.made_at, NAT64_PREFIXES)
        self.tallies = Tallies()
        self._queries_recorded = query_records
        self._now = 0.0
        self._buffer = RecordBuffer(
            only_blocked=query_records == "blocked", has_answers=True, now=lambda: self._now
        )
        self.punts = self.asks = 0
        self._peers: dict[tuple[bytes, Transport, str], Peer] = {}

    def store(self, question: Question, response: Response, now: float) -> None:
        """Let both keep an answer to a question."""
        for cache in (self.python_cache, self.native_cache):
            cache.store(question, response, now)

    def fail(self, question: Question, ede: tuple[int, str], now: float) -> None:
        """Let both note a failure."""
        for cache in (self.python_cache, self.native_cache):
            cache.store_failure(question, ede, now)

    def compare(self, queries: Sequence[ClientQuery], now: float) -> None:
        """Ask both; Difference says what is not the same."""
        told: dict[int, tuple[int, bytes]] = {}
        for transport in Transport:
            alike = [(number, q) for number, q in enumerate(queries) if q.transport is transport]
            # Of streams every other one comes as Python's listeners ask, by itself; with its name, if it has one.
            if transport.is_stream:
                alike = [(number, q) for number, q in alike if number % 2 and not q.name]
            asked = [(q.octets, q.client) for _, q in alike]
            batch = self._steps.answer_batch(asked, now, transport=int(transport))
            told.update((number, answer) for (number, _), answer in zip(alike, batch, strict=True))
        for number, query in enumerate(queries):
            if number not in told:
                told[number] = self.core.answer(query.octets, query.client, query.transport, now, query.name)
            self._compare_one(query, *told[number], now)

    def _compare_one(self, query: ClientQuery, word: int, message: bytes, now: float) -> None:
        transport = query.transport
        key = (query.client, transport, query.name)
        peer = self._peers.setdefault(key, Peer(query.client, transport, name=query.name))
        outcome = self.service.answer_now(query.octets, peer, now)
        if word == PUNT:
            self.punts += 1
            if not self._may_punt(outcome, query.octets):
                raise Difference(f"{query}: a punt without a reason: {outcome}")
            return
        if isinstance(outcome, Ask):
            self.asks += 1
            wanted: tuple[int, bytes] = (ASK, b"") if outcome.redirect is None else (PUNT, b"")
        else:
            self.tallies.of(transport, outcome).add(0.0)
            self._now = now
            if self._queries_recorded != "none":
                self._buffer.note(peer, query.octets, outcome)
            if isinstance(outcome, Respond):
                wanted = (RESPOND, query.octets[:2] + outcome.tail)
            else:
                wanted = (DROP_AND_CLOSE if outcome.close else DROP, b"")
        if (word, message) != wanted:
            raise Difference(
                f"{query.octets.hex()} from {query}: native {word} {message.hex()}, "
                f"Python {wanted[0]} {wanted[1].hex()}"
            )

    def _may_punt(self, outcome: Outcome, octets: bytes) -> bool:
        if isinstance(outcome, Ask) and outcome.redirect is not None:
            return True
        verdict = outcome.verdict
        qtype = outcome.query.qtype if isinstance(outcome, Ask) else outcome.qtype
        return qtype in REDIRECTED and leads_elsewhere(verdict)

    def compare_lines(self, record_format: str, clients: str, offset_s: float) -> int:
        """Both must write the same of what was answered since the last call; how many records those were."""
        python, native = Counter[bytes](), Counter[bytes]()
        key = KEY if clients == "encrypted" else None
        shown = ShownClients(clients, None if key is None else PrefixCipher(key).encrypt)
        look = self._module.RecordLook(record_format, clients, key=key, head=HEAD)
        while records := self._buffer.take():
            if record_format in ENCODERS:
                octets = ENCODERS[record_format](records, shown, HEAD, offset_s)
            else:
                octets = lines_of(records, record_format, shown, offset_s)
            python.update(split(record_format, octets))
        while taken := self.core.take_records():
            octets, count = taken.written(look, offset_s)
            lines = split(record_format, octets)
            assert len(lines) == count == len(taken)
            native.update(lines)
        for line, count in python.items():
            for word in re.findall(rb'"match":"(\w+)"', line):
                self.matches[word.decode()] += count
        if python != native:
            raise Difference(f"lines differ: {python - native} of Python's, {native - python} of the plane's")
        return python.total()

    def compare_counts(self) -> None:
        """Both must have counted the same, but for what was punted or asked."""
        python = Counter({tuple(key): count for key, count, _ in self.tallies.snapshot().counts})
        native: Counter[tuple[Any, ...]] = Counter()
        for row in self.core.tallies():
            native[tuple(row[:7])] += row[7]
        if python != native:
            raise Difference(f"counts differ: {(python - native, native - python)}")
        audited = self.tallies.snapshot().audited, self.core.audited()
        if audited[0] != audited[1]:
            raise Difference(f"audit queries of Python's and the plane's: {audited}")


def split(record_format: str, octets: bytes) -> list[bytes]:
    """The records, one by one."""
    ends = ENDS.get(record_format, ENDS["jsonl"])
    places = [0, *ends(memoryview(octets))]
    return [octets[start:end] for start, end in pairwise(places)]


def leads_elsewhere(verdict: Verdict) -> bool:
    """Whether the rule answers with a CNAME."""
    if verdict.action is not PolicyAction.LOCAL_DATA or verdict.match is None:
        return False
    local_data = verdict.match.rule.local_data
    return local_data is not None and bool(local_data.redirect)


__all__ = ["ClientQuery", "Difference", "Drop", "Sides", "leads_elsewhere"]
