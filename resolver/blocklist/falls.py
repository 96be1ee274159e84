"""How much an edit opens, and how much of that is too much to be believed.

Knows: what is blocked now and not afterwards (`openings`), and how much less may be too much.
Does not know: which blocklist serves, what list files hold (`rails` has their sizes), the clock, approvals.
Theory: a file that was cut off, emptied or put into shadow is still a valid blocklist; only what served
before shows that it is none that anybody meant.  Both sides are taken as of the same moment, so whatever ends
on its day is no fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.in_force import Entry, InForce
from resolver.blocklist.openings import (
    LINE_CHARS_MAX,
    NAMES_SHOWN_MAX,
    Comparison,
    Loss,
    Names,
    Opening,
    day_text,
    names_of,
)
from resolver.blocklist.rules import Blocklist
from resolver.blocklist.spelling import readable
from resolver.plurals import counted
from resolver.problems import Problem

__all__ = ["LINE_CHARS_MAX", "NAMES_SHOWN_MAX", "Fall", "Loss", "find_fall"]

EXCHANGES_FALL_MIN = 5
"""Fewer exchanges may go in one edit, whatever part of all they are."""
DOMAINS_FALL_MIN = 10
"""Fewer domains may go in one edit, whatever part of all they are."""
ORDERS_FALL_MIN = 1
"""An order is seldom lifted, and often nothing else is blocked because of it."""
LISTS_FALL_MIN = 1
"""There are few of them, and each may be all that somebody asked for."""
ALLOW_GROWTH_MAX = 10
"""So many exceptions may come in one edit, however few there were."""


@dataclass(frozen=True, slots=True)
class Fall:
    """How much an edit opens."""

    objections: tuple[str, ...] = field(default=())
    """Why it is too much to be believed; none: it may be loaded."""
    opening: Opening = field(default=Opening())
    """What it opens."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What it opens, kind by kind."""
        return self.opening.losses

    def lines(self) -> list[str]:
        """For the log: the sentence, then kind by kind without leaving a name out."""
        words = self.opening.words()
        return [*([words] if words else []), *(line for loss in self.losses for line in loss.lines())]

    def problems(self, file: str) -> list[Problem]:
        """What is lost, as warnings, then the objections, which only force overrules."""
        words = self.opening.words()
        return [
            *([Problem(file, 0, words, "warning")] if words else []),
            *(Problem(file, 0, loss.shown(), "warning") for loss in self.losses),
            *(Problem(file, 0, objection, forcible=True) for objection in self.objections),
        ]


def find_fall(
    before: Blocklist,
    after: Blocklist,
    now: float,
    *,
    sizes: Mapping[str, int] | None = None,
    conceal: bool = False,
) -> Fall:
    """What `after` no longer enforces of what `before` does, both at `now` (Unix seconds).

    `sizes`: how many names each list had that served; `conceal`: what is confidential is only counted.
    """
    compared = Comparison(InForce(before, now), InForce(after, now))
    opening = compared.opening(conceal=conceal)
    objections = (
        *_objections(compared, opening, conceal=conceal),
        *_of_lists(compared, opening, sizes or {}),
        *_postponed(compared, conceal=conceal),
    )
    return Fall(objections, opening)


def _postponed(compared: Comparison, *, conceal: bool) -> Iterator[str]:
    """What is in force and would be again from a later day: nobody means the gap."""
    old, new = compared.old, compared.new
    lists = {spec.name: spec.rule for spec in new.blocklist.lists}
    lost = [(f"exchanges.{label}", old.rules[label], new.rules.get(label)) for label in compared.exchanges]
    lost += [(f"lists.{name}", old.lists[name], lists.get(name)) for name in compared.lists]
    starts = {citation.where: citation.window.starts_at for citation in new.blocklist.citations}
    by_own: list[tuple[str, bool]] = []
    by_orders: list[tuple[str, bool]] = []
    for where, before, rule in lost:
        moment = compared.returns_at(rule)
        if moment is None:
            continue
        own = starts.get(where)
        group = by_orders if own is None or own <= new.now else by_own
        group.append((f"{where} until {day_text(moment)}", before.at(old.now).is_confidential))
    for group, advice in (
        (by_own, "if the day is that of an order, write 'from' on the order, not here"),
        (
            by_orders,
            "none of their orders is in force before; cite one that is, too (one of the house, perhaps)",
        ),
    ):
        if group:
            names = names_of(group, conceal=conceal)
            yield f"blocked now, and open until a later 'from': {names.shown()}; {advice}"


