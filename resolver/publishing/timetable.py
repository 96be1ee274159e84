"""When something of one policy begins or ends, and what that opens or closes, in words.

Knows: the rules and orders of an image, or of a blocklist's text, at every time.
Does not know: names (the history tells them), the clock, the event loop.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.in_force import suffixes
from resolver.blocklist.openings import NAMES_SHOWN_MAX, Names, day_text
from resolver.blocklist.orders import order_words
from resolver.blocklist.rules import Blocklist
from resolver.plurals import counted
from resolver.policy.image import Image
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule

DAY_S = 86_400.0
LEADS_DAYS = (1, 7, 30)
"""How long ahead an end is announced."""
TURNS_TOLD_MAX = 100
"""Of the dates that passed while nobody looked, the last so many are told."""
ENDS_KEPT_MAX = 10
"""Of the near ends that one edit sets, the history keeps the first so many."""
EXCEPTIONS_TOLD_MAX = 10_000
"""Dated exceptions that an image names; more are in force all the same."""

_EXCEPTION = "exception "


@dataclass(frozen=True, slots=True)
class Turn:
    """One moment at which something begins or ends."""

    at: float
    """Unix seconds."""
    began: Names
    """`order x`, `exchange x`, `list x`, `exception x`."""
    ended: Names
    closed: Names
    """Exchanges and lists that are blocked from then on."""
    opened: Names
    """Those that are not blocked any more."""
    much_closed: str
    """`17 exchanges, 60 domains`."""
    much_opened: str
    keys: tuple[str, ...]
    """Of what ends, for remembering that it was announced."""
    leapt_from: float | None = None
    """Unix seconds from which the clock leapt to `at`, maybe back; None: the time came by itself."""

    def words(self) -> str:
        """What opened or closed."""
        said = [
            f"{verb}: {names.shown(NAMES_SHOWN_MAX)}"
            for verb, names in (("begins", self.began), ("ends", self.ended))
            if len(names)
        ]
        said += [
            f"{verb}: {much}: {names.shown()}"
            for verb, names, much in (
                ("not blocked any more", self.opened, self.much_opened),
                ("blocked from then on", self.closed, self.much_closed),
            )
            if len(names)
        ]
        excepted = [
            words
            for names, words in (
                (self.began, "what is excepted is let through from then on"),
                (self.ended, "what was excepted is let through no longer"),
            )
            if any(text.startswith(_EXCEPTION) for text in names.texts)
        ]
        if not (len(self.opened) or len(self.closed) or excepted):
            excepted = ["no exchange and no list opens or closes"]
        said += excepted
        return "; ".join(said)


class Timetable:
    """All turns of one policy."""

    def __init__(self, of: Image | Blocklist | None) -> None:
        """None: of no policy, so there are none."""
        self._orders: dict[str, dict[str, Any]]
        self._exceptions: list[dict[str, Any]]
        self._sources: list[PolicyRule]
        self._domains: Mapping[str, int]
        if isinstance(of, Blocklist):
            self._orders = {order_id: order_words(order) for order_id, order in of.orders.items()}
            self._exceptions = dated_exceptions(of)
            self._sources = [*of.exchanges, *(spec.rule for spec in of.lists)]
            self._domains = Counter(rule.rule.label for rule in of.name_rules if rule.effect == "block")
        else:
            meta: dict[str, Any] = {} if of is None else of.meta
            sources = {} if of is None else of.sources
            self._orders = meta.get("orders", {})
            self._exceptions = meta.get("exceptions", [])
            self._sources = [sources[index] for key in ("exchanges", "lists") for index in meta.get(key, ())]
            self._domains = meta.get("counts", {}).get("per_exchange", {})
        edges = {edge for pair in self._edges() for edge in pair if edge is not None}
        self._moments = sorted(edge for edge in edges if math.isfinite(edge))

    def _edges(self) -> Iterator[tuple[float | None, float | None]]:
        for rule in self._sources:
            yield from ((phase.starts_at, phase.ends_at) for phase in rule.phases or (rule,))
        for dated in (*self._orders.values(), *self._exceptions):
            yield (dated.get("from"), dated.get("until"))

    def next_after(self, moment: float) -> float:
        """The next turn's time; inf: none is coming."""
        place = bisect_right(self._moments, moment)
        return self._moments[place] if place < len(self._moments) else math.inf

    def between(self, before: float, now: float) -> list[Turn]:
        """The turns after `before`, up to `now`; of very many the last ones."""
        first, last = bisect_right(self._moments, before), bisect_right(self._moments, now)
        return [self.turn(at) for at in self._moments[first:last][-TURNS_TOLD_MAX:]]

    def ahead(self, now: float, horizon: float) -> list[Turn]:
        """The turns after `now`, up to `horizon`; of very many the nearest ones."""
        first, last = bisect_right(self._moments, now), bisect_right(self._moments, horizon)
        return [self.turn(at) for at in self._moments[first:last][:TURNS_TOLD_MAX]]

    def announcements(self, now: float, announced: dict[str, int]) -> list[tuple[Turn, int]]:
        """Ends to announce now, each with its lead in days; what is due is noted in `announced`."""
        due = []
        for turn in self.ahead(now, now + max(LEADS_DAYS) * DAY_S):
            lead = next(days for days in LEADS_DAYS if turn.at - now <= days * DAY_S)
            if any(announced.get(key, math.inf) > lead for key in turn.keys):
                announced.update(dict.fromkeys(turn.keys, lead))
                due.append((turn, lead))
        return due

    def turn(self, at: float) -> Turn:
        """What begins and ends at `at`."""
        return self._turn(math.nextafter(at, -math.inf), at)

    def leap(self, before: float, at: float) -> list[Turn]:
        """What is otherwise at `at` than at `before` (both Unix seconds), as one turn; none: nothing is."""
        turn = self._turn(before, at)
        told = len(turn.began) or len(turn.ended) or len(turn.opened) or len(turn.closed)
        return [replace(turn, leapt_from=before, keys=())] if told else []

    def _turn(self, before: float, at: float) -> Turn:
        began: list[tuple[str, bool]] = []
        ended: list[tuple[str, bool]] = []
        keys: list[str] = []
        dated = [
            (f"order {order_id}", order)
            for order_id, order in self._orders.items()
            if order.get("mode") != Mode.DISABLED.value
        ]
        dated += [(f"{_EXCEPTION}{exception['name']}", exception) for exception in self._exceptions]
        for text, entry in dated:
            was, becomes = _is_within(entry, before), _is_within(entry, at)
            if was is not becomes:
                (ended if was else began).append((text, bool(entry.get("confidential"))))
                keys += [f"{text} {at:.0f}"] if was else []
        opened: list[PolicyRule] = []
        closed: list[PolicyRule] = []
        for rule in self._sources:
            was, becomes = rule.is_in_force(before), rule.is_in_force(at)
            if was is not becomes and rule.action is not PolicyAction.PASSTHRU:
                (opened if was else closed).append(rule)
        keys += [f"{rule.kind} {rule.id} {at:.0f}" for rule in opened]
        return Turn(
            at,
            _names(began),
            _names(ended),
            _names((rule.id, rule.at(at).is_confidential) for rule in closed),
            _names((rule.id, rule.at(before).is_confidential) for rule in opened),
            self._amount(closed),
            self._amount(opened),
            tuple(keys),
        )

    def _amount(self, rules: list[PolicyRule]) -> str:
        exchanges = [rule for rule in rules if rule.kind == "exchange"]
        counts = (
            (len(exchanges), "exchange"),
            (sum(self._domains.get(rule.id, 0) for rule in exchanges), "domain"),
            (len(rules) - len(exchanges), "list"),
        )
        return ", ".join(counted(count, noun) for count, noun in counts if count)


