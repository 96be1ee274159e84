"""The trace behind a verdict: every rule that speaks of a name, and what became of it.

Knows: the table's rules and their standing at a time, and words for both.  Does not know: files,
options, how it is printed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import ip_network
from typing import Any

from resolver.policy.image import Effect, RuleClass, Tier
from resolver.policy.table import PolicyTable, reaches
from resolver.policy.verdict import Mode, PolicyRule, RuleForm, RuleMatch, Verdict
from resolver.wire.names import name_to_text


class Fate(Enum):
    """What became of a rule."""

    DECIDES = "decides"
    SHADOW = "counted only (shadow)"
    OUTRANKED = "outranked"
    DISABLED = "disabled"
    FUTURE = "not in force yet"
    EXPIRED = "no longer in force"
    OUT_OF_REACH = "does not reach this name"


@dataclass(slots=True, frozen=True)
class TracedRule:
    """One rule and what became of it."""

    fate: Fate
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
            "fate": self.fate.name.lower(),
            "effect": self.effect,
            "tier": self.tier,
            "rule": self.text,
            "file": self.file,
            "line": self.line,
            "kind": rule.kind,
            "label": rule.label,
            "name": rule.name,
            "action": rule.action.value,
            "mode": rule.mode.value,
            "from": show_moment(rule.starts_at),
            "until": show_moment(rule.ends_at),
        }


def trace_name(table: PolicyTable, qname: bytes, wall: float, verdict: Verdict) -> list[TracedRule]:
    """Every rule at or above `qname`: by tier, within a tier the longest owner first."""
    traced = []
    for ref in table.applying(qname):
        origin = table.standing(ref.class_id).origin
        if origin.effect is Effect.MARKER:
            continue
        owner = qname[ref.owner_offset :]
        if reaches(origin.form, ref.owner_offset):
            fate = _fate(origin, owner, ref.line, wall, verdict)
        else:
            fate = Fate.OUT_OF_REACH
        traced.append((origin.tier, _traced(fate, origin, form_text(owner, origin.form), ref.line)))
    traced.sort(key=lambda pair: pair[0])
    return [rule for _, rule in traced]


def trace_address(table: PolicyTable, address: bytes, wall: float) -> list[TracedRule]:
    """Every network around `address`, the one that decides first."""
    traced: list[TracedRule] = []
    verdict = Verdict()
    for class_id, line, network in table.addresses_at(address):
        standing = table.standing(class_id)
        fate = _fate(standing.origin, network, line, wall, verdict)
        if standing.is_enforced and not any(rule.fate is Fate.DECIDES for rule in traced):
            fate = Fate.DECIDES
        elif standing.is_counted and not standing.is_enforced:
            fate = Fate.SHADOW
        # The prefix length is the rule's own business; the network's first address names it.
        text = str(ip_network(network)).rpartition("/")[0] + "/…"
        traced.append(_traced(fate, standing.origin, text, line))
    return traced


def form_text(owner: bytes, form: RuleForm | None) -> str:
    """A rule as the blocklist writes it: `x`, `=x`, `*.x`."""
    prefix = {RuleForm.EXACT: "=", RuleForm.BELOW: "*."}.get(form, "") if form else ""
    return prefix + name_to_text(owner)


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


def show_moment(at: float | None) -> str | None:
    """Unix seconds as `2026-01-01T00:00:00Z`; None stays None."""
    if at is None or math.isinf(at):
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _traced(fate: Fate, origin: RuleClass, text: str, line: int) -> TracedRule:
    return TracedRule(
        fate=fate,
        effect=origin.effect.name.lower(),
        tier=Tier(origin.tier).name.lower(),
        rule=origin.rule,
        text=text,
        file=origin.file,
        line=line,
    )


def _fate(origin: RuleClass, owner: bytes, line: int, wall: float, verdict: Verdict) -> Fate:
    rule = origin.rule
    if rule.mode is Mode.DISABLED:
        return Fate.DISABLED
    if rule.ends_at is not None and rule.ends_at <= wall:
        return Fate.EXPIRED
    if rule.starts_at is not None and wall < rule.starts_at:
        return Fate.FUTURE
    if _is_match(verdict.match, origin, owner, line):
        return Fate.DECIDES
    if _is_match(verdict.shadow, origin, owner, line):
        return Fate.SHADOW
    return Fate.OUTRANKED


def _is_match(match: RuleMatch | None, origin: RuleClass, owner: bytes, line: int) -> bool:
    return (
        match is not None
        and match.rule is origin.rule
        and match.form is origin.form
        and match.owner == owner
        and match.line == line
        and match.file == origin.file
    )
