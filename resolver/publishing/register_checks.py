"""Registers of who is authorised (`kind: check`), held against a compiled policy.

Knows: what is worth a warning.  Does not know: formats, how the image is made.
Theory: the policy itself is asked of each provider's hosts, so exchanges, lists and exceptions all count as
they do for clients; what is blocked below a provider's host by an exchange is looked for among its names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.policy.image import ImageUnusable
from resolver.policy.table import PolicyTable, open_table
from resolver.policy.verdict import RuleMatch
from resolver.problems import Problem, show
from resolver.publishing.register_rules import FileChanged, RegisterFile
from resolver.registers.judging import WWW
from resolver.registers.record import Record, RegisterRefused
from resolver.wire.names import name_to_text, suffix_offsets

SHOWN_MAX = 200
"""Warnings of one register."""


def take_checks(specs: Sequence[ListSpec], found: list[bytes | RegisterFile]) -> list[RegisterFile]:
    """Take the registers to check by out of what was found of all lists: they add nothing to an image."""
    checks: list[RegisterFile] = []
    for number, spec in enumerate(specs):
        file = found[number]
        if spec.kind == "check" and isinstance(file, RegisterFile):
            checks.append(file)
            found[number] = b""
    return checks


def check_problems(
    image: Path, blocklist: Blocklist, checks: Sequence[RegisterFile], now: float
) -> list[Problem]:
    """Warn of what the policy in `image` blocks, or counts in shadow, of authorised providers.

    A register that cannot be read is a warning, too: it blocks nothing, so it keeps no policy out.
    """
    problems: list[Problem] = []
    if not checks:
        return problems
    try:
        table = open_table(image, now, now, 1)
    except ImageUnusable as error:
        return [Problem(str(image), 0, str(error), "warning")]
    for check in checks:
        problems += _of_one(check, table, blocklist, now)
    return problems


def _of_one(check: RegisterFile, table: PolicyTable, blocklist: Blocklist, now: float) -> list[Problem]:
    spec = check.spec
    below = _names_below(blocklist)
    problems: list[Problem] = []
    seen: set[tuple[bytes, str]] = set()
    try:
        for record in check.records():
            if record.removed:
                continue
            for owner in dict.fromkeys(asked.owner for asked in record.asks if asked.owner):
                if len(suffix_offsets(owner)) < 2 or (owner, record.holder) in seen:
                    continue
                seen.add((owner, record.holder))
                if message := _blocked(owner, table, below, now):
                    problems.append(_warning(spec, record, message))
    except RegisterRefused as refused:
        message = f"list {spec.name!r}: {refused}; nothing was checked by it"
        return [Problem(str(spec.path), refused.line, message, "warning")]
    except (OSError, FileChanged):
        return [Problem(str(spec.path), 0, f"list {spec.name!r}: cannot be read", "warning")]
    left_out = len(problems) - SHOWN_MAX
    if left_out > 0:
        more = f"list {spec.name!r}: {left_out:,} more names of authorised providers are blocked"
        problems[SHOWN_MAX:] = [Problem(str(spec.path), 0, more, "warning")]
    return problems


def _warning(spec: ListSpec, record: Record, message: str) -> Problem:
    licence = f"licence {record.licence}" if record.licence else f"record {record.id or record.number}"
    authority = f", {record.authority}" if record.authority else ""
    who = show(record.holder or record.id)
    text = f"list {spec.name!r}: {message}, but its provider {who} is authorised ({licence}{authority})"
    return Problem(str(spec.path), record.line, text, "warning")


def _blocked(owner: bytes, table: PolicyTable, below: dict[bytes, list[str]], now: float) -> str:
    """What of a provider's host is blocked, in words; empty: nothing."""
    verdict = table.judge_name(owner, now)
    name = name_to_text(owner)
    if verdict.is_blocked and verdict.match is not None:
        return f"{name} is blocked by {_source(verdict.match)}"
    if verdict.shadow is not None:
        return f"{name} would be blocked (shadow) by {_source(verdict.shadow)}"
    apex = owner[4:] if owner.startswith(WWW) and len(suffix_offsets(owner)) > 2 else owner
    if found := below.get(apex):
        return f"{found[0]}, below {name_to_text(apex)}, is on the blocklist"
    return ""


def _source(match: RuleMatch) -> str:
    form = match.form
    rule = entry_text(match.owner, form) if form is not None else ""
    return f"{match.rule.kind} {match.rule.label} ({rule}, {match.file}:{match.line})"


def _names_below(blocklist: Blocklist) -> dict[bytes, list[str]]:
    """Name -> the first names of exchanges at or below it, with the exchange."""
    below: dict[bytes, list[str]] = {}
    for rule in blocklist.name_rules:
        if rule.effect == "block":
            text = f"{entry_text(rule.owner, rule.form)} of exchange {rule.rule.label}"
            for at in suffix_offsets(rule.owner)[:-1]:
                below.setdefault(rule.owner[at:], [text])
    return below