def _objections(compared: Comparison, opening: Opening, *, conceal: bool) -> Iterator[str]:
    old, new = compared.old, compared.new
    percent = new.blocklist.fall_max_percent
    if new.is_empty and not old.is_empty:
        what = [
            counted(len(old.exchanges), "exchange") if old.exchanges else "",
            counted(len(old.domains), "domain") if old.domains else "",
            counted(len(old.lists), "list") if old.lists else "",
        ]
        yield f"nothing is blocked any more; what serves now enforces {', '.join(filter(None, what))}"
    for lost, total, least, noun in (
        (opening.exchanges, len(old.exchanges), EXCHANGES_FALL_MIN, "exchange"),
        (opening.domains, len(old.domains), DOMAINS_FALL_MIN, "domain"),
        (opening.orders, len(old.orders), ORDERS_FALL_MIN, "order"),
    ):
        count = len(lost)
        if count >= least and count * 100 > total * percent:
            yield (
                f"{count:,} of {counted(total, noun)} in force would no longer be enforced, "
                f"{count * 100 // total} %; allowed: {percent} % (defaults.fall_max_percent): {lost.shown()}"
            )
    if old.protected and not new.protected:
        names = _texts(old.protected)
        yield f"'protected' is gone; what serves now has {counted(len(names), 'name')}: {names.shown()}"
    grown = len(new.allow) - len(old.allow)
    if grown > ALLOW_GROWTH_MAX and len(new.allow) > 2 * len(old.allow):
        added = "" if conceal else f": {_texts(new.allow - old.allow).shown()}"
        yield (
            f"'allow' grows from {len(old.allow):,} to {counted(len(new.allow), 'exception')}, "
            f"more than twice as many{added}"
        )


def _of_lists(compared: Comparison, opening: Opening, sizes: Mapping[str, int]) -> Iterator[str]:
    """A list that is gone, in shadow, or of another kind takes all of its names with it."""
    old, new = compared.old, compared.new
    percent = new.blocklist.fall_max_percent
    count, total, shown = len(opening.lists), len(old.lists), opening.lists.shown()
    if count and not new.lists:
        yield f"no list is enforced any more; what serves now has {counted(count, 'list')}: {shown}"
    elif count >= LISTS_FALL_MIN and count * 100 > total * percent:
        yield (
            f"{count:,} of {counted(total, 'list')} in force would no longer be enforced, "
            f"{count * 100 // total} %; allowed: {percent} % (defaults.fall_max_percent): {shown}"
        )
    of_lists = sum(sizes.get(name, 0) for name in compared.lists)
    lost = of_lists + len(opening.domains)
    names = len(old.domains) + sum(sizes.get(name, 0) for name in old.lists)
    if of_lists and lost >= DOMAINS_FALL_MIN and lost * 100 > names * percent:
        yield (
            f"{lost:,} of {counted(names, 'name')} in force would no longer be enforced, "
            f"{lost * 100 // names} %; allowed: {percent} % (defaults.fall_max_percent); "
            f"{of_lists:,} of them are of lists: {shown}"
        )
    turned = [name for name in compared.lists if name in new.allow_lists]
    if turned:
        named = names_of(
            [(name, old.lists[name].at(old.now).is_confidential) for name in turned], conceal=True
        )
        yield f"what was blocked would be let through: a list turns from 'block' to 'allow': {named.shown()}"


def _texts(entries: set[Entry]) -> Names:
    return Names(tuple(sorted(readable(entry_text(owner, form)) for owner, form in entries)))
