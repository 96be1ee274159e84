"""A report as one table in CSV (RFC 4180), for spreadsheets and programs: one line for each thing.

Knows: the columns, and what a spreadsheet takes for a formula.  Does not know: languages: heads and words
are the same in all.
Theory: the first column says what a line is about, so one file holds all, and a filter finds each.  Every
field is in quotes.  A field that a spreadsheet would run gets an apostrophe in front: `=`, `+`, `-`, `@`, a
tab or a return at its beginning, their wide forms, which some read alike, and behind signs at which some
spreadsheets would cut it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import tzinfo

from resolver.report.facts import Exchange, Hits, NameList, Order, Report
from resolver.report.json_form import seconds
from resolver.report.moments import iso_moment
from resolver.report.plain import one_line

BOM = "\ufeff"
"""Spreadsheets take a file without it for one in an old encoding."""
CELL_CHARS_MAX = 32_000
"""Spreadsheets hold 32,767 characters in a cell; the JSON has all of it."""

COLUMNS = (
    "kind", "order", "exchange", "list", "name", "form", "state", "action", "authority", "reference",
    "received", "due", "in_force_since", "took_s", "ahead_s", "from", "until", "file", "line", "date",
    "blocked", "shadow", "count", "reason", "detail",
)  # fmt: skip
"""What a line's `kind` does not have stays empty."""

_FORMULA = re.compile(r"(^|[\t\r\n,;|])(\s*)(?=[=+\-@\t\r＝＋－＠])")


def csv_body(report: Report, zone: tzinfo) -> str:
    """All lines but those of the statement (`csv_lines` of `statement`)."""
    return BOM + lines_of([dict.fromkeys(COLUMNS, "") | row for row in _rows(report, zone)], with_heads=True)


def lines_of(rows: list[dict[str, object]], *, with_heads: bool = False) -> str:
    """Rows as CSV; each has some of `COLUMNS`."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    if with_heads:
        writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([defused(row.get(column, "")) for column in COLUMNS])
    return file.getvalue()


def defused(value: object) -> str:
    """A field that is a text wherever it is opened."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    # Tabs and line ends are looked at before they are spaces: what they hide would stand at the front.
    text = _FORMULA.sub(r"\1\2'", str(value)[: 4 * CELL_CHARS_MAX])
    return one_line(text)[:CELL_CHARS_MAX]


