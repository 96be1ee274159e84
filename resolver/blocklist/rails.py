"""Safety rails that need more than the blocklist's own text: list sizes, what served before, the day.

Knows: what is too suspicious to load unasked, and what a careful person would want to know.
Does not know: how lists are read, who approves.  (Rails on names alone are in `conflicts`.)
Theory: a list that lost half of its names is more often a broken download than a change of mind, and
one that doubled is more often the wrong file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.problems import Problem

LIST_RULES_MIN = 1000
"""Smaller lists, before and after, may change as they like."""

YEAR_LEAST = 2000
"""Earlier dates of a rule are slips: no exchange of this kind is older."""
YEARS_AHEAD_MAX = 10
"""Later dates are slips, or mean "for ever"."""

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
        elif (before := served.get(spec.name)) is not None and max(before, count) > LIST_RULES_MIN:
            change = count - before
            # An empty list that fills is no accident.
            if before and abs(change) * 100 > before * spec.change_max_percent:
                problems.append(_changed(spec, before, count))
    return problems


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


def date_problems(blocklist: Blocklist, now: float) -> list[Problem]:
    """Warn of exchanges whose `until` has come, and of dates far away; `now` is Unix seconds."""
    problems = []
    for rule in blocklist.exchanges:
        dates = (
            ("from", rule.starts_at, blocklist.start_lines, "it is not blocked before"),
            ("until", rule.ends_at, blocklist.exchange_lines, "leave it out if no end is known"),
        )
        for key, moment, lines, advice in dates:
            if moment is not None and (far := _far_away(moment, now, advice)):
                message = f"exchanges.{rule.label}.{key}: {far}"
                problems.append(Problem(str(blocklist.path), lines.get(rule.label, 0), message, "warning"))
        if rule.ends_at is not None and rule.ends_at <= now:
            day = datetime.fromtimestamp(rule.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            line = blocklist.exchange_lines.get(rule.label, 0)
            message = (
                f"exchanges.{rule.label}.until: was {day}, so it blocks nothing any more; "
                "delete it, or give it 'mode: disabled' to keep the record"
            )
            problems.append(Problem(str(blocklist.path), line, message, "warning"))
    return problems


def _far_away(moment: float, now: float, advice: str) -> str:
    """What to say of a year that is hardly meant; empty where it may be."""
    year, this_year = _year_of(moment), _year_of(now)
    if YEAR_LEAST <= year <= this_year + YEARS_AHEAD_MAX:
        return ""
    distance = f"{year - this_year} years ahead" if year > this_year else f"{this_year - year} years ago"
    near = next(
        (meant for meant in (this_year, this_year + 1, this_year - 1) if _one_slip(year, meant)), None
    )
    if near is not None:
        return f"the year {year} is {distance}; did you mean {near}?"
    return f"the year {year} is {distance}" + (f"; {advice}" if year > this_year else "")


def _year_of(moment: float) -> int:
    # Half a day on, so that 00:00 in any time zone is in its year.
    return datetime.fromtimestamp(moment + 43_200, UTC).year


def _one_slip(year: int, meant: int) -> bool:
    """Whether one digit is another, or two neighbours are swapped."""
    one, other = f"{year:04d}", f"{meant:04d}"
    swapped = (one[:at] + one[at + 1] + one[at] + one[at + 2 :] for at in range(3))
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1 or other in swapped


def as_forced(problem: Problem) -> Problem:
    """The same objection, overruled."""
    if problem.severity == "error" and problem.forcible:
        return replace(problem, message=f"{problem.message} (forced)", severity="warning")
    return problem


def can_be_forced(problems: Iterable[Problem]) -> bool:
    """Whether there are errors, and every one of them is a safety rail's."""
    errors = [problem for problem in problems if problem.severity == "error"]
    return bool(errors) and all(problem.forcible for problem in errors)
