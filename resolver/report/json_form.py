"""The report as JSON, and the canonical form of that: what hashes and signatures speak of.

Knows: every key of the JSON form.  Does not know: languages, files, how it is signed.
Theory: one value has one canonical form: keys sorted, no spaces, UTF-8, no numbers but whole ones, which is
the form of RFC 8785.  So two people who have the same report have the same hash of it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import tzinfo
from typing import Any

from resolver.report.facts import (
    VERSION,
    Audit,
    Change,
    Exchange,
    Exemption,
    Hits,
    Name,
    NameList,
    Order,
    Report,
)
from resolver.report.moments import iso_moment


def as_json(report: Report, zone: tzinfo) -> dict[str, Any]:
    """All of it.  Moments are ISO 8601 with the offset of the report's zone, durations whole seconds."""
    policy, period, confidential = report.policy, report.period, report.confidential
    return {
        "version": VERSION,
        "product": report.product,
        "product_version": report.version,
        "host": report.host,
        "made_at": iso_moment(report.made_at, zone),
        "time_zone": report.zone,
        "period": {"first": period.first.isoformat(), "last": period.last.isoformat()},
        "only_order": report.only_order or None,
        "policy": {
            "file": policy.file,
            "sha256": policy.sha256,
            "content": policy.content or None,
            "generation": policy.generation,
            "served_at": iso_moment(policy.served_at, zone),
            "contact": policy.contact or None,
        },
        "missing": [one.value for one in report.missing],
        "hits": _hits(report.hits) if report.has_hits else None,
        "days_not_counted_whole": [
            {"day": gap.day.isoformat(), "covered_s": seconds(gap.covered_s)} for gap in report.gaps
        ],
        "pauses": [
            {
                "from": iso_moment(pause.starts_at, zone),
                "to": iso_moment(pause.ends_at, zone),
                "reason": pause.reason,
                "including_orders": pause.including_orders,
            }
            for pause in report.pauses
        ],
        "orders": [_order(order, report, zone) for order in report.orders],
        "exchanges": [_exchange(one, report, zone) for one in report.exchanges],
        "lists": [_list(one, report, zone) for one in report.lists],
        "exceptions": [_exception(one, zone) for one in report.exceptions],
        "changes": [_change(one, zone) for one in report.changes],
        "audit": None if report.audit is None else _audit(report.audit, zone),
        "confidential": {
            "orders": confidential.orders,
            "exchanges": confidential.exchanges,
            "lists": confidential.lists,
            "names": confidential.names,
            "hits": _hits(confidential.hits) if report.has_hits else None,
        },
    }