def _rows(report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    yield from _head(report, zone)
    for order in report.orders:
        yield from _order(order, report, zone)
    for exchange in report.exchanges:
        yield from _exchange(exchange, report, zone)
    for one in report.lists:
        yield from _list(one, report, zone)
    for exempt in report.exceptions:
        yield {
            "kind": "exception",
            "exchange": " ".join(exempt.touches),
            "name": exempt.text,
            "form": exempt.form,
            "state": exempt.state.value,
            "action": exempt.kind,
            "from": iso_moment(exempt.starts_at, zone),
            "until": iso_moment(exempt.ends_at, zone),
            "file": exempt.file,
            "line": exempt.line,
            "reason": exempt.reason,
            "detail": exempt.ticket,
        }
    yield from _changes(report, zone)
    yield from _audit(report, zone)


def _head(report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    period, policy, secret = report.period, report.policy, report.confidential
    facts: tuple[tuple[str, object], ...] = (
        ("made_at", iso_moment(report.made_at, zone)),
        ("time_zone", report.zone),
        ("period_first", period.first.isoformat()),
        ("period_last", period.last.isoformat()),
        ("server", report.host),
        ("product", f"{report.product} {report.version}"),
        ("policy_sha256", policy.sha256),
        ("policy_content", policy.content),
        ("policy_generation", policy.generation),
        ("policy_served_at", iso_moment(policy.served_at, zone)),
    )
    yield from ({"kind": "report", "name": name, "detail": value} for name, value in facts)
    for missing in report.missing:
        yield {"kind": "missing", "name": missing.value}
    for gap in report.gaps:
        yield {"kind": "day_not_counted_whole", "date": gap.day.isoformat(), "count": seconds(gap.covered_s)}
    for pause in report.pauses:
        yield {
            "kind": "paused",
            "date": iso_moment(pause.starts_at, zone),
            "detail": iso_moment(pause.ends_at, zone),
            "reason": pause.reason,
            "action": "including orders" if pause.including_orders else "but orders of authorities",
        }
    for what, count in (
        ("orders", secret.orders),
        ("exchanges", secret.exchanges),
        ("lists", secret.lists),
        ("names", secret.names),
        ("hits", secret.hits.blocked if report.has_hits else 0),
    ):
        if count:
            yield {"kind": "confidential", "name": what, "count": count}


def _order(order: Order, report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    yield {
        "kind": "order",
        "order": order.id,
        "name": order.title,
        "state": order.state.value,
        "action": order.measure,
        "authority": order.authority,
        "reference": order.reference,
        "received": iso_moment(order.received_at, zone),
        "due": iso_moment(order.due_at, zone),
        "in_force_since": iso_moment(order.in_force_since, zone),
        "took_s": seconds(order.took_s),
        "ahead_s": seconds(order.ahead_s),
        "from": iso_moment(order.starts_at, zone),
        "until": iso_moment(order.ends_at, zone),
        "date": order.date,
        **_totals(order.hits, report),
        "count": order.name_count,
        "detail": order.url,
    }
    for one in order.not_enforced:
        yield {
            "kind": "not_enforced",
            "order": order.id,
            "exchange": one.exchange,
            "name": one.ask,
            "state": "not_enforced",
            "reason": one.reason,
            "detail": one.why,
        }
    yield from _days(order.hits, report, {"order": order.id})
    found = None if report.audit is None else report.audit.of_order(order.id)
    for result, count in () if found is None else found.counts:
        yield {"kind": "audit_of_order", "order": order.id, "state": result, "count": count}


def _exchange(one: Exchange, report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    orders = " ".join(one.orders)
    yield {
        "kind": "exchange",
        "order": orders,
        "exchange": one.id,
        "name": one.name,
        "state": one.state.value,
        "action": one.action,
        "in_force_since": iso_moment(one.in_force_since, zone),
        "from": iso_moment(one.starts_at, zone),
        "until": iso_moment(one.ends_at, zone),
        **_totals(one.hits, report),
        "count": len(one.names),
        "detail": one.category,
    }
    for name in one.names:
        yield {
            "kind": "address" if name.form == "network" else "domain",
            "order": orders,
            "exchange": one.id,
            "name": name.text,
            "form": name.form,
            "state": name.state.value,
            "action": one.action,
            "file": name.file,
            "line": name.line,
            "detail": name.unicode,
        }
    yield from _days(one.hits, report, {"exchange": one.id})


def _list(one: NameList, report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    yield {
        "kind": "list",
        "order": " ".join(one.orders),
        "list": one.id,
        "name": one.source,
        "form": one.format,
        "state": one.state.value,
        "action": one.action or one.kind,
        "from": iso_moment(one.starts_at, zone),
        "until": iso_moment(one.ends_at, zone),
        "file": one.file,
        "line": one.line,
        **_totals(one.hits, report),
        "count": one.name_count,
        "detail": one.digest,
    }
    for reason, count in one.not_enforced:
        yield {"kind": "register_not_enforced", "list": one.id, "reason": reason, "count": count}
    yield from _days(one.hits, report, {"list": one.id})


def _totals(hits: Hits, report: Report) -> dict[str, object]:
    return {"blocked": hits.blocked, "shadow": hits.shadow} if report.has_hits else {}


def _days(hits: Hits, report: Report, of: dict[str, object]) -> Iterator[dict[str, object]]:
    if report.has_hits:
        for day in hits.days:
            counts = {"date": day.day.isoformat(), "blocked": day.blocked, "shadow": day.shadow}
            yield {"kind": "hits", **of, **counts}


def _changes(report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    for change in report.changes:
        about: dict[str, object] = {
            "kind": "change",
            "date": iso_moment(change.at, zone),
            "line": change.number,
            "action": change.cause + (" forced" if change.is_forced else ""),
        }
        if not change.items:
            yield {**about, "reason": "none" if change.is_known else "unknown"}
        for item in change.items:
            yield {**about, "reason": item.what, "count": item.count, "detail": ", ".join(item.names)}


def _audit(report: Report, zone: tzinfo) -> Iterator[dict[str, object]]:
    audit = report.audit
    if audit is None:
        return
    at = iso_moment(audit.at, zone)
    for result, count in audit.counts:
        yield {"kind": "audit", "date": at, "state": result, "count": count}
    for one in audit.findings:
        yield {
            "kind": "audit_finding",
            "exchange": one.owner,
            "name": one.name,
            "form": one.qtype,
            "state": one.state,
            "date": at,
            "reason": one.reason,
            "detail": one.server,
        }
