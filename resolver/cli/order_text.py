"""The proposal of an imported order, for people and for programs.

Knows: words and layout.  Does not know: how anything was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from resolver.cli.moments import term_text
from resolver.cli.waiting import waits_json, waits_lines
from resolver.cli.wrapping import terminal_columns, wrapped
from resolver.orders.plan import OrderTexts, Plan
from resolver.orders.proposal import NotTaken, Proposal
from resolver.orders.reach import Reason
from resolver.orders.standing import Standing, State
from resolver.orders.words import Address
from resolver.plurals import counted
from resolver.problems import printable

NAMES_SHOWN_MAX = 12
"""Of the names that come under an order unwritten; `--json` has all."""

_STATE_WORDS = {State.ENFORCED: "enforced", State.PENDING: "when it begins", State.UNENFORCED: "not"}
_ASKABLE = (Reason.DOUBTFUL, Reason.INVALID, Reason.UNKNOWN_TOP_LEVEL)


@dataclass(slots=True)
class Report:
    """All there is to say."""

    file: str
    kind: str
    blocklist: str
    texts: OrderTexts
    is_new: bool
    """The blocklist has no order of this id yet."""
    proposal: Proposal
    plan: Plan
    standing: Standing
    zone: tzinfo
    remarks: list[str] = field(default_factory=list)
    is_changed: bool = False
    """The blocklist would be another."""
    is_written: bool = False
    waits_as: str | None = None
    """Written, it waits for a second person under this id."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        plan, proposal = self.plan, self.proposal
        return {
            "file": self.file,
            "format": self.kind,
            "blocklist": self.blocklist,
            "order": {"id": self.texts.id, "new": self.is_new, **self.texts.keys()},
            "rows": proposal.row_count,
            "asks": proposal.asks,
            "found": [
                {
                    "kind": fact.kind,
                    "line": fact.line,
                    "written": fact.written,
                    "value": fact.value or None,
                    "context": fact.context,
                }
                for fact in proposal.facts
            ],
            "known": [
                known.as_json(
                    plan.added.get(known.platform.id, []),
                    plan.others.get(known.platform.id, []),
                    plan.entry_of.get(known.platform.id),
                )
                for known in proposal.known
            ],
            "new": [new.as_json() for new in proposal.new],
            "not_taken": [one.as_json() for one in proposal.not_taken],
            "enforced": {state.value: self.standing.count(state) for state in State},
            "unenforced": {reason.value: count for reason, count in self.standing.unenforced().items()},
            "remarks": self.remarks,
            "changed": self.is_changed,
            "written": self.is_written,
            "waits": waits_json(self.waits_as),
        }


def print_report(report: Report) -> None:
    """Print it on standard output."""
    columns = terminal_columns()
    for line in map(printable, _lines(report)):
        # What belongs to a line stands under it.
        indent = len(line) - len(line.lstrip()) + 4
        print("\n".join(wrapped(line, columns, indent)))


def _lines(report: Report) -> Iterator[str]:
    proposal, plan = report.proposal, report.plan
    title = "new" if report.is_new else "there already"
    asked = f"{counted(proposal.row_count, 'row')}, {counted(len(proposal.asks), 'address', 'addresses')}"
    yield f"Order {report.texts.id} ({title}), read from {report.file} ({report.kind}): {asked}"
    order = report.standing.order
    yield f"In force: {term_text(order.starts_at, order.ends_at, report.zone)}" + (
        f", mode {order.mode}" if order.mode else ""
    )
    if proposal.facts:
        yield ""
        yield "In the text; none of it is written (--from, --until or --through decide):"
        for fact in proposal.facts:
            value = f" = {fact.value}" if fact.value and fact.value != fact.written else ""
            yield f"  line {fact.line}: {fact.kind} {fact.written}{value}: {fact.context}"
    yield ""
    yield f"KNOWN: {counted(len(proposal.known), 'platform')}"
    for known in proposal.known:
        platform = known.platform
        where = "" if platform.is_in_policy else ", from the catalogue"
        asked = _written(known.addresses, with_notes=False) or f"line {known.line}: by its name"
        yield f"  {platform.id} ({platform.name}){where}: {asked}"
        if added := plan.added.get(platform.id) if platform.is_in_policy else None:
            yield f"      new names, in {plan.entry_of.get(platform.id, platform.id)}: {', '.join(added)}"
        if others := plan.others.get(platform.id):
            yield f"      under the order, too: {_some(others)}"
        yield from (f"      {remark}" for remark in known.remarks)
    yield ""
    yield f"NEW: {counted(len(proposal.new), 'platform')}"
    for new in proposal.new:
        yield f"  {new.id} ({new.name}): {_written(new.addresses)}"
        yield from (f"      {remark}" for remark in new.remarks)
    yield ""
    yield f"NOT TAKEN: {len(proposal.not_taken):,}"
    for one in proposal.not_taken:
        yield f"  {_not_taken(one)}"
    yield from _end(report)


def _end(report: Report) -> Iterator[str]:
    standing = report.standing
    yield ""
    yield from (f"Note: {remark}" for remark in report.remarks)
    counts = [
        f"{standing.count(state):,} {word}"
        for state, word in (
            (State.ENFORCED, "enforced"),
            (State.PENDING, "when it begins"),
            (State.UNENFORCED, "not"),
        )
        if standing.count(state)
    ]
    yield f"Of {len(standing.asks):,} that the order asks for: {', '.join(counts) or 'none'}" + (
        "" if report.is_written else " (as it would be)"
    )
    if report.waits_as is not None:
        yield f"Written to {report.blocklist}."
        yield from waits_lines(report.waits_as)
    elif report.is_written:
        yield f"Written to {report.blocklist}; a running server loads it within seconds."
        yield f"Then: exchange-resolver order show {report.texts.id}"
    elif report.is_changed:
        yield "Nothing was written; --write does it."
    else:
        yield "The blocklist has it all already; nothing is to be written."


def _written(addresses: Sequence[Address], *, with_notes: bool = True) -> str:
    lines: dict[int, list[str]] = {}
    for address in addresses:
        note = f" ({address.note})" if with_notes and address.note else ""
        lines.setdefault(address.line, []).append(address.written + note)
    return "; ".join(f"line {line}: {', '.join(texts)}" for line, texts in lines.items())


def _not_taken(one: NotTaken) -> str:
    text = f"line {one.line}: {one.written}: {one.why}"
    if one.suggestions and one.reason in _ASKABLE:
        return f"{text}; if meant: {' or '.join(f'--take {name}' for name in one.suggestions)}"
    return text


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more:,} more" if more > 0 else "")
