"""Everything there is to say about one question, and its form for programs.

Knows: what an explanation holds.  Does not know: how it was found, which words people get.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from typing import Any, Final, Protocol

from resolver.explain.near_rules import NearRule
from resolver.explain.reading import ShownReply
from resolver.explain.trace import RuleResult, TracedRule, form_text
from resolver.moments import iso_moment
from resolver.policy.verdict import CONFIDENTIAL, PolicyRule, RuleMatch, Verdict
from resolver.wire.idn import unicode_name

WHY_HIDDEN = "confidential"
"""Why a rule decides or not, where even that would say too much."""

_ACTING: Final = (RuleResult.DECIDES, RuleResult.SHADOW, RuleResult.OUTRANKED)
"""What may be told of a confidential rule: that it is there, while it is in force."""
_NOTHING_TOLD: Final[dict[str, Any]] = {
    "label": CONFIDENTIAL,
    "name": CONFIDENTIAL,
    "concealed": None,
    "orders": (),
    "category": "",
    "starts_at": None,
    "ends_at": None,
    "reason": "",
    "ticket": "",
}
_LISTS_FILE: Final = re.compile(r" \(lists, [^)]*\)")


class Recorded(Protocol):
    """What a register says of a name."""

    @property
    def list(self) -> str:
        """The list that the register's file is."""

    @property
    def line(self) -> int:
        """Of that file."""

    @property
    def id(self) -> str:
        """The register's own."""

    @property
    def written(self) -> str:
        """What is asked for, as written."""

    @property
    def reason(self) -> str:
        """Why it is no rule; empty: it is one."""

    @property
    def provenance(self) -> str:
        """The decision in words."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""


@dataclass(slots=True, frozen=True)
class PausedNote:
    """Filtering is paused at the moment that is explained."""

    until: str
    """ISO 8601."""
    who: str
    reason: str
    including_orders: bool
    """What authorities ordered is not enforced either."""


@dataclass(slots=True, frozen=True)
class Explanation:
    """Everything there is to say; what prints it only chooses words."""

    asked: str
    """As typed."""
    name: str
    """Normalised; for an address, the address."""
    qtype: str
    client: str
    is_client_allowed: bool
    at: float
    """Unix seconds."""
    verdict: Verdict | None
    """None: the question was for an address, not a name."""
    trace: list[TracedRule]
    reply: ShownReply | None
    """What the client would see; None: nothing, or what the upstreams say."""
    source: str
    """`policy`, `local`, `upstream` or `dropped`."""
    upstreams: tuple[str, ...]
    """Who would be asked."""
    orders: dict[str, dict[str, Any]]
    """What the exchanges and lists of the trace cite, and no others: there may be tens of thousands."""
    cited: tuple[str, ...]
    """Every order that the deciding rule's exchange or list cites, in force or not."""
    blocklist: str
    zone: tzinfo
    """The time zone of the blocklist's dates."""
    records: Sequence[Recorded]
    """What registers on the blocklist's lists say of the name, and of names above it."""
    nxdomain_why: str
    """Why NXDOMAIN may be the answer, or not; empty where there is no question of it."""
    near: tuple[NearRule, ...] | None = None
    """The nearest rules that did not decide; None: nobody asked for them."""
    paused: PausedNote | None = None
    """None: filtering is not paused."""

    @property
    def decider(self) -> PolicyRule | None:
        """The rule that decided."""
        return self.verdict.match.rule if self.verdict is not None and self.verdict.match else None

    def for_others(self) -> Explanation:
        """The same for readers outside: nothing of what is confidential but that it is, where it acts."""
        secret = {key: order for key, order in self.orders.items() if order.get("confidential")}
        # A rule that cites such an order besides others changes on its days.
        days = {order.get(key) for order in secret.values() for key in ("from", "until")} - {None}
        # Why there is an exception from what is confidential would say what it is.
        hides = any(one.rule.is_confidential for one in self.trace)
        is_secret = any(one.rule.is_confidential and one.fate is RuleResult.DECIDES for one in self.trace)

        def shown(moment: float | None) -> float | None:
            return None if iso_moment(moment) in days else moment

        def told(rule: PolicyRule) -> PolicyRule:
            if rule.is_confidential:
                return replace(rule, **_NOTHING_TOLD)
            orders = tuple(order for order in rule.orders if order not in secret)
            rule = replace(rule, orders=orders, starts_at=shown(rule.starts_at), ends_at=shown(rule.ends_at))
            return replace(rule, reason="", ticket="") if hides else rule

        def told_match(match: RuleMatch | None) -> RuleMatch | None:
            if match is None or not match.rule.is_confidential:
                return match and replace(match, rule=told(match.rule))
            return replace(match, rule=told(match.rule), file="", line=0)

        def told_trace(one: TracedRule) -> TracedRule:
            if one.rule.is_confidential:
                return replace(one, rule=told(one.rule), why=WHY_HIDDEN, file="", line=0)
            # What beat it is named there by file and line.
            is_beaten = is_secret and one.fate is RuleResult.OUTRANKED
            return replace(one, rule=told(one.rule), why=WHY_HIDDEN if is_beaten else one.why)

        verdict = self.verdict
        if verdict is not None:
            match, shadow = told_match(verdict.match), told_match(verdict.shadow)
            verdict = replace(verdict, match=match, shadow=shadow)
        return replace(
            self,
            verdict=verdict,
            trace=[
                told_trace(one) for one in self.trace if not one.rule.is_confidential or one.fate in _ACTING
            ],
            # The public orders of what is concealed would name it.
            orders={key: order for key, order in self.orders.items() if not is_secret and key not in secret},
            cited=tuple(
                key for key in self.cited if not is_secret and key not in secret and key in self.orders
            ),
            # The file may be that of a concealed list.
            nxdomain_why=_LISTS_FILE.sub("", self.nxdomain_why),
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        verdict, rule = self.verdict, self.decider
        match = verdict.match if verdict is not None else None
        shadow = verdict.shadow if verdict is not None else None
        near = {} if self.near is None else {"why_not": [rule.as_json() for rule in self.near]}
        return {
            "asked": self.asked,
            "name": self.name,
            "unicode": unicode_name(self.name),
            "type": self.qtype,
            "at": iso_moment(self.at),
            "blocklist": self.blocklist,
            "client": {"address": self.client, "allowed": self.is_client_allowed},
            "paused": None if self.paused is None else asdict(self.paused),
            "decision": {
                "blocked": verdict is not None and verdict.is_blocked,
                "action": verdict.action.value if verdict is not None else None,
                "rule": form_text(match.owner, match.form) if match is not None else None,
                "file": match.file if match is not None else None,
                "line": match.line if match is not None else None,
                "kind": rule.kind if rule is not None else None,
                "label": rule.id if rule is not None else None,
                "name": rule.full_name if rule is not None else None,
                "confidential": rule is not None and rule.is_confidential,
                "category": rule.category or None if rule is not None else None,
                "orders": {
                    order: {
                        **self.orders.get(order, {}),
                        "in_force": rule is not None and order in rule.orders,
                    }
                    for order in self.cited
                },
                "from": iso_moment(rule.starts_at) if rule is not None else None,
                "until": iso_moment(rule.ends_at) if rule is not None else None,
                "reason": (rule.reason or None) if rule is not None else None,
                "ticket": (rule.ticket or None) if rule is not None else None,
                "nxdomain": self.nxdomain_why or None,
                "shadow": shadow.rule.id if shadow is not None else None,
            },
            "records": [entry.as_json() for entry in self.records],
            "trace": [traced.as_json() for traced in self.trace],
            "client_sees": {
                "source": self.source,
                "upstreams": list(self.upstreams),
                "reply": self.reply.as_json() if self.reply is not None else None,
            },
            **near,
        }
