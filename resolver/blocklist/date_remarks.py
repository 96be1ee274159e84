"""Dates that have come, or are hardly meant: warnings.

Knows: the dates of orders, exchanges, lists and exceptions, and the day it is.  Does not know: YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from resolver.blocklist.citations import weakened
from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.dates import Window
from resolver.blocklist.rules import Blocklist
from resolver.policy.verdict import Mode
from resolver.problems import Problem

YEAR_LEAST = 2000
"""Earlier dates of a rule are slips: no exchange of this kind is older."""
YEARS_AHEAD_MAX = 10
"""Later dates are slips, or mean "for ever"."""


class _Dated(NamedTuple):
    """Something with dates of its own."""

    where: str
    window: Window
    lines: dict[str, int]
    before: str
    """What to say of the time before its `from`."""
    over: str
    """What to say when its end has come."""


def date_problems(blocklist: Blocklist, now: float) -> list[Problem]:
    """Warn of ends that have come, of dates far away, and of what weakens an order; `now`: Unix seconds."""
    problems = []
    for dated in _all_dated(blocklist):
        end = "through" if "through" in dated.lines else "until"
        for key, moment, advice in (
            ("from", dated.window.starts_at, dated.before),
            (end, dated.window.ends_at, "leave it out if no end is known"),
        ):
            if moment is not None and (far := _far_away(moment, now, advice)):
                line = dated.lines.get(key, dated.lines[""])
                problems.append(Problem(str(blocklist.path), line, f"{dated.where}.{key}: {far}", "warning"))
        if dated.window.ends_at is not None and dated.window.ends_at <= now:
            day = datetime.fromtimestamp(dated.window.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            line = dated.lines.get(end, dated.lines[""])
            message = f"{dated.where}.{end}: was {day}, so {dated.over}"
            problems.append(Problem(str(blocklist.path), line, message, "warning"))
    return problems + weakened(blocklist, now)


def _all_dated(blocklist: Blocklist) -> Iterator[_Dated]:
    kept = "delete it, or give it 'mode: disabled' to keep the record"
    for order in blocklist.orders.values():
        if order.mode is not Mode.DISABLED:
            over = f"nothing is blocked because of it any more; {kept}"
            window = Window(order.starts_at, order.ends_at)
            lines = blocklist.order_lines.get(order.id, {"": order.line})
            yield _Dated(f"orders.{order.id}", window, lines, "it is not in force before", over)
    for citation in blocklist.citations:
        over = f"it blocks nothing any more; {kept}"
        yield _Dated(citation.where, citation.window, citation.lines, "it is not blocked before", over)
    for owner, form, effect, rule, _, line in blocklist.name_rules:
        if effect == "allow" and (rule.starts_at is not None or rule.ends_at is not None):
            where = f"allow: {entry_text(owner, form)}"
            before = "the name is not let through before"
            over = "the name is not let through any more; delete the entry"
            yield _Dated(where, Window(rule.starts_at, rule.ends_at), {"": line}, before, over)


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