def canonical(content: dict[str, Any]) -> bytes:
    """The canonical form of JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate cannot be written; YAML lets none in, but a history of somebody else may.
    return text.encode("utf-8", "replace")


def hash_of(octets: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(octets).hexdigest()


def seconds(duration: float | None) -> int | None:
    """Whole seconds; None stays None."""
    return None if duration is None else round(duration)


def _hits(hits: Hits) -> dict[str, Any]:
    return {
        "blocked": hits.blocked,
        "shadow": hits.shadow,
        "days": [
            {"day": day.day.isoformat(), "blocked": day.blocked, "shadow": day.shadow} for day in hits.days
        ],
    }


def _order(order: Order, report: Report, zone: tzinfo) -> dict[str, Any]:
    found = None if report.audit is None else report.audit.of_order(order.id)
    return {
        "id": order.id,
        "authority": order.authority,
        "title": order.title,
        "reference": order.reference or None,
        "date": order.date or None,
        "url": order.url or None,
        "imposed_by": order.imposed_by,
        "state": order.state.value,
        "mode": order.mode,
        "measure": order.measure or None,
        "from": iso_moment(order.starts_at, zone),
        "until": iso_moment(order.ends_at, zone),
        "received": iso_moment(order.received_at, zone),
        "due": iso_moment(order.due_at, zone),
        "first_served": iso_moment(order.first_served_at, zone),
        "in_force_since": iso_moment(order.in_force_since, zone),
        "took_s": seconds(order.took_s),
        "ahead_s": seconds(order.ahead_s),
        "blocks_now": order.is_blocking,
        "exchanges": list(order.exchanges),
        "lists": list(order.lists),
        "names_blocked": order.name_count,
        "asks": {
            "total": order.asks,
            "enforced": order.asks_enforced,
            "pending": order.asks_pending,
            "not_enforced": len(order.not_enforced),
        },
        "not_enforced": [
            {"ask": one.ask, "reason": one.reason, "why": one.why or None, "exchange": one.exchange or None}
            for one in order.not_enforced
        ],
        "hits": _hits(order.hits) if report.has_hits else None,
        "audit": None if found is None else dict(found.counts),
    }


def _exchange(one: Exchange, report: Report, zone: tzinfo) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "aliases": list(one.aliases),
        "category": one.category or None,
        "orders": list(one.orders),
        "state": one.state.value,
        "action": one.action,
        "ttl_s": one.ttl_s,
        "from": iso_moment(one.starts_at, zone),
        "until": iso_moment(one.ends_at, zone),
        "in_policy_since": iso_moment(one.in_policy_since, zone),
        "in_force_since": iso_moment(one.in_force_since, zone),
        "names": [_name(name) for name in one.names],
        "hits": _hits(one.hits) if report.has_hits else None,
    }


def _name(name: Name) -> dict[str, Any]:
    return {
        "name": name.text,
        "unicode": name.unicode or None,
        "form": name.form,
        "state": name.state.value,
        "file": name.file,
        "line": name.line,
    }


def _list(one: NameList, report: Report, zone: tzinfo) -> dict[str, Any]:
    return {
        "name": one.id,
        "source": one.source,
        "format": one.format,
        "kind": one.kind,
        "orders": list(one.orders),
        "state": one.state.value,
        "action": one.action or None,
        "from": iso_moment(one.starts_at, zone),
        "until": iso_moment(one.ends_at, zone),
        "file": one.file,
        "line": one.line,
        "names": one.name_count,
        "sha256_prefix": one.digest or None,
        "records": one.records,
        "entries_enforced": one.enforced,
        "entries_not_enforced": [{"reason": reason, "count": count} for reason, count in one.not_enforced],
        "hits": _hits(one.hits) if report.has_hits else None,
    }


def _exception(one: Exemption, zone: tzinfo) -> dict[str, Any]:
    return {
        "name": one.text,
        "form": one.form,
        "kind": one.kind,
        "state": one.state.value,
        "from": iso_moment(one.starts_at, zone),
        "until": iso_moment(one.ends_at, zone),
        "reason": one.reason or None,
        "ticket": one.ticket or None,
        "file": one.file,
        "line": one.line,
        "exchanges": list(one.touches),
    }


def _change(one: Change, zone: tzinfo) -> dict[str, Any]:
    return {
        "generation": one.number,
        "at": iso_moment(one.at, zone),
        "cause": one.cause,
        "forced": one.is_forced,
        "known": one.is_known,
        "items": [{"what": item.what, "names": list(item.names), "count": item.count} for item in one.items],
    }


def _audit(audit: Audit, zone: tzinfo) -> dict[str, Any]:
    return {
        "at": iso_moment(audit.at, zone),
        "took_s": seconds(audit.took_s),
        "servers": list(audit.servers),
        "queries": audit.queries,
        "policy": audit.policy or None,
        "names": dict(audit.counts),
        "finding_count": audit.finding_count,
        "findings": [
            {
                "name": one.name,
                "type": one.qtype,
                "server": one.server,
                "state": one.state,
                "reason": one.reason,
                "owner": one.owner or None,
            }
            for one in audit.findings
        ],
    }
