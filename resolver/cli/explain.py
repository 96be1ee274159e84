"""`explain`: what would be decided about a name, and the whole trace of why.

Knows: how to load a policy without a server and how to say a verdict in words.  Does not know: how it
is reached; the service itself answers the imagined query, so what is shown is what a client gets.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeVar

from resolver.cache import ResponseCache
from resolver.cli.explain_text import print_explanation
from resolver.cli.explanation import Explanation
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, policy_path
from resolver.cli.moments import iso_moment, moment_or, zone_of
from resolver.cli.process import scratch_folder
from resolver.cli.reading import qtype_from_text, read_reply
from resolver.cli.trace import RuleResult, trace_address, traced_rules
from resolver.clock import TimerHandle
from resolver.config.settings import Settings
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Done
from resolver.forwarding.plan import ForwardPlan
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import PolicyRule
from resolver.problems import Problem
from resolver.publishing.compiled import RECORDS_SUFFIX
from resolver.publishing.compiler import compile_in_process
from resolver.publishing.register_store import Entry, open_store
from resolver.server.parts import make_local_names, make_plan
from resolver.wire.encode import encode_query
from resolver.wire.message import type_text
from resolver.wire.names import name_from_text, name_to_text
from resolver.wire.question import Question

Read = TypeVar("Read")

RECORDS_SHOWN_MAX = 50
"""Records of registers that are shown of one name."""
DEFAULT_CLIENT = "127.0.0.1"


def explain_name(
    name: str,
    *,
    qtype: str,
    client: str | None,
    at: str | None,
    config: Path | None,
    blocklist: Path | None,
    as_json: bool,
) -> int:
    """Explain `name`, print it; the exit code."""
    try:
        path, settings = policy_path(config, blocklist)
        zone = zone_of(path)
        wall = moment_or(time.time(), at, zone)
        explanation = explain(name, qtype, client or DEFAULT_CLIENT, wall, zone, path, settings)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    if as_json:
        print(json.dumps(explanation.as_json(), indent=2))
    else:
        print_explanation(explanation)
    return EXIT_FINE


def explain(
    name: str, qtype_text: str, client: str, wall: float, zone: tzinfo, blocklist: Path, settings: Settings
) -> Explanation:
    """Decide about `name` as of `wall` (Unix seconds); dates are shown in `zone`.  Raises BadInput."""
    with scratch_folder() as directory:
        return Explainer(qtype_text, client, wall, zone, blocklist, settings, directory).explain(name)


class Explainer:
    """One policy at one moment, for any number of names."""

    def __init__(
        self,
        qtype_text: str,
        client: str,
        wall: float,
        zone: tzinfo,
        blocklist: Path,
        settings: Settings,
        directory: Path,
    ) -> None:
        """Load the policy; its image goes into `directory`.  Raises BadInput."""
        self._qtype = _argument("--type", qtype_from_text, qtype_text)
        self._client = client
        self._peer = Peer(_argument("--client", ipaddress.ip_address, client).packed, Transport.UDP)
        self._wall = wall
        self._zone = zone
        self._blocklist = blocklist
        self._settings = settings
        self._directory = directory
        self._table = _load(blocklist, directory, settings, wall)
        self._orders = {key: _order_json(order) for key, order in self._table.orders.items()}
        self._plan = make_plan(settings)
        self._is_allowed = Clients(settings.clients.allow).standing(self._peer.address).is_allowed

    def explain(self, name: str) -> Explanation:
        """Decide about one name, or one address.  Raises BadInput."""
        address = _address_or_none(name)
        if address is not None:
            return self._of_address(name, address)
        qname = _argument("NAME", name_from_text, name)
        table, qtype, wall = self._table, self._qtype, self._wall
        trace = table.trace(qname, wall)
        outcome = _answer(table, self._settings, self._plan, self._peer, qname, qtype, wall)
        return Explanation(
            asked=name,
            name=name_to_text(qname),
            qtype=type_text(qtype),
            client=self._client,
            is_client_allowed=self._is_allowed,
            at=wall,
            verdict=trace.verdict,
            trace=traced_rules(trace),
            reply=read_reply(b"\0\0" + outcome.tail) if isinstance(outcome, Respond) else None,
            source=_source(outcome),
            upstreams=tuple(upstream.name for upstream in self._plan.set_for(qname).upstreams),
            orders=self._orders,
            cited=_cited(table, trace.verdict.match.rule if trace.verdict.match else None),
            blocklist=str(self._blocklist),
            zone=self._zone,
            records=_records_of(self._directory, qname),
            nxdomain_why=trace.nxdomain_why,
        )

    def _of_address(self, name: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Explanation:
        traced = trace_address(self._table, address.packed, self._wall)
        deciding = next((one.rule for one in traced if one.fate is RuleResult.DECIDES), None)
        return Explanation(
            asked=name,
            name=str(address),
            qtype=type_text(self._qtype),
            client=self._client,
            is_client_allowed=self._is_allowed,
            at=self._wall,
            verdict=None,
            trace=traced,
            reply=None,
            source="upstream",
            upstreams=(),
            orders=self._orders,
            cited=_cited(self._table, deciding),
            blocklist=str(self._blocklist),
            zone=self._zone,
            records=(),
            nxdomain_why="",
        )


def _cited(table: PolicyTable, rule: PolicyRule | None) -> tuple[str, ...]:
    """Every order that the source of a rule cites, those included that are not in force now."""
    if rule is None:
        return ()
    sources = table.exchanges if rule.kind == "exchange" else table.lists
    return next((source.orders for source in sources if source.id == rule.id), rule.orders)


def _order_json(order: dict[str, Any]) -> dict[str, Any]:
    """An order as the image has it, with its moments in ISO 8601."""
    return {**order, **{key: iso_moment(order.get(key)) for key in ("from", "until", "received", "due")}}


def _load(blocklist: Path, directory: Path, settings: Settings, wall: float) -> PolicyTable:
    # With the copies of downloaded lists, and with what was approved.
    image, problems = compile_in_process(blocklist, directory, state_dir=settings.state_dir)
    if image is None:
        raise BadInput(problems)
    # Its monotonic clock is wall time: nothing else runs by it here.  What prefixes servers find is unknown.
    return open_table(image, wall, wall, 1, settings.upstreams.nat64_prefixes or ())


def _records_of(directory: Path, qname: bytes) -> tuple[Entry, ...]:
    """What the registers say that were just compiled in `directory`."""
    for path in directory.glob(f"*{RECORDS_SUFFIX}"):
        with contextlib.suppress(sqlite3.Error, OSError), open_store(path) as store:
            return tuple(store.of_name(qname, RECORDS_SHOWN_MAX))
    return ()


def _answer(
    table: PolicyTable,
    settings: Settings,
    plan: ForwardPlan,
    peer: Peer,
    qname: bytes,
    qtype: int,
    wall: float,
) -> Respond | Drop | Ask:
    """What the service says to the query, by nothing but rules: an empty cache, no network."""
    service = Service(
        policy=Policy(table),
        cache=ResponseCache(0),
        forwarder=_Unasked(plan),
        local=make_local_names(settings),
        clock=_StandingClock(wall),
        clients=Clients(settings.clients.allow),
        memo_octets_max=0,
    )
    query = encode_query(qname, qtype, id=0, dnssec_ok=False, checking_disabled=False, edns=True)
    return service.answer_now(query, peer, wall)


class _StandingClock:
    """Time stands still: the moment is the one that was asked about."""

    def __init__(self, moment: float) -> None:
        self._moment = moment

    def now(self) -> float:
        return self._moment

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        raise AssertionError("nothing waits while explaining")


class _Unasked:
    """A forwarder that knows what `forward` covers, and is never asked."""

    def __init__(self, plan: ForwardPlan) -> None:
        self.covers = plan.covers

    def ask(self, question: Question, done: Done) -> None:
        raise AssertionError("nobody is asked while explaining")


def _source(outcome: Respond | Drop | Ask) -> str:
    if isinstance(outcome, Ask):
        return Source.UPSTREAM.value
    return outcome.source.value if isinstance(outcome, Respond) else "dropped"


def _address_or_none(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _argument(option: str, read: Callable[[str], Read], text: str) -> Read:
    try:
        return read(text)
    except ValueError as error:
        raise BadInput([Problem(option, 0, str(error))]) from None
