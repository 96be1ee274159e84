"""The pages on one order, and on what no order is cited for: what an authority reads first.

Knows: what stands there, in which order.  Does not know: where it comes from, formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from resolver.orders.reach import Reason
from resolver.report.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Facts,
    Figure,
    Figures,
    Heading,
    Link,
    Mark,
    Note,
    Paragraph,
    Section,
    Small,
    Table,
    Tone,
)
from resolver.report.facts import Exchange, Exemption, Hits, NameList, Order, State, added_up
from resolver.report.moments import shown_number
from resolver.report.plain import shown
from resolver.report.wording import NONE, Wording, text_or_none

NAMES_SHOWN_MAX = 5_000
"""Names in one table of a document for people: some hundred pages; CSV and JSON have all."""
ASKS_SHOWN_MAX = 2_000


def order_section(order: Order, number: int, say: Wording) -> Section:
    """One order."""
    texts = say.texts
    exchanges = [one for one in say.report.exchanges if one.id in set(order.exchanges)]
    lists = [one for one in say.report.lists if one.id in set(order.lists)]
    blocks: list[Block] = [_facts(order, say), _figures(order, say)]
    if order.state is State.IN_FORCE and not order.is_blocking:
        blocks.append(Note((texts("order_blocks_nothing"),), "warn"))
    blocks += hits_blocks(order.hits, say)
    blocks += exchange_blocks(exchanges, say)
    blocks += list_blocks(lists, say)
    blocks += _not_enforced_blocks(order, say)
    blocks += _exception_blocks(exchanges, say)
    blocks += _audit_blocks(order, say)
    title = shown(order.title) or order.id
    running = " · ".join(filter(None, (order.id, shown(order.authority)[:80], shown(order.reference)[:60])))
    return Section(f"order-{number}", title, texts("running_order", order=running), tuple(blocks))


def unordered_section(say: Wording) -> Section | None:
    """Exchanges and lists that cite no order that may be named; None: there are none."""
    texts = say.texts
    exchanges = [one for one in say.report.exchanges if not one.orders]
    lists = [one for one in say.report.lists if not one.orders]
    if not (exchanges or lists):
        return None
    blocks: list[Block] = [Paragraph((texts("unordered_text"),))]
    hits = added_up((*(one.hits for one in exchanges), *(one.hits for one in lists)))
    blocks += hits_blocks(hits, say)
    blocks += exchange_blocks(exchanges, say)
    blocks += list_blocks(lists, say)
    return Section("unordered", texts("unordered"), texts("unordered"), tuple(blocks))


def _facts(order: Order, say: Wording) -> Facts:
    texts = say.texts
    rows: list[tuple[str, Cell]] = [
        (texts("order_id"), (Code(order.id),)),
        (texts("authority"), (text_or_none(order.authority),)),
        (texts("reference"), (text_or_none(order.reference),)),
        (texts("issued"), (text_or_none(order.date),)),
        (texts("basis"), (texts.of("basis", order.imposed_by),)),
    ]
    if order.url:
        rows.append((texts("published"), (Link(shown(order.url)),)))
    rows += [
        (texts("received"), (say.moment(order.received_at),)),
        (texts("due"), (say.moment(order.due_at),)),
        (texts("in_force_since"), (say.moment(order.in_force_since, texts("not_recorded")),)),
        (texts("took"), (say.took(order),)),
        (texts("deadline"), (say.deadline(order),)),
        (texts("term"), (say.term(order.starts_at, order.ends_at),)),
        (texts("state"), (say.state(order.state),)),
        (texts("measure"), (order.measure or texts("measure_open"),)),
    ]
    return Facts(tuple(rows))


def _figures(order: Order, say: Wording) -> Figures:
    texts = say.texts
    items = [
        Figure(texts("figure_names"), shown_number(order.name_count)),
        Figure(texts("figure_exchanges"), shown_number(len(order.exchanges))),
    ]
    if order.lists:
        items.append(Figure(texts("figure_lists"), shown_number(len(order.lists))))
    if order.asks:
        tone: Tone = "bad" if order.not_enforced else "good"
        done = f"{shown_number(order.asks_enforced)} / {shown_number(order.asks)}"
        items.append(Figure(texts("figure_asks"), done, "", tone))
    items.append(Figure(texts("figure_hits"), say.hits(order.hits)))
    return Figures(tuple(items))


def hits_blocks(hits: Hits, say: Wording) -> Iterator[Block]:
    """The chart of hits, and what it does not hold."""
    texts = say.texts
    yield Heading(texts("hits"))
    if not say.report.has_hits:
        yield Note((texts("missing_no_hits"),), "quiet")
        return
    blocked, shadow = shown_number(hits.blocked), shown_number(hits.shadow)
    yield Paragraph((texts("hits_text", blocked=blocked, shadow=shadow),))
    if hits.days:
        yield say.chart(hits)


def exchange_blocks(exchanges: Sequence[Exchange], say: Wording) -> Iterator[Block]:
    """A table of exchanges, and one of their names."""
    if not exchanges:
        return
    texts = say.texts
    yield Heading(texts("exchanges"))
    columns = (
        Column(texts("exchange"), "wide"),
        Column(texts("state")),
        Column(texts("client_gets")),
        Column(texts("in_force_since"), "tight"),
        Column(texts("names"), "number"),
        Column(texts("hits_short"), "number"),
        Column(texts("hits_trend")),
    )
    yield Table(columns, tuple(_exchange_row(one, say) for one in exchanges))
    yield from _names_blocks(exchanges, say)


def _names_blocks(exchanges: Sequence[Exchange], say: Wording) -> Iterator[Block]:
    texts = say.texts
    yield Heading(texts("names_and_rules"))
    columns = (
        Column(texts("name"), "wide"),
        Column(texts("covers")),
        Column(texts("exchange")),
        Column(texts("state")),
        Column(texts("rule")),
    )
    rows = [
        (
            say.name(name),
            (say.form(name.form),),
            (Code(one.id),),
            (say.state(name.state),),
            say.rule(name.file, name.line),
        )
        for one in exchanges
        for name in one.names
    ]
    left = len(rows) - NAMES_SHOWN_MAX
    more = texts("more_in_data", count=shown_number(left)) if left > 0 else ""
    yield Table(columns, tuple(rows[:NAMES_SHOWN_MAX]), more)


def _exchange_row(one: Exchange, say: Wording) -> tuple[Cell, ...]:
    hits = say.hits(one.hits)
    if one.state is State.SHADOW:
        hits = say.texts("shadow_count", count=say.shadow(one.hits))
    return (
        (shown(one.name), " ", Code(one.id)),
        (say.state(one.state),),
        (Code(one.action),),
        (say.moment(one.in_force_since),),
        (shown_number(len(one.names)),),
        (hits,),
        say.spark(one.hits),
    )


def list_blocks(lists: Sequence[NameList], say: Wording) -> Iterator[Block]:
    """Lists and registers, and what of a register is no rule."""
    if not lists:
        return
    texts = say.texts
    yield Heading(texts("lists"))
    columns = (
        Column(texts("list"), "wide"),
        Column(texts("state")),
        Column(texts("client_gets")),
        Column(texts("names"), "number"),
        Column(texts("hits_short"), "number"),
        Column(texts("file_hash")),
        Column(texts("rule")),
    )
    yield Table(
        columns,
        tuple(
            (
                (Code(one.id), " ", Small(f"{shown(one.source)}, {one.format}")),
                (say.state(one.state),),
                (Code(one.action),) if one.action else (texts.of("list_kind", one.kind),),
                (NONE if one.name_count is None else shown_number(one.name_count),),
                (say.hits(one.hits),),
                (Code(one.digest),) if one.digest else (NONE,),
                say.rule(one.file, one.line),
            )
            for one in lists
        ),
    )
    for one in lists:
        if one.records is None or one.enforced is None:
            continue
        count, enforced = shown_number(one.records), shown_number(one.enforced)
        said = texts("register_text", list=one.id, records=count, enforced=enforced)
        reasons = [
            f"{texts.of('register', reason)}: {texts.apart(shown_number(n))}"
            for reason, n in one.not_enforced
        ]
        yield Paragraph((f"{said} {'; '.join(reasons)}" if reasons else said,))


def _not_enforced_blocks(order: Order, say: Wording) -> Iterator[Block]:
    texts = say.texts
    if not order.asks:
        return
    yield Heading(texts("not_enforced"))
    if not order.not_enforced:
        yield Paragraph((Mark(texts("all_enforced"), "good"),))
        if order.asks_pending:
            yield Paragraph((texts("pending_text", count=shown_number(order.asks_pending)),))
        return
    rows = [
        ((Code(shown(one.ask)),), _why(one.reason, one.why, say))
        for one in order.not_enforced[:ASKS_SHOWN_MAX]
    ]
    left = len(order.not_enforced) - len(rows)
    more = texts("more_in_data", count=shown_number(left)) if left > 0 else ""
    yield Table((Column(texts("ask"), "wide"), Column(texts("why"), "wide")), tuple(rows), more)


def _why(reason: str, why: str, say: Wording) -> Cell:
    text = say.texts.of("reason", reason)
    # The sentence is English and written by the program; other languages have the reason alone.
    is_told = why and say.texts.language == "en" and reason in _TOLD_MORE
    return (text, " ", Small(shown(why))) if is_told else (text,)


_TOLD_MORE = frozenset(
    (
        Reason.PROTECTED,
        Reason.SHARED_PLATFORM,
        Reason.EXCEPTED,
        Reason.NOT_CITED,
        Reason.NOT_IN_FORCE,
        Reason.DOUBTFUL,
    )
)
"""Reasons of which the sentence says more than the word."""


def _exception_blocks(exchanges: Sequence[Exchange], say: Wording) -> Iterator[Block]:
    ids = {one.id for one in exchanges}
    found = [one for one in say.report.exceptions if ids.intersection(one.touches)]
    if found:
        yield Heading(say.texts("exceptions"))
        yield exceptions_table(found, say)


def exceptions_table(found: Sequence[Exemption], say: Wording) -> Table:
    """Exceptions, each with its dates and its reason."""
    texts = say.texts
    columns = (
        Column(texts("name"), "wide"),
        Column(texts("state")),
        Column(texts("term")),
        Column(texts("exchange")),
        Column(texts("reason")),
        Column(texts("rule")),
    )
    return Table(
        columns,
        tuple(
            (
                (Code(one.text), " ", Small(f"{texts(f'kind_{one.kind}')}, {say.form(one.form)}")),
                (say.state(one.state),),
                (say.term(one.starts_at, one.ends_at),),
                say.codes(one.touches),
                (shown(" · ".join(filter(None, (one.reason, one.ticket)))) or NONE,),
                say.rule(one.file, one.line),
            )
            for one in found
        ),
    )


def _audit_blocks(order: Order, say: Wording) -> Iterator[Block]:
    audit = say.report.audit
    found = None if audit is None else audit.of_order(order.id)
    if audit is None or found is None:
        return
    texts = say.texts
    yield Heading(texts("audit"))
    counts = [
        f"{texts.of('audit', result)}: {texts.apart(shown_number(count))}" for result, count in found.counts
    ]
    yield Paragraph((texts("audit_of_order", at=say.moment(audit.at)), " ", "; ".join(counts)))
    members = {*order.exchanges, *order.lists}
    wrong = [one for one in audit.findings if one.owner in members]
    if wrong:
        yield Bullets(tuple(_finding(one.name, one.qtype, one.server, one.reason) for one in wrong[:200]))


def _finding(name: str, qtype: str, server: str, reason: str) -> Cell:
    return (Code(name), " ", Code(qtype), " ", shown(reason), " ", Small(server))
