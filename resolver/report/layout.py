"""A report as a document: the cover, the summary, a part for each order, and how it was made.

Knows: what stands on which page, and in which language.  Does not know: formats, where facts come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from resolver.report.catalogue import Texts
from resolver.report.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Document,
    Facts,
    Figure,
    Figures,
    Heading,
    Jump,
    Mark,
    Note,
    Paragraph,
    Section,
    Small,
    Table,
    Title,
)
from resolver.report.facts import Change, Order, Report, State
from resolver.report.moments import exact_moment, shown_duration, shown_number
from resolver.report.order_pages import (
    exceptions_table,
    hits_blocks,
    order_section,
    unordered_section,
)
from resolver.report.periods import runs_of
from resolver.report.plain import shown
from resolver.report.wording import NONE, Wording

CONTENTS_SHOWN_MAX = 40
NAMES_OF_CHANGE_MAX = 20
CHANGES_SHOWN_MAX = 500
FINDINGS_SHOWN_MAX = 500
PAUSES_SHOWN_MAX = 20
"""The last ones; the others are in the data."""
GAPS_SHOWN_MAX = 31

METHOD = (
    "sources",
    "state",
    "reach",
    "in_force",
    "not_enforced",
    "hits",
    "audit",
    "confidential",
    "limits",
)
"""The points of the statement of method, in their order."""


def document_of(report: Report, texts: Texts, zone: tzinfo) -> Document:
    """The report in one language."""
    say = Wording(report, texts, zone)
    sections = [_summary(say)]
    sections += [order_section(order, number, say) for number, order in enumerate(report.orders, 1)]
    if (unordered := unordered_section(say)) is not None:
        sections.append(unordered)
    sections.append(_record(say))
    period = f"{report.period.first} – {report.period.last}"
    return Document(
        language=texts.language,
        is_right_to_left=texts.is_right_to_left,
        title=texts("title"),
        subtitle=_subtitle(say),
        running=f"{texts('title')} · {texts.apart(period)}",
        page=texts("page"),
        cover=(*_cover(say), *_contents(sections, say)),
        sections=tuple(sections),
    )


def _subtitle(say: Wording) -> str:
    report = say.report
    if report.only_order and report.orders:
        order = report.orders[0]
        return " · ".join(filter(None, (shown(order.authority), shown(order.reference) or order.id)))
    return say.texts("subtitle")


def _cover(say: Wording) -> Iterator[Block]:
    report, texts = say.report, say.texts
    period = f"{report.period.first} – {report.period.last}"
    rows: list[tuple[str, Cell]] = [
        (
            texts("period"),
            (f"{texts.apart(period)} ({texts('days', count=shown_number(report.period.day_count))})",),
        ),
        (texts("made_at"), (exact_moment(report.made_at, say.zone),)),
        (texts("time_zone"), (report.zone,)),
        (texts("server"), (f"{report.host}, {report.product} {report.version}",)),
    ]
    if report.policy.contact:
        rows.append((texts("contact"), (shown(report.policy.contact),)))
    rows.append((texts("policy_hash"), (Code(report.policy.sha256),)))
    if report.policy.generation is not None:
        served = texts(
            "generation_text",
            number=shown_number(report.policy.generation),
            at=say.moment(report.policy.served_at),
        )
        rows.append((texts("generation"), (served,)))
    yield Facts(tuple(rows), is_wide=True)


def _contents(sections: Sequence[Section], say: Wording) -> Iterator[Block]:
    """What to find in it; the parts on orders by their titles."""
    yield Heading(say.texts("contents"))
    items: list[Cell] = [(Jump(one.anchor, one.title[:90]),) for one in sections[:CONTENTS_SHOWN_MAX]]
    items += [(Jump("statement", say.texts("integrity")),)]
    yield Bullets(tuple(items))


def _summary(say: Wording) -> Section:
    report, texts = say.report, say.texts
    blocks: list[Block] = [_summary_figures(say)]
    for missing in report.missing:
        blocks.append(Note((texts(f"missing_{missing.value}"),), "warn"))
    if report.orders:
        blocks += [Heading(texts("orders")), _orders_table(say)]
    if secret := report.confidential:
        if secret.orders or secret.exchanges or secret.lists:
            said = texts(
                "confidential_text",
                orders=shown_number(secret.orders),
                exchanges=shown_number(secret.exchanges),
                lists=shown_number(secret.lists),
                names=shown_number(secret.names),
                hits=say.hits(secret.hits),
            )
            blocks += [Heading(texts("confidential")), Paragraph((said,))]
    blocks += _pause_notes(say)
    blocks += hits_blocks(report.hits, say)
    if report.gaps:
        runs = runs_of([gap.day for gap in report.gaps])
        days = ", ".join(runs[:GAPS_SHOWN_MAX])
        left = len(runs) - GAPS_SHOWN_MAX
        more = f" {texts('and_more', count=shown_number(left))}" if left > 0 else ""
        blocks.append(Note((texts("gaps_text", days=days + more),), "quiet"))
    return Section("summary", texts("summary"), texts("summary"), tuple(blocks))


def _pause_notes(say: Wording) -> Iterator[Note]:
    """The times in which less was blocked, or nothing."""
    texts = say.texts
    pauses = say.report.pauses
    for pause in pauses[-PAUSES_SHOWN_MAX:]:
        said = texts(
            "pause_text",
            first=say.moment(pause.starts_at),
            end=say.moment(pause.ends_at),
            time=shown_duration(pause.ends_at - pause.starts_at),
            reason=pause.reason,
        )
        scope = texts("pause_all") if pause.including_orders else texts("pause_house")
        yield Note((f"{said}. {scope}",), "warn")
    if (left := len(pauses) - PAUSES_SHOWN_MAX) > 0:
        yield Note((texts("more_in_data", count=shown_number(left)),), "quiet")


def _summary_figures(say: Wording) -> Figures:
    report, texts = say.report, say.texts
    in_force = sum(order.state is State.IN_FORCE and order.is_blocking for order in report.orders)
    enforced = [one for one in report.exchanges if one.state is State.IN_FORCE]
    names = sum(
        name.state in (State.IN_FORCE, State.PARTLY) for exchange in enforced for name in exchange.names
    )
    left = sum(len(order.not_enforced) for order in report.orders)
    items = [
        Figure(texts("figure_orders"), f"{shown_number(in_force)} / {shown_number(len(report.orders))}"),
        Figure(
            texts("figure_exchanges_in_force"),
            f"{shown_number(len(enforced))} / {shown_number(len(report.exchanges))}",
        ),
        Figure(texts("figure_names"), shown_number(names)),
        Figure(texts("figure_not_enforced"), shown_number(left), "", "bad" if left else "good"),
        Figure(texts("figure_hits"), say.hits(report.hits)),
    ]
    if report.audit is not None:
        count = report.audit.finding_count
        items.append(Figure(texts("figure_findings"), shown_number(count), "", "bad" if count else "good"))
    return Figures(tuple(items))


def _orders_table(say: Wording) -> Table:
    texts = say.texts
    columns = (
        Column(texts("order"), "wide"),
        Column(texts("received"), "tight"),
        Column(texts("due"), "tight"),
        Column(texts("in_force_since"), "tight"),
        Column(texts("state")),
        Column(texts("names"), "number"),
        Column(texts("not_enforced_short"), "number"),
        Column(texts("hits_short"), "number"),
    )
    return Table(columns, tuple(_order_row(order, say) for order in say.report.orders))


def _order_row(order: Order, say: Wording) -> tuple[Cell, ...]:
    details = " · ".join(filter(None, (shown(order.authority)[:120], shown(order.reference)[:80])))
    deadline = say.deadline_shortly(order)
    due: Cell = (say.day(order.due_at),) if deadline is None else (say.day(order.due_at), " ", deadline)
    since: Cell = (say.day(order.in_force_since),)
    if order.took_s is not None:
        since = (*since, " ", Small(say.took(order)))
    return (
        (Code(order.id), " ", Small(details)),
        (say.day(order.received_at),),
        due,
        since,
        (say.state(order.state),),
        (shown_number(order.name_count),),
        (shown_number(len(order.not_enforced)) if order.asks else NONE,),
        (say.hits(order.hits),),
    )


def _record(say: Wording) -> Section:
    """What is not about one order."""
    texts = say.texts
    blocks: list[Block] = []
    if found := say.report.exceptions:
        blocks += [Paragraph((texts("exceptions_text"),)), exceptions_table(found, say)]
    else:
        blocks.append(Paragraph((texts("no_exceptions"),)))
    for part, content in (("changes", _changes(say)), ("audit", _audit(say)), ("method", _method(say))):
        blocks += [Title(texts(part)), *content]
    title = texts("exceptions")
    running = " · ".join((title, texts("changes"), texts("audit"), texts("method")))
    return Section("record", title, running, tuple(blocks))


def _changes(say: Wording) -> Iterator[Block]:
    texts, changes = say.texts, say.report.changes
    if not changes:
        yield Paragraph((texts("no_changes"),))
        return
    columns = (Column(texts("when"), "tight"), Column(texts("what_changed"), "wide"))
    rows = tuple(
        ((say.moment(change.at), " ", Small(f"#{change.number}")), tuple(_change(change, say)))
        for change in changes[-CHANGES_SHOWN_MAX:]
    )
    left = len(changes) - len(rows)
    more = texts("more_in_data", count=shown_number(left)) if left > 0 else ""
    yield Paragraph((texts("changes_text"),))
    yield Table(columns, rows, more)


def _change(change: Change, say: Wording) -> Iterator[Code | str | Small | Mark]:
    texts = say.texts
    if change.cause != "edit":
        yield Mark(texts(f"cause_{change.cause}"), "quiet")
        yield " "
    if change.is_forced:
        yield Mark(texts("forced"), "warn")
        yield " "
    if not change.is_known:
        yield texts("change_unknown")
    elif not change.items:
        yield texts("change_none")
    for number, item in enumerate(change.items):
        if number:
            yield "; "
        yield f"{texts.of('change', item.what)} "
        yield from say.listed(item.names[:NAMES_OF_CHANGE_MAX], item.count)  # type: ignore[misc]


def _audit(say: Wording) -> Iterator[Block]:
    texts, audit = say.texts, say.report.audit
    if audit is None:
        yield Note((texts("missing_no_audit"),), "warn")
        return
    rows: list[tuple[str, Cell]] = [
        (texts("when"), (say.moment(audit.at),)),
        (texts("audit_servers"), say.codes(audit.servers)),
        (texts("audit_queries"), (shown_number(audit.queries),)),
        (texts("audit_took"), (shown_duration(audit.took_s),)),
    ]
    rows += [(texts.of("audit", result), (shown_number(count),)) for result, count in audit.counts]
    yield Paragraph((texts("audit_text"),))
    yield Facts(tuple(rows))
    if not audit.finding_count:
        yield Paragraph((Mark(texts("audit_fine"), "good"),))
    if not audit.findings:
        return
    columns = (
        Column(texts("name"), "wide"),
        Column(texts("query_type")),
        Column(texts("server")),
        Column(texts("result")),
        Column(texts("why"), "wide"),
    )
    found = tuple(
        (
            (Code(one.name),),
            (Code(one.qtype) if one.qtype else NONE,),
            (Code(one.server) if one.server else NONE,),
            (Mark(texts.of("audit", one.state), "bad" if one.state == "uncovered" else "warn"),),
            (shown(one.reason),),
        )
        for one in audit.findings[:FINDINGS_SHOWN_MAX]
    )
    left = len(audit.findings) - len(found)
    yield Table(columns, found, texts("more_in_data", count=shown_number(left)) if left > 0 else "")


def _method(say: Wording) -> Iterator[Block]:
    texts = say.texts
    yield Paragraph((texts("method_intro", server=f"{say.report.product} {say.report.version}"),))
    yield Bullets(tuple((texts(f"method_{point}"),) for point in METHOD))
