"""Small pieces that several pages of a report say alike: states, names, moments, hits.

Knows: one report, its zone and language.  Does not know: pages, formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo

from resolver.report.catalogue import Texts
from resolver.report.document import Cell, Chart, Code, Inline, Mark, Small, Spark, Tone
from resolver.report.facts import Hits, Name, Order, Report, State
from resolver.report.moments import shown_day, shown_duration, shown_moment, shown_number
from resolver.report.periods import bars_of, width_of
from resolver.report.plain import shown

NONE = "–"
"""Where there is nothing to say; an empty cell could be a slip."""
SPARKS_MAX = 31

_TONES: dict[State, Tone] = {
    State.IN_FORCE: "good",
    State.PARTLY: "warn",
    State.EXCEPTED: "bad",
    State.PENDING: "warn",
    State.ENDED: "quiet",
    State.SHADOW: "warn",
    State.DISABLED: "quiet",
}
_SIGNS = {"subtree": "", "exact": "", "below": "*.", "network": ""}


@dataclass(frozen=True, slots=True)
class Wording:
    """What all pages share."""

    report: Report
    texts: Texts
    zone: tzinfo

    def state(self, state: State) -> Mark:
        """How something stands, in a word."""
        return Mark(self.texts.of("state", state.value), _TONES[state])

    def moment(self, at: float | None, none: str = NONE) -> str:
        """A moment, or what stands for none."""
        return none if at is None else shown_moment(at, self.zone)

    def day(self, at: float | None) -> str:
        """The day of a moment, or what stands for none."""
        return NONE if at is None else shown_day(at, self.zone)

    def term(self, starts_at: float | None, ends_at: float | None) -> str:
        """From when until when."""
        if starts_at is None and ends_at is None:
            return self.texts("term_always")
        if ends_at is None:
            return self.texts("term_from", first=self.moment(starts_at))
        if starts_at is None:
            return self.texts("term_until", end=self.moment(ends_at))
        return self.texts("term_both", first=self.moment(starts_at), end=self.moment(ends_at))

    def hits(self, hits: Hits) -> str:
        """How many were blocked; nothing where hits are not known."""
        return shown_number(hits.blocked) if self.report.has_hits else NONE

    def shadow(self, hits: Hits) -> str:
        """How many would have been."""
        return shown_number(hits.shadow) if self.report.has_hits else NONE

    def spark(self, hits: Hits) -> Cell:
        """The hits of a period, tiny."""
        if not self.report.has_hits or not hits.days:
            return (NONE,)
        width = width_of(self.report.period, SPARKS_MAX)
        return (Spark(tuple(bar.blocked + bar.shadow for bar in bars_of(hits, self.report.period, width))),)

    def chart(self, hits: Hits) -> Chart:
        """The hits of the period."""
        width = width_of(self.report.period)
        return Chart(
            self.texts(f"chart_{width}"),
            self.texts("hits_blocked"),
            self.texts("hits_shadow"),
            bars_of(hits, self.report.period, width),
        )

    def name(self, name: Name) -> Cell:
        """A name as its rule has it, and how people read it."""
        text = Code(f"{_SIGNS[name.form]}{name.text}")
        return (text, " ", Small(name.unicode)) if name.unicode else (text,)

    def form(self, form: str) -> str:
        """What a rule covers."""
        return self.texts(f"form_{form}")

    def rule(self, file: str, line: int) -> Cell:
        """Where it stands."""
        return (Code(f"{file}:{line}"),)

    def took(self, order: Order) -> str:
        """How long it took from its receipt until it was in force."""
        return NONE if order.took_s is None else shown_duration(order.took_s)

    def deadline(self, order: Order) -> Mark | str:
        """Whether it was in force in time."""
        if order.due_at is None:
            return NONE
        if order.ahead_s is None:
            is_over = order.due_at <= self.report.made_at and order.state is not State.ENDED
            return Mark(self.texts("overdue"), "bad") if is_over else Mark(self.texts("not_due"), "quiet")
        if order.ahead_s < 0:
            return Mark(self.texts("late", time=shown_duration(-order.ahead_s)), "bad")
        return Mark(self.texts("in_time", time=shown_duration(order.ahead_s)), "good")

    def deadline_shortly(self, order: Order) -> Mark | None:
        """The same in a word; None: it has no deadline."""
        if order.due_at is None:
            return None
        if order.ahead_s is None:
            deadline = self.deadline(order)
            return deadline if isinstance(deadline, Mark) else None
        is_late = order.ahead_s < 0
        return Mark(self.texts("late_short" if is_late else "in_time_short"), "bad" if is_late else "good")

    def codes(self, ids: Iterable[str]) -> Cell:
        """Ids, with commas."""
        return tuple(joined(Code(one) for one in ids)) or (NONE,)

    def listed(self, names: Iterable[str], count: int) -> Cell:
        """Names with commas, and how many more there are."""
        said = list(joined(Code(name) for name in names))
        left = count - (len(said) + 1) // 2
        if left > 0:
            more = self.texts("and_more", count=shown_number(left))
            said.append(f" {more}" if said else self.texts("count_only", count=shown_number(count)))
        return said


def joined(parts: Iterable[Inline]) -> Iterator[Inline]:
    """With commas between."""
    for number, part in enumerate(parts):
        if number:
            yield ", "
        yield part


def text_or_none(text: str) -> str:
    """Somebody's text, in one line."""
    return shown(text) or NONE
