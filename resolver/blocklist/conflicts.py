"""Rules against each other, and against what must not be blocked.

Knows: duplicates, overlapping dates, protected names, public suffixes.  Does not know: YAML.
Theory: everything is judged on wire-form names in one pass after reading, because an exchange
further down may clash with one above, and `protected` may stand anywhere in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from resolver.blocklist.rules import BUILT_IN, AddressRule, NameRule
from resolver.blocklist.spelling import readable
from resolver.known_names.infrastructure import infrastructure
from resolver.known_names.protected import built_in_protected
from resolver.known_names.public_suffixes import above_suffixes, is_public_suffix
from resolver.known_names.shared_platforms import above_shared_platforms, shared_platforms
from resolver.policy.verdict import PolicyRule, RuleForm
from resolver.problems import Findings
from resolver.wire.names import name_to_text, parent, suffix_offsets

_SIGNS = {RuleForm.SUBTREE: "", RuleForm.EXACT: "=", RuleForm.BELOW: "*."}
_WWW = b"\x03www"
ROOT = b"\0"


def entry_text(owner: bytes, form: RuleForm) -> str:
    """Write a name rule as in the file."""
    return _SIGNS[form] + name_to_text(owner)


def check_names(
    blocked: Sequence[NameRule],
    allowed: Sequence[NameRule],
    protected: Sequence[NameRule],
    findings: Findings,
) -> None:
    """Check exchanges' names, `allow` and the file's own `protected` against each other."""
    by_form = _check_duplicates(blocked, findings)
    behind_cnames, shared, above_shared = infrastructure(), shared_platforms(), above_shared_platforms()
    _check_protected(blocked, protected, findings)
    for rule in blocked:
        is_exact = rule.form is RuleForm.EXACT
        if rule.owner in behind_cnames:
            what = behind_cnames[rule.owner]
            message = f"{_said(rule)} is {what}: CNAMEs of many sites lead there, and they would fail with it"
            findings.error(rule.line, message, forcible=True)
        elif not is_exact and is_public_suffix(rule.owner):
            findings.error(rule.line, f"{_said(rule)} is {_suffix_noun(rule.owner)}", forcible=True)
        elif (rule.owner in shared and not (is_exact and is_public_suffix(rule.owner))) or (
            rule.owner in above_shared and not is_exact
        ):
            # `=github.io` alone is nobody's page, `=github.com` is everybody's.
            findings.error(rule.line, f"{_said(rule)} {_shared_noun(rule.owner)}", forcible=True)
        elif not is_exact and (covered := above_suffixes().get(rule.owner)):
            message = f"{_said(rule)} covers {covered!r}, under which many people have names of their own"
            findings.error(rule.line, message, forcible=True)
        if rule.owner.startswith(_WWW) and parent(rule.owner) not in by_form[RuleForm.SUBTREE]:
            above = readable(name_to_text(parent(rule.owner)))
            message = f"{_said(rule)} leaves {above} itself unblocked; list {above} to block both"
            findings.warning(rule.line, message)
    for rule in allowed:
        text = readable(entry_text(rule.owner, rule.form))
        if rule.form is not RuleForm.EXACT and (
            is_public_suffix(rule.owner) or rule.owner in above_suffixes()
        ):
            noun = "is" if is_public_suffix(rule.owner) else "covers"
            message = f"allow: {text} {noun} a public suffix: it would exempt the names of many people"
            findings.error(rule.line, message, forcible=True)
        if (same := by_form[rule.form].get(rule.owner)) is not None:
            message = f"allow: {text} undoes the same entry of {same.rule.label} on line {same.line}"
            findings.warning(rule.line, message)
    _check_shadowed(blocked, by_form, {rule.owner for rule in (*allowed, *protected)}, findings)
    _check_repeats("allow", allowed, findings)
    _check_repeats("protected", protected, findings)


def check_addresses(rules: Iterable[AddressRule], findings: Findings) -> None:
    """Refuse one network in two exchanges at the same time: nobody could say whose hit it is."""
    seen: dict[object, list[AddressRule]] = {}
    for rule in rules:
        others = seen.setdefault(rule.network, [])
        for other in others:
            if other.rule is rule.rule:
                message = f"{rule.rule.label}: '{rule.network}' is already on line {other.line}"
                findings.warning(rule.line, message)
                break
            if _overlap(other.rule, rule.rule):
                findings.error(rule.line, _clash(f"'{rule.network}'", rule.rule, other.rule, other.line))
                break
        else:
            others.append(rule)


def check_allow_reaches(allowed: Sequence[NameRule], blocked: Sequence[NameRule], findings: Findings) -> None:
    """Warn of exceptions from nothing; call it only when there are no lists or addresses they may be for."""
    owners = {rule.owner for rule in blocked}
    below = {rule.owner[at:] for rule in blocked for at in suffix_offsets(rule.owner)} if allowed else set()
    for rule in allowed:
        is_under = any(rule.owner[at:] in owners for at in suffix_offsets(rule.owner))
        if not is_under and rule.owner not in below:
            text = readable(entry_text(rule.owner, rule.form))
            message = f"allow: {text} has no effect: no exchange blocks it"
            findings.warning(rule.line, message)


def _check_duplicates(
    blocked: Sequence[NameRule], findings: Findings
) -> dict[RuleForm, dict[bytes, NameRule]]:
    """Refuse one name and form in two exchanges at the same time; give the rules by form and owner."""
    first: dict[RuleForm, dict[bytes, NameRule]] = {form: {} for form in RuleForm}
    more: dict[tuple[RuleForm, bytes], list[NameRule]] = {}
    for rule in blocked:
        earlier = first[rule.form].setdefault(rule.owner, rule)
        if earlier is rule:
            continue
        others = more.setdefault((rule.form, rule.owner), [earlier])
        for other in others:
            text = readable(entry_text(rule.owner, rule.form))
            if other.rule is rule.rule:
                findings.warning(rule.line, f"{rule.rule.label}: {text} is already on line {other.line}")
                break
            if _overlap(other.rule, rule.rule):
                findings.error(rule.line, _clash(text, rule.rule, other.rule, other.line))
                break
        else:
            others.append(rule)
    return first


def _overlap(one: PolicyRule, other: PolicyRule) -> bool:
    """Whether both are in force at some moment; `ends_at` itself belongs to neither."""
    return any(_meet(first, second) for first in one.phases or (one,) for second in other.phases or (other,))


def _meet(one: PolicyRule, other: PolicyRule) -> bool:
    starts = max(_or(one.starts_at, -math.inf), _or(other.starts_at, -math.inf))
    ends = min(_or(one.ends_at, math.inf), _or(other.ends_at, math.inf))
    return starts < ends


def _or(moment: float | None, otherwise: float) -> float:
    return otherwise if moment is None else moment


def _clash(what: str, rule: PolicyRule, other: PolicyRule, line: int) -> str:
    return (
        f"{rule.label}: {what} also belongs to {other.label} (line {line}) at the same time; "
        "delete one, or give them dates that do not overlap"
    )


def _check_repeats(key: str, rules: Iterable[NameRule], findings: Findings) -> None:
    seen: dict[tuple[bytes, RuleForm], int] = {}
    for rule in rules:
        line = seen.get((rule.owner, rule.form))
        if line is None:
            seen[rule.owner, rule.form] = rule.line
            continue
        text = readable(entry_text(rule.owner, rule.form))
        findings.warning(rule.line, f"{key}: {text} is already on line {line}")


def _check_protected(blocked: Sequence[NameRule], protected: Sequence[NameRule], findings: Findings) -> None:
    """Refuse rules that protection makes void, and rules wide enough to cover a built-in protected name.

    A rule above a name of the file's own `protected` is fine: that is what the key is for.
    """
    built_in = built_in_protected()
    own = {rule.owner: rule for rule in protected}
    above = {name[at:]: name for name in built_in for at in suffix_offsets(name)[1:]}
    for rule in blocked:
        owner = rule.owner
        for at in suffix_offsets(owner):
            name = owner[at:]
            if name in built_in:
                reason = f"is protected ({built_in[name]})"
            elif name in own and _reaches(own[name].form, is_same=at == 0, other=rule.form):
                reason = f"is protected on line {own[name].line}"
            else:
                continue
            findings.error(rule.line, f"{_said(rule)} {reason}", forcible=True)
            break
        if owner in above and rule.form is not RuleForm.EXACT:
            name = above[owner]
            covered = f"{name_to_text(name)!r}, which is protected ({built_in[name]})"
            findings.error(rule.line, f"{_said(rule)} covers {covered}", forcible=True)


def _suffix_noun(owner: bytes) -> str:
    if parent(owner) == ROOT:
        return "a top-level domain: it would block every site under it"
    return "a public suffix: the names under it belong to many"


def _shared_noun(owner: bytes) -> str:
    if (what := shared_platforms().get(owner)) is not None:
        return f"is a shared platform ({what}): it would be blocked for everybody"
    name = above_shared_platforms()[owner]
    what = shared_platforms().get(name) or infrastructure()[name]
    return f"covers {name_to_text(name)!r}, a shared platform ({what})"


def _check_shadowed(
    blocked: Sequence[NameRule],
    by_form: dict[RuleForm, dict[bytes, NameRule]],
    excepted: set[bytes],
    findings: Findings,
) -> None:
    """Warn of names that the same exchange blocks already by a name above.

    The longest owner name wins, so only the next rule above counts: where an exception or another
    exchange stands between, the name is needed.
    """
    subtree, below, exact = (by_form[form] for form in (RuleForm.SUBTREE, RuleForm.BELOW, RuleForm.EXACT))
    for rule in blocked:
        owner = rule.owner
        if rule.form is not RuleForm.SUBTREE and (wider := subtree.get(owner)) is not None:
            # `=` and `*.` beside the plain name; another exchange's is told apart on purpose.
            _warn_shadowed(rule, wider, findings)
            continue
        if owner in excepted or (rule.form is RuleForm.SUBTREE and (owner in exact or owner in below)):
            continue
        at = owner[0] + 1
        while at < len(owner) - 1:
            above = owner[at:]
            wider = below.get(above) or subtree.get(above)
            if wider is not None or above in excepted:
                if wider is not None and above not in excepted:
                    _warn_shadowed(rule, wider, findings)
                break
            at += owner[at] + 1


def _warn_shadowed(rule: NameRule, wider: NameRule, findings: Findings) -> None:
    if wider.rule is rule.rule:
        text = readable(entry_text(wider.owner, wider.form))
        findings.warning(rule.line, f"{_said(rule)} is already covered by {text} on line {wider.line}")


def _said(rule: NameRule) -> str:
    """Name a rule in a message: its exchange and its text."""
    return f"{rule.rule.label}: {readable(entry_text(rule.owner, rule.form))}"


def _reaches(form: RuleForm, *, is_same: bool, other: RuleForm) -> bool:
    """Whether a protected rule leaves nothing of a rule at the same name, or below it."""
    if form is RuleForm.SUBTREE:
        return True
    if form is RuleForm.EXACT:
        return is_same and other is RuleForm.EXACT
    return not is_same or other is RuleForm.BELOW


def built_in_name_rules(rule: PolicyRule) -> list[NameRule]:
    """Give the built-in protected names as rules."""
    return [NameRule(name, RuleForm.SUBTREE, "protect", rule, BUILT_IN, 0) for name in built_in_protected()]
