"""An audit without sockets and without waiting: servers are functions, time is a number.

Knows: how to play a campaign on a fake clock, how this server and its upstream would answer.
Does not know: what an audit should find.
A server is a `Script`: it gets a listener's target and a query's octets, and gives what comes back, each with the
seconds until it comes; None closes the stream.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from resolver.audit.auditor import Basis, Manner, audit
from resolver.audit.campaign import Campaign, Outcome
from resolver.audit.plan import Probe
from resolver.audit.results import AuditResult, NameResult
from resolver.audit.subjects import Ask, Wanted
from resolver.audit.targets import ServerToAsk, Target, Transport, own_server
from resolver.cache import ResponseCache
from resolver.config.settings import Settings
from resolver.explain.deciding import _StandingClock, _Unasked
from resolver.flow.clients import Clients
from resolver.flow.outcome import Drop, Respond
from resolver.flow.peer import Peer
from resolver.flow.peer import Transport as PeerTransport
from resolver.flow.service import Service
from resolver.local import LocalNames
from resolver.policy.answer import redirected_answer
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiler import compile_in_process
from resolver.server.parts import make_plan
from resolver.wire.encode import encode_response, response_limit
from resolver.wire.names import name_from_text
from resolver.wire.numbers import Qtype
from resolver.wire.query import Query, parse_query
from resolver.wire.records import QNAME_POINTER, record, soa_record

WALL = 1_700_000_000.0
Replies = list[tuple[float, bytes | None]]
Script = Callable[[Target, bytes], Replies]
RTT_S = 0.002

REAL_A = ip_address("198.51.100.10").packed
REAL_AAAA = ip_address("2001:db8:ffff::10").packed


def compile_table(directory: Path, text: str, *, wall: float = WALL, **files: str) -> PolicyTable:
    """The table of a blocklist's text and the list files beside it (`name_txt=...` is `name.txt`)."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "blocklist.yaml"
    path.write_text(text)
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    image, problems = compile_in_process(path, directory)
    assert image is not None, problems
    return open_table(image, wall, wall, 1)


def query_of(octets: bytes) -> Query:
    """A query that the audit has sent."""
    query = parse_query(octets)
    assert isinstance(query, Query)
    return query


def is_spelt_in_lower_case(octets: bytes) -> bool:
    """Whether the name of a query has no letter in upper case."""
    name = octets[12 : query_of(octets).question_end - 4]
    return name == name.lower()


def upstream_answer(octets: bytes) -> bytes:
    """What the world says: every name exists, with an address and a text of its own."""
    query = query_of(octets)
    rdata = {
        Qtype.A: REAL_A,
        Qtype.AAAA: REAL_AAAA,
        Qtype.TXT: b"\x05there",
        Qtype.MX: b"\x00\x0a" + name_from_text("mail.example.net"),
        Qtype.NS: name_from_text("ns.example.net"),
        Qtype.HTTPS: b"\x00\x01\x00",
        Qtype.SVCB: b"\x00\x01\x00",
        Qtype.ANY: b"\x05there",
    }.get(Qtype(query.qtype))
    if rdata is None:
        soa = soa_record(
            name_from_text("example"), name_from_text("ns.example.net"), b"\0", 1, 1, 1, 1, 60, 60
        )
        return encode_response(query, 0, body=soa, nscount=1, limit=1232)
    rtype = Qtype.TXT if query.qtype == Qtype.ANY else query.qtype
    return encode_response(query, 0, body=record(QNAME_POINTER, rtype, 60, rdata), ancount=1, limit=1232)


