"""Says why a name is judged as it is: every rule that speaks of it, and what became of each.

Knows: how the table decides, in words.  Does not know: questions, the server; no query comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resolver.policy.image import FORMS, Effect, Tier
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule, RuleForm, Verdict
from resolver.wire.names import name_to_text

if TYPE_CHECKING:
    from resolver.policy.table import Applying, PolicyTable

_TIER_WORDS = {Tier.PROTECTED: "protected", Tier.EXCHANGES: "exchanges", Tier.LISTS: "lists"}
_EFFECT_WORDS = {Effect.PROTECT: "protect", Effect.ALLOW: "allow", Effect.BLOCK: "block"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One rule at or above the name."""

    rule: PolicyRule
    tier: str
    """`protected`, `exchanges` or `lists`."""
    effect: str
    """`protect`, `allow` or `block`."""
    form: RuleForm
    owner: str
    """As text, without the form's sign."""
    file: str
    line: int
    orders: tuple[dict[str, Any], ...]
    """The orders it cites, whole."""
    is_for_group: bool
    """Whether it is for the group of clients that the table is of."""
    is_enforced: bool
    """In force for them at that time, whether or not it reaches the name."""
    won: bool
    why: str
    """Why it won, or what beat it, in words."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything there is to say of one name at one time."""

    name: str
    at: float
    """Wall time, Unix seconds."""
    candidates: tuple[Candidate, ...]
    """The best first, by tier and preference."""
    verdict: Verdict
    """As of `at`; its `valid_until` is in Unix seconds here."""
    nxdomain_why: str
    """Why NXDOMAIN may be said of it or not; empty where the question does not arise."""


def trace_name(table: PolicyTable, name: bytes, at: float) -> Trace:
    """Explain `name` by a table made for `at` whose monotonic clock is wall time."""
    verdict = table.judge_name(name, at)
    applying = table.applying(name)
    rules = [ref for ref in applying if table.class_state(ref.class_id).origin.effect is not Effect.MARKER]
    rules.sort(key=lambda ref: _rank(table, ref))
    winner = None
    for ref in rules:
        if _is_match(table, ref, name, verdict):
            winner = ref
            break
    candidates = tuple(_candidate(table, ref, name, at, winner, verdict) for ref in rules)
    return Trace(name_to_text(name), at, candidates, verdict, _nxdomain_why(table, applying, verdict))


def _rank(table: PolicyTable, ref: Applying) -> tuple[int, int, int, int, int, int]:
    origin = table.class_state(ref.class_id).origin
    form = FORMS.index(origin.form)
    return (origin.tier, ref.owner_offset, origin.effect, form, origin.file_index, ref.line)


def _is_match(table: PolicyTable, ref: Applying, name: bytes, verdict: Verdict) -> bool:
    match = verdict.match
    origin, rule, *_ = table.class_state(ref.class_id)
    return (
        match is not None
        and match.rule is rule
        and match.form is origin.form
        and match.line == ref.line
        and match.owner == name[ref.owner_offset :]
    )


def _candidate(
    table: PolicyTable, ref: Applying, name: bytes, at: float, winner: Applying | None, verdict: Verdict
) -> Candidate:
    state = table.class_state(ref.class_id)
    origin, rule = state.origin, state.rule
    assert origin.form is not None
    shadow = verdict.shadow
    would_win = (
        shadow is not None
        and shadow.rule is rule
        and shadow.form is origin.form
        and shadow.line == ref.line
        and not state.is_enforced
    )
    owner = name_to_text(name[ref.owner_offset :])
    return Candidate(
        rule=rule,
        tier=_TIER_WORDS[origin.tier],
        effect=_EFFECT_WORDS[origin.effect],
        form=origin.form,
        owner=owner,
        file=origin.file,
        line=ref.line,
        orders=tuple(table.orders[order] for order in rule.orders if order in table.orders),
        is_for_group=origin.is_for(table.group),
        is_enforced=state.is_enforced,
        won=ref is winner,
        why="wins" if ref is winner else _why_not(table, ref, owner, at, winner, would_win),
    )


def _why_not(
    table: PolicyTable, ref: Applying, owner: str, at: float, winner: Applying | None, would_win: bool
) -> str:
    state = table.class_state(ref.class_id)
    origin, rule = state.origin, state.rule
    if origin.form is RuleForm.EXACT and ref.owner_offset:
        return f"reaches only {owner} itself"
    if origin.form is RuleForm.BELOW and not ref.owner_offset:
        return f"reaches only names below {owner}"
    if not origin.is_for(table.group):
        return "it is for other clients"
    if rule.mode is Mode.DISABLED:
        return "its mode is disabled"
    if rule.starts_at is not None and at < rule.starts_at:
        return f"not in force before {_date(rule.starts_at)}"
    if rule.ends_at is not None and at >= rule.ends_at:
        return f"not in force since {_date(rule.ends_at)}"
    if rule.mode is Mode.SHADOW:
        outcome = "would win" if would_win else "would not win"
        return f"its mode is shadow: counted, not enforced ({outcome} if it were enforced)"
    assert winner is not None
    return _what_beats(table, ref, winner)


def _what_beats(table: PolicyTable, ref: Applying, winner: Applying) -> str:
    origin = table.class_state(ref.class_id).origin
    better = table.class_state(winner.class_id).origin
    place = f"{better.file}:{winner.line}"
    if better.tier != origin.tier:
        return f"{place} stands in a stronger tier ({_TIER_WORDS[better.tier]})"
    if winner.owner_offset != ref.owner_offset:
        return f"{place} has a longer owner name"
    if better.effect != origin.effect:
        return f"{place} allows the same owner name, and allow beats block"
    if better.form is not origin.form:
        return f"{place} has the narrower form of the same owner name"
    return f"{place} says the same and comes first"


def _nxdomain_why(table: PolicyTable, applying: list[Applying], verdict: Verdict) -> str:
    if verdict.action is not PolicyAction.NXDOMAIN:
        return ""
    if verdict.nxdomain_ok:
        return "NXDOMAIN: every name below is blocked too"
    for ref in applying:
        state = table.class_state(ref.class_id)
        if state.origin.effect is Effect.MARKER and ref.owner_offset == 0 and state.is_enforced:
            kind = _TIER_WORDS[state.origin.tier]
            return f"NODATA: an exception stands below ({kind}, {state.origin.file}), so the name must exist"
    return "NODATA: names below are not blocked, so the name must exist"


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M UTC")
