"""Safety rails that need more than the blocklist's own text: list sizes, what served before, the day.

Knows: what is too suspicious to load unasked, and what a careful person would want to be told.
Does not know: how lists are read, who approves.  (Rails on names alone are in `conflicts`.)
Theory: a list that lost half of its names is more often a broken download than a change of mind, and
one that doubled is more often the wrong file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from resolver.policy.native_lists import NativeLists, SharedNames, native_lists
from resolver.policy.public_suffixes import suffixes
from resolver.policy.rules import Blocklist, ListSpec
from resolver.problems import Problem
from resolver.wire.names import name_to_text

LIST_RULES_MIN = 1000
"""Smaller lists, before and after, may change as they like."""
SUFFIXES_SHOWN_MAX = 20
"""Names left out of a list that are told one by one."""

FORCE_HINT = "if this is meant, run: exchange-resolver apply --force --reason '...'"


def list_problems(
    specs: Iterable[ListSpec], counts: Mapping[str, int], served: Mapping[str, int]
) -> list[Problem]:
    """Judge each list by its number of names, and against what `served` last (by name of list)."""
    problems = []
    for spec in specs:
        count = counts.get(spec.name, 0)
        if count == 0:
            problems.append(_empty(spec))
        elif (before := served.get(spec.name)) is not None and max(before, count) > LIST_RULES_MIN:
            change = count - before
            # An empty list that fills is no accident.
            if before and abs(change) * 100 > before * spec.change_max_percent:
                problems.append(_changed(spec, before, count))
    return problems


def _empty(spec: ListSpec) -> Problem:
    message = f"list {spec.name!r}: {spec.path} has not one name in it"
    if spec.kind == "allow":
        return Problem(spec.file, spec.line, message, "warning")
    return Problem(spec.file, spec.line, f"{message}, so it would block nothing", forcible=True)


def _changed(spec: ListSpec, before: int, count: int) -> Problem:
    verb = "shrank" if count < before else "grew"
    percent = abs(count - before) * 100 // before
    message = (
        f"list {spec.name!r} {verb} by {percent} %, from {before:,} to {count:,} names; "
        f"allowed: {spec.change_max_percent} % (change_max_percent)"
    )
    return Problem(spec.file, spec.line, message, forcible=True)


def past_problems(blocklist: Blocklist, now: float) -> list[Problem]:
    """Warn of exchanges whose `until` has come; `now` is Unix seconds."""
    problems = []
    for rule in blocklist.exchanges:
        if rule.ends_at is not None and rule.ends_at <= now:
            day = datetime.fromtimestamp(rule.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            line = blocklist.exchange_lines.get(rule.label, 0)
            message = (
                f"exchanges.{rule.label}.until: was {day}, so it blocks nothing any more; "
                "delete it, or give it 'mode: disabled' to keep the record"
            )
            problems.append(Problem(str(blocklist.path), line, message, "warning"))
    return problems


def without_suffixes(
    spec: ListSpec, names: Sequence[bytes], lines: Sequence[int], problems: list[Problem]
) -> tuple[Sequence[bytes], Sequence[int]]:
    """Leave out of a stretch of a list what would block everybody under `co.uk` or `github.io`.

    One stray line of a list from elsewhere must not cost the others, so it is told and left out.
    """
    found = shared_names(names)
    if not found:
        return names, lines
    kept = [(name, line) for name, line in zip(names, lines, strict=True) if name not in found]
    for name, line in zip(names, lines, strict=True):
        if name in found and len(problems) < SUFFIXES_SHOWN_MAX:
            text = name_to_text(name)
            message = (
                f"list {spec.name!r}: {text!r} is a public suffix or shared platform; the line is left out"
            )
            problems.append(Problem(str(spec.path), line, message, "warning"))
    return [name for name, _ in kept], [line for _, line in kept]


def shared_names(names: Sequence[bytes]) -> set[bytes]:
    """Those of `names` (wire form) under which strangers have theirs: of registries and of platforms.

    Of a wildcard such as `*.compute.amazonaws.com` that is the name without the star; what stands below
    it is one machine, and often on a list for good reason.  Below a top-level domain (`*.bd`) it is not.
    """
    known, above = _shared()
    native = native_lists()
    if native is not None and isinstance(names, native.ListNames):
        found = set(_shared_natively(native).find_in(names))
    else:
        found = set(known.intersection(names))
        found.update(name for name in names if name[name[0] + 1 :] in above)
    return found - suffixes().exceptions


@cache
def _shared_natively(native: NativeLists) -> SharedNames:
    known, above = _shared()
    return native.SharedNames(list(known), list(above))


@cache
def _shared() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Shared names, and the top-level domains of which every name is one."""
    known = suffixes()
    return known.names | known.wildcards, frozenset(
        name for name in known.wildcards if len(name) == name[0] + 2
    )


def as_forced(problem: Problem) -> Problem:
    """The same objection, overruled."""
    if problem.severity == "error" and problem.forcible:
        return replace(problem, message=f"{problem.message} (forced)", severity="warning")
    return problem


def can_be_forced(problems: Iterable[Problem]) -> bool:
    """Whether there are errors, and every one of them is a safety rail's."""
    errors = [problem for problem in problems if problem.severity == "error"]
    return bool(errors) and all(problem.forcible for problem in errors)