def server_of(table: PolicyTable) -> Script:
    """This server with a policy, its upstream being `upstream_answer`."""
    service = Service(
        policy=Policy(table),
        cache=ResponseCache(0),
        forwarder=_Unasked(make_plan(Settings())),
        local=LocalNames(),
        clock=_StandingClock(WALL),
        clients=Clients(Settings().clients.allow),
        memo_octets_max=0,
    )
    peers = {
        Transport.UDP: Peer(ip_address("127.0.0.1").packed, PeerTransport.UDP),
        Transport.TCP: Peer(ip_address("127.0.0.1").packed, PeerTransport.TCP),
    }

    def answer(target: Target, octets: bytes) -> Replies:
        outcome = service.answer_now(octets, peers[target.transport], WALL)
        if isinstance(outcome, Respond):
            return [(RTT_S, octets[:2] + outcome.tail)]
        if isinstance(outcome, Drop):
            return [(RTT_S, None)] if outcome.close else []
        if outcome.redirect is None:
            return [(RTT_S, upstream_answer(octets))]
        query = query_of(octets)
        limit = response_limit(query, target.transport is Transport.TCP)
        addresses = [REAL_A if query.qtype == Qtype.A else REAL_AAAA]
        sent = redirected_answer(
            query,
            outcome.redirect.verdict,
            limit=limit,
            now=WALL,
            kept=None,
            addresses=addresses,
            ttl_s=60,
            rcode=0,
        )
        return [(RTT_S, sent)]

    return answer


class Play:
    """Runs campaigns on a fake clock against scripts, one for each server's first address."""

    def __init__(self, scripts: dict[str, Script]) -> None:
        self._scripts = scripts
        self.seconds = 0.0
        """How long the longest campaign took, all of them one after the other."""

    async def __call__(
        self, target: Target, campaign: Campaign[Probe], on_outcome: Callable[[Outcome[Probe]], None]
    ) -> None:
        """See `auditor.Run`."""
        script = self._scripts.get(target.place) or self._scripts["*"]
        now = 0.0
        events: list[tuple[float, int, int, bytes | None, int | None]] = []
        count = 0
        while True:
            sends, wake_at = campaign.due(now)
            for send in sends:
                for delay_s, octets in script(target, send.octets):
                    count += 1
                    lonely = send.id if send.is_lonely else None
                    heapq.heappush(events, (now + delay_s, count, send.id, octets, lonely))
            while campaign.outcomes:
                on_outcome(campaign.outcomes.popleft())
            if campaign.is_over:
                self.seconds = max(self.seconds, now)
                return
            if events and events[0][0] <= wake_at:
                now, _, query_id, octets, lonely = heapq.heappop(events)
                if octets is None:
                    from resolver.audit.results import Kind

                    campaign.on_failure(query_id, Kind.CLOSED, now)
                else:
                    campaign.on_message(octets, now, lonely)
            else:
                now = wake_at


OWN = own_server({"dns": [("127.0.0.1", 5335), ("::1", 5335)]})
"""This server, on two addresses."""


def run_audit(
    table: PolicyTable,
    script: Script | dict[str, Script],
    *,
    servers: Sequence[ServerToAsk] = (OWN,),
    wanted: Wanted | None = None,
    manner: Manner | None = None,
    asks: tuple[Ask, ...] = (),
    play: Play | None = None,
    **basis: object,
) -> AuditResult:
    """A whole audit against a script, or one script for each address."""
    play = play or Play(script if isinstance(script, dict) else {"*": script})
    base = replace(Basis(table, asks), **basis)  # type: ignore[arg-type]
    return asyncio.run(
        audit(base, wanted or Wanted(seed=7), servers, manner or Manner(seed=7), lambda: WALL, play)
    )


def named(result: AuditResult, written: str, kind: str = "") -> NameResult:
    """The result of one name as a blocklist has it."""
    found = [name for name in result.names if name.written == written and (not kind or name.kind == kind)]
    assert len(found) == 1, [(name.written, name.kind) for name in result.names]
    return found[0]


def findings(result: AuditResult) -> dict[str, tuple[str, set[str]]]:
    """Name -> status and kinds of its faults, for every finding."""
    from resolver.audit.results import is_finding

    return {
        name.written: (name.status.value, {fault.kind.value for fault in name.gravest.faults})
        for name in result.names
        if is_finding(name)
    }
