"""Decides about one name as the server would, and gathers why: the explanation.

Knows: which parts of a server decide, and how to ask them without a network.  Does not know: where the policy
comes from, who reads the explanation.
Theory: the service itself answers the imagined query, so what is shown is what a client gets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from resolver.cache import ResponseCache
from resolver.clock import TimerHandle
from resolver.explain.explanation import Explanation, PausedNote, Recorded
from resolver.explain.reading import read_reply
from resolver.explain.trace import RuleResult, TracedRule, trace_address, traced_rules
from resolver.flow.clients import Clients
from resolver.flow.outcome import Ask, Drop, Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.flow.service import Service
from resolver.forwarding.forwarder import Done
from resolver.forwarding.plan import ForwardPlan
from resolver.local import LocalNames
from resolver.moments import iso_moment
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import PolicyRule
from resolver.wire.encode import encode_query
from resolver.wire.message import type_text
from resolver.wire.names import name_to_text
from resolver.wire.question import Question


@dataclass(slots=True, frozen=True)
class Decider:
    """A policy at one moment, and what else decides."""

    table: PolicyTable
    """Its monotonic clock is wall time."""
    wall: float
    """Unix seconds."""
    plan: ForwardPlan
    local: LocalNames
    clients: Clients
    blocklist: str
    zone: tzinfo
    """The time zone of the blocklist's dates."""
    paused: PausedNote | None = None
    """The pause that the table was made for, if one is in force."""

    def of_name(
        self, asked: str, qname: bytes, qtype: int, client: str, records: tuple[Recorded, ...] = ()
    ) -> Explanation:
        """Decide about a name (wire form, lower case) for a client's address; `asked`: as typed."""
        peer = self._peer(client)
        trace = self.table.trace(qname, self.wall)
        outcome = self._answer(peer, qname, qtype)
        traced = traced_rules(trace)
        return Explanation(
            asked=asked,
            name=name_to_text(qname),
            qtype=type_text(qtype),
            client=client,
            is_client_allowed=peer.standing.is_allowed,
            at=self.wall,
            verdict=trace.verdict,
            trace=traced,
            reply=read_reply(b"\0\0" + outcome.tail) if isinstance(outcome, Respond) else None,
            source=_source(outcome),
            upstreams=tuple(upstream.name for upstream in self.plan.set_for(qname).upstreams),
            orders=self._orders(traced),
            cited=self._cited(trace.verdict.match.rule if trace.verdict.match else None),
            blocklist=self.blocklist,
            zone=self.zone,
            records=records,
            nxdomain_why=trace.nxdomain_why,
            paused=self.paused,
        )

    def of_address(
        self, asked: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, qtype: int, client: str
    ) -> Explanation:
        """Decide about answers that hold an address."""
        traced = trace_address(self.table, address.packed, self.wall)
        deciding = next((one.rule for one in traced if one.fate is RuleResult.DECIDES), None)
        return Explanation(
            asked=asked,
            name=str(address),
            qtype=type_text(qtype),
            client=client,
            is_client_allowed=self._peer(client).standing.is_allowed,
            at=self.wall,
            verdict=None,
            trace=traced,
            reply=None,
            source=Source.UPSTREAM.value,
            upstreams=(),
            orders=self._orders(traced),
            cited=self._cited(deciding),
            blocklist=self.blocklist,
            zone=self.zone,
            records=(),
            nxdomain_why="",
            paused=self.paused,
        )

    def _peer(self, client: str) -> Peer:
        peer = Peer(ipaddress.ip_address(client).packed, Transport.UDP)
        peer.standing = self.clients.standing(peer.address)
        return peer

    def _orders(self, traced: list[TracedRule]) -> dict[str, dict[str, Any]]:
        """Those that the sources of traced rules cite: the policy may have tens of thousands."""
        keys = dict.fromkeys(key for one in traced for key in self._cited(one.rule))
        orders = self.table.orders
        return {key: _order_json(orders[key]) for key in keys if key in orders}

    def _cited(self, rule: PolicyRule | None) -> tuple[str, ...]:
        """Every order that the source of a rule cites, those included that are not in force now."""
        if rule is None:
            return ()
        sources = self.table.exchanges if rule.kind == "exchange" else self.table.lists
        return next((source.orders for source in sources if source.id == rule.id), rule.orders)

    def _answer(self, peer: Peer, qname: bytes, qtype: int) -> Respond | Drop | Ask:
        """What the service says to the query, by nothing but rules: an empty cache, no network."""
        service = Service(
            policy=Policy(self.table),
            cache=ResponseCache(0),
            forwarder=_Unasked(self.plan),
            local=self.local,
            clock=_StandingClock(self.wall),
            clients=self.clients,
            memo_octets_max=0,
        )
        query = encode_query(qname, qtype, id=0, dnssec_ok=False, checking_disabled=False, edns=True)
        return service.answer_now(query, peer, self.wall)


def address_or_none(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is; None: it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


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


def _order_json(order: dict[str, Any]) -> dict[str, Any]:
    """An order as the image has it, with its moments in ISO 8601."""
    return {**order, **{key: iso_moment(order.get(key)) for key in ("from", "until", "received", "due")}}


def _source(outcome: Respond | Drop | Ask) -> str:
    if isinstance(outcome, Ask):
        return Source.UPSTREAM.value
    return outcome.source.value if isinstance(outcome, Respond) else "dropped"
