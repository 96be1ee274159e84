"""Safety rails that need more than the blocklist's own text: list sizes, what served before.

Knows: what is too suspicious to load unasked, and what a careful person would want to know.
Does not know: how lists are read, who approves.  (Rails on names alone are in `conflicts`.)
Theory: a list that lost half of its names is more often a broken download than a change of mind, and
one that doubled is more often the wrong file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from resolver.blocklist.openings import day_text
from resolver.blocklist.rules import ListSpec
from resolver.problems import Problem

LIST_RULES_MIN = 1000
"""Smaller lists, before and after, may grow as they like."""
LIST_FALL_MIN = 10
"""Fewer names may go from a list at once, whatever part of it they are."""

FORCE_HINT = "if you mean it, run: exchange-resolver apply --force --reason '...'"


def list_problems(
    specs: Iterable[ListSpec], counts: Mapping[str, int], served: Mapping[str, int]
) -> list[Problem]:
    """Judge each list by its number of names, and against what `served` last (by name of list)."""
    problems = []
    for spec in specs:
        if spec.kind == "check":
            continue  # It has no rules, so none can be missing.
        count = counts.get(spec.name, 0)
        if count == 0:
            problems.append(_empty(spec))
        elif changes_too_much(before := served.get(spec.name, 0), count, spec.change_max_percent):
            problems.append(_changed(spec, before, count))
    return problems


def day_list_problems(
    specs: Iterable[ListSpec],
    counts: Mapping[str, int],
    served: Mapping[str, int],
    base: Mapping[str, int],
    since: float,
) -> list[Problem]:
    """Judge each list that changes further by what it was at `since` (Unix seconds): small steps add up."""
    problems = []
    for spec in specs:
        count, before, then = (sizes.get(spec.name, 0) for sizes in (counts, served, base))
        goes_on = before < count if then < before else count < before
        percent = spec.change_max_percent
        if spec.kind == "check" or not goes_on or changes_too_much(before, count, percent):
            continue
        if changes_too_much(then, count, percent):
            problem = _changed(spec, then, count)
            problems.append(replace(problem, message=f"{in_steps(since)}{problem.message}"))
    return problems


def in_steps(since: float) -> str:
    """Begins an objection to what many small steps have come to."""
    return f"in small steps since {day_text(since)}: "


def changes_too_much(before: int, now: int, percent: int) -> bool:
    """Whether a list of `before` names may not have `now` names unasked; an empty one that fills may."""
    if abs(now - before) * 100 <= before * percent or not before:
        return False
    return before - now >= LIST_FALL_MIN or max(before, now) > LIST_RULES_MIN


def shrunk_lists(
    specs: Iterable[ListSpec], counts: Mapping[str, int], served: Mapping[str, int]
) -> list[str]:
    """Say of each blocking list that has fewer names than it `served`, for the log."""
    return [
        f"fewer names than before: list {spec.name}: {before:,} -> {counts.get(spec.name, 0):,}"
        for spec in specs
        if spec.kind == "block" and (before := served.get(spec.name, 0)) > counts.get(spec.name, 0)
    ]


def _empty(spec: ListSpec) -> Problem:
    message = f"list {spec.name!r}: {spec.path} has no names in it"
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


def as_forced(problem: Problem) -> Problem:
    """The same objection, overruled."""
    if problem.severity == "error" and problem.forcible:
        return replace(problem, message=f"{problem.message} (forced)", severity="warning")
    return problem


def can_be_forced(problems: Iterable[Problem]) -> bool:
    """Whether there are errors, and every one of them is a safety rail's."""
    errors = [problem for problem in problems if problem.severity == "error"]
    return bool(errors) and all(problem.forcible for problem in errors)