def dated_exceptions(blocklist: Blocklist) -> list[dict[str, Any]]:
    """The exceptions that begin or end, for whoever tells of it; moments in Unix seconds."""
    concealed = {rule.owner for rule in blocklist.name_rules if rule.rule.is_ever_confidential}
    return [
        {
            "name": entry_text(owner, form),
            "from": rule.starts_at,
            "until": rule.ends_at,
            "confidential": not concealed.isdisjoint(suffixes(owner)),
        }
        for owner, form, effect, rule, _, _ in blocklist.name_rules
        if effect == "allow" and (rule.starts_at is not None or rule.ends_at is not None)
    ][:EXCEPTIONS_TOLD_MAX]


def _is_within(dated: dict[str, Any], moment: float) -> bool:
    """Whether something with dates is between them."""
    starts_at, ends_at = dated.get("from"), dated.get("until")
    return (starts_at is None or starts_at <= moment) and (ends_at is None or moment < ends_at)


def _names(pairs: Iterable[tuple[str, bool]]) -> Names:
    """For the log, so what is confidential is only counted."""
    pairs = list(pairs)
    return Names(
        tuple(text for text, is_secret in pairs if not is_secret), sum(is_secret for _, is_secret in pairs)
    )


def passed_words(turn: Turn) -> str:
    """The log's line on a turn that has come."""
    if turn.leapt_from is not None:
        return f"the clock leapt from {day_text(turn.leapt_from)} to {day_text(turn.at)}: {turn.words()}"
    return f"{day_text(turn.at)} has come: {turn.words()}"


def announced_words(turn: Turn, now: float) -> str:
    """The log's line on a turn to come."""
    days = math.ceil((turn.at - now) / DAY_S)
    ahead = "less than a day" if turn.at - now < DAY_S else counted(days, "day")
    return f"in {ahead}, on {day_text(turn.at)}: {turn.words()}"


def ends_to_come(image: Path, now: float) -> list[str]:
    """What of a policy ends within 30 days of `now` (Unix seconds), the next first, in words.

    Raises ImageUnusable.
    """
    return [announced_words(turn, now) for turn, _ in Timetable(Image(image)).announcements(now, {})]


def ends_set(old: Blocklist | None, new: Blocklist, now: float) -> list[str]:
    """What ends within 30 days of `now` (Unix seconds) in `new` and not, or not then, in `old`, in words."""
    horizon = now + max(LEADS_DAYS) * DAY_S
    known = (
        set() if old is None else {key for turn in Timetable(old).ahead(now, horizon) for key in turn.keys}
    )
    turns = (turn for turn in Timetable(new).ahead(now, horizon) if not known.issuperset(turn.keys))
    return [f"on {day_text(turn.at)} {turn.words()}" for turn in turns][:ENDS_KEPT_MAX]


def still_to_come(announced: dict[str, int], now: float) -> dict[str, int]:
    """What was announced and has not ended long ago: nobody need remember the rest."""
    return {key: days for key, days in announced.items() if float(key.rpartition(" ")[2]) > now - DAY_S}
