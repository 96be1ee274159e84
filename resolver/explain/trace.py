"""The trace behind a verdict, ready to be shown: for names as the policy tells it, and for addresses.

Knows: how rules and moments are written.  Does not know: how a verdict is reached, how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Any

from resolver.moments import iso_moment
from resolver.policy.image import Tier
from resolver.policy.table import PolicyTable
from resolver.policy.trace import Candidate, Trace
from resolver.policy.verdict import Mode, PolicyRule, RuleForm
from resolver.wire.names import name_to_text


class RuleResult(Enum):
    """What became of a rule, as one word for programs; `TracedRule.why` says it to people."""

    DECIDES = "decides"
    SHADOW = "shadow"
    OUTRANKED = "outranked"
    OTHER_CLIENTS = "other_clients"
    DISABLED = "disabled"
    FUTURE = "future"
    EXPIRED = "expired"
    OUT_OF_REACH = "out_of_reach"


@dataclass(slots=True, frozen=True)
class TracedRule:
    """One rule and what became of it."""

    fate: RuleResult
    why: str
    """Why it won, or what beat it."""
    effect: str
    """`block`, `allow` or `protect`."""
    tier: str
    rule: PolicyRule
    text: str
    """As the blocklist writes it."""
    file: str
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        rule = self.rule
        return {
            "fate": self.fate.value,
            "why": self.why,
            "effect": self.effect,
            "tier": self.tier,
            "rule": self.text,
            "file": self.file,
            "line": self.line,
            "kind": rule.kind,
            "label": rule.id,
            "name": rule.full_name,
            "confidential": rule.is_confidential,
            "orders": list(rule.orders),
            "action": rule.action.value,
            "mode": rule.mode.value,
            "from": iso_moment(rule.starts_at),
            "until": iso_moment(rule.ends_at),
        }


def traced_rules(trace: Trace) -> list[TracedRule]:
    """The rules of a name's trace, the best first."""
    return [
        TracedRule(
            fate=_fate_of(candidate, trace),
            why=candidate.why,
            effect=candidate.effect,
            tier=candidate.tier,
            rule=candidate.rule,
            text=_FORM_SIGNS.get(candidate.form, "") + candidate.owner,
            file=candidate.file,
            line=candidate.line,
        )
        for candidate in trace.candidates
    ]


def trace_address(table: PolicyTable, address: bytes, wall: float) -> list[TracedRule]:
    """Every network around `address`, the smallest first; then those around IPv4 addresses it carries."""
    traced: list[TracedRule] = []
    for class_id, line, network, length in table.networks_around(address):
        state = table.class_state(class_id)
        origin = state.origin
        rule = state.rule
        fate = _state_fate(rule, origin.is_for(table.group), wall)
        why = (
            "it is for other clients"
            if fate is RuleResult.OTHER_CLIENTS
            else f"{fate.value}: its mode or dates"
        )
        if fate is RuleResult.OUTRANKED and not any(rule.fate is RuleResult.DECIDES for rule in traced):
            fate, why = RuleResult.DECIDES, "wins"
        elif fate is RuleResult.OUTRANKED:
            why = "another network decides"
        traced.append(
            TracedRule(
                fate=fate,
                why=why,
                effect=origin.effect.name.lower(),
                tier=Tier(origin.tier).name.lower(),
                rule=rule,
                text=f"{ip_address(network)}/{length}",
                file=origin.file,
                line=line,
            )
        )
    return traced


_FORM_SIGNS = {RuleForm.EXACT: "=", RuleForm.BELOW: "*."}


def form_text(owner: bytes, form: RuleForm | None) -> str:
    """A rule as the blocklist writes it: `x`, `=x`, `*.x`."""
    return (_FORM_SIGNS.get(form, "") if form is not None else "") + name_to_text(owner)


def form_words(form: RuleForm | None) -> str:
    """How far it reaches, in words."""
    match form:
        case RuleForm.EXACT:
            return "exactly this name"
        case RuleForm.BELOW:
            return "only names under it"
        case RuleForm.SUBTREE:
            return "this name and everything under it"
        case None:
            return "answers that point into this network"


def _fate_of(candidate: Candidate, trace: Trace) -> RuleResult:
    if candidate.won:
        return RuleResult.DECIDES
    is_own_name = candidate.owner == trace.name
    if candidate.form is not RuleForm.SUBTREE and (candidate.form is RuleForm.EXACT) is not is_own_name:
        return RuleResult.OUT_OF_REACH
    return _state_fate(candidate.rule, candidate.is_for_group, trace.at)


def state_of(rule: PolicyRule, is_for_group: bool, wall: float) -> str:
    """Why a rule takes no part as of `wall`, in words; empty: it does."""
    match _state_fate(rule, is_for_group, wall):
        case RuleResult.OTHER_CLIENTS:
            return "it is for other clients"
        case RuleResult.DISABLED:
            return "its mode is disabled"
        case RuleResult.EXPIRED:
            return f"not in force since {iso_moment(rule.ends_at)}"
        case RuleResult.FUTURE:
            return f"not in force before {iso_moment(rule.starts_at)}"
        case RuleResult.SHADOW:
            return "its mode is shadow: counted, not enforced"
        case _:
            return ""


def _state_fate(rule: PolicyRule, is_for_group: bool, wall: float) -> RuleResult:
    """What its audience, mode and dates make of a rule; OUTRANKED if they let it take part."""
    if not is_for_group:
        return RuleResult.OTHER_CLIENTS
    if rule.mode is Mode.DISABLED:
        return RuleResult.DISABLED
    if rule.ends_at is not None and rule.ends_at <= wall:
        return RuleResult.EXPIRED
    if rule.starts_at is not None and wall < rule.starts_at:
        return RuleResult.FUTURE
    return RuleResult.SHADOW if rule.mode is Mode.SHADOW else RuleResult.OUTRANKED
