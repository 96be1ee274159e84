"""What each gate of `answer_now` costs: a table of microseconds per query.

Knows: how the service is put together, and its steps by name.  Does not know: sockets.
Each row is one step alone over many different queries, the fastest of some rounds, less the loop's
own cost; the last rows are whole calls, so what no step accounts for shows as the difference.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from benchmarks.contestants import policy_with_list
from benchmarks.workload import Workload
from resolver.cache import ResponseCache
from resolver.clock import TimerHandle
from resolver.flow.clients import Clients
from resolver.flow.memo import Memo, Remembered
from resolver.flow.outcome import Ask, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Done
from resolver.local import LocalNames
from resolver.policy.answer import policy_answer
from resolver.policy.image import Image
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable
from resolver.publishing.compiler import compile_in_process
from resolver.wire.encode import encode_response, response_limit
from resolver.wire.names import name_from_text
from resolver.wire.query import Query, parse_query
from resolver.wire.response import Response, SentQuery, accept_response
from resolver.wire.ttl import age_body

QUERIES = 20_000
ROUNDS = 5
NOW = 1000.0
CLIENT = bytes((127, 0, 0, 1))


class _Nowhere:
    """A forwarder and a clock that nobody needs: no question is asked."""

    def covers(self, qname: bytes) -> bool:
        """No suffix."""
        return False

    def ask(self, qname: bytes, qtype: int, dnssec_ok: bool, checking_disabled: bool, done: Done) -> None:
        raise AssertionError("a question was asked")

    def now(self) -> float:
        return NOW

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        raise AssertionError("a timer was set")


def octets_of(names: Sequence[str]) -> list[bytes]:
    """Plain A queries, as dnsperf sends them."""
    head = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0)
    return [head + name_from_text(name) + b"\0\1\0\1" for name in names]


def answer_to(query: Query) -> Response:
    """An accepted answer: one A record."""
    question = query.octets[12 : query.question_end]
    record = b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 300, 4) + bytes((192, 0, 2, 10))
    reply = query.octets[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + record
    sent = SentQuery(id=0x1234, qname=query.qname, qtype=1, qclass=1, edns=False, dnssec_ok=False)
    response = accept_response(reply, sent)
    assert isinstance(response, Response)
    return response


def microseconds(step: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """CPU time of `step` per input: the fastest round, less that of a step that does nothing."""
    return max(0.0, _fastest(step, inputs) - _fastest(_nothing, inputs))


def _nothing(_: object) -> None:
    return None


def _fastest(step: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    fastest = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        for one in inputs:
            step(one)
        fastest = min(fastest, time.thread_time() - began)
    return fastest / len(inputs) * 1e6


class Bench:
    """A service over the long list, with the hot names cached."""

    def __init__(self, directory: Path, workload: Workload) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        source = directory / "gates-blocklist.yaml"
        source.write_text(policy_with_list(workload.list_path))
        image, problems = compile_in_process(source, directory)
        assert image is not None, problems
        self.table = PolicyTable(Image(image), 1, time.time(), NOW)
        self.cache = ResponseCache(256 << 20)
        self.local = LocalNames({})
        self.clients = Clients([ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")])
        self.peer = Peer(CLIENT, Transport.UDP, self.clients.standing(CLIENT))
        self.hot = octets_of(workload.hot[:QUERIES])
        self.blocked = octets_of([f"www.{name}" for name in workload.blocked[:QUERIES]])
        self.fresh = octets_of([f"new.{name}" for name in workload.allowed[-QUERIES:]])
        for octets in self.hot:
            query = self.query(octets)
            self.cache.store(query.qname, 1, False, False, answer_to(query), NOW)

    def service(self, memo_octets_max: int) -> Service:
        """A service with a memo of this size: 0 shows the gates behind it."""
        nowhere = _Nowhere()
        return Service(
            policy=Policy(self.table),
            cache=self.cache,
            forwarder=nowhere,
            local=self.local,
            clock=nowhere,
            clients=self.clients,
            memo_octets_max=memo_octets_max,
        )

    @staticmethod
    def query(octets: bytes) -> Query:
        """A query that must be well-formed."""
        query = parse_query(octets)
        assert isinstance(query, Query)
        return query


def report_gates(directory: Path, blocked_count: int) -> None:
    """Print the table."""
    bench = Bench(directory / "gates", Workload(directory, blocked_count))
    for name, cost in _steps(bench) + _wholes(bench):
        print(f"{name:52}{cost:7.2f} µs")


def _steps(bench: Bench) -> list[tuple[str, float]]:
    hot, blocked, fresh = (
        [bench.query(octets) for octets in group] for group in (bench.hot, bench.blocked, bench.fresh)
    )
    table, cache, local = bench.table, bench.cache, bench.local
    covers = _Nowhere().covers
    verdicts = [(query, table.judge_name(query.qname, NOW)) for query in blocked]
    entries = [
        (query, entry.response)
        for query in hot
        if (entry := cache.lookup(query.qname, 1, False, False, NOW)) is not None
        and entry.response is not None
    ]
    memo = Memo(64 << 20)
    answer = Remembered(Respond(bytes(60), 0, 1, Source.CACHE))
    known = Memo(64 << 20)
    for octets in bench.hot:
        known.remember(octets[2:], answer)

    def recall(octets: bytes) -> object:
        key = octets[2:]
        return known.find(key) or known.recall(key)

    def encode(pair: tuple[Query, Response]) -> bytes:
        query, response = pair
        limit = response_limit(query, False)
        return encode_response(query, 0, body=response.body, ancount=1, limit=limit)

    return [
        ("client list, once per client", microseconds(bench.clients.standing, [CLIENT] * QUERIES)),
        ("memo, known", microseconds(recall, bench.hot)),
        ("memo, unknown", microseconds(recall, bench.fresh)),
        ("accept filter: parse_query", microseconds(parse_query, bench.fresh)),
        ("local and special names, none", microseconds(lambda query: local.find(query, covers, True), fresh)),
        (
            "policy: judge_name, no rule",
            microseconds(lambda query: table.judge_name(query.qname, NOW), fresh),
        ),
        (
            "policy: judge_name, blocked",
            microseconds(lambda query: table.judge_name(query.qname, NOW), blocked),
        ),
        (
            "policy_answer",
            microseconds(lambda pair: policy_answer(pair[0], pair[1], limit=512, now=NOW), verdicts),
        ),
        (
            "cache: lookup, hit",
            microseconds(lambda query: cache.lookup(query.qname, 1, False, False, NOW), hot),
        ),
        (
            "cache: lookup, miss",
            microseconds(lambda query: cache.lookup(query.qname, 1, False, False, NOW), fresh),
        ),
        ("cached answer: age_body", microseconds(lambda pair: age_body(pair[1], 3), entries)),
        ("cached answer: encode_response", microseconds(encode, entries)),
        ("memo: remember", microseconds(lambda octets: memo.remember(octets[2:], answer), bench.fresh)),
    ]


def _wholes(bench: Bench) -> list[tuple[str, float]]:
    peer = bench.peer
    plain, remembering = bench.service(0), bench.service(64 << 20)

    def whole(service: Service) -> Callable[[bytes], object]:
        return lambda octets: service.answer_now(octets, peer, NOW)

    for octets in bench.fresh[:100]:
        assert isinstance(plain.answer_now(octets, peer, NOW), Ask)
    return [
        ("answer_now: hot, from the memo", microseconds(whole(remembering), bench.hot)),
        ("answer_now: hot, through every gate", microseconds(whole(plain), bench.hot)),
        ("answer_now: blocked, through every gate", microseconds(whole(plain), bench.blocked)),
        ("answer_now: new name, up to the Ask", microseconds(whole(plain), bench.fresh)),
    ]
