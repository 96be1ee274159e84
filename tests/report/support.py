"""Reports to test with: a small one of every kind of thing, and texts that want to be more than texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from resolver.blocklist.concealing import Concealment
from resolver.blocklist.difference import compare
from resolver.blocklist.in_force import InForce
from resolver.blocklist.openings import find_opening
from resolver.blocklist.reader import read_what_served
from resolver.publishing.history import Generation
from resolver.report.collecting import collect
from resolver.report.facts import Audit, AuditFinding, AuditOfOrder, Day, Hits, Report
from resolver.report.sources import AuditSource, HistorySource, HitSource, Sources

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=ZONE).timestamp()

POLICY = """\
version: 1
defaults: {time_zone: Europe/Berlin, contact: "mailto:noc@example.net"}
orders:
  fma-2026-17:
    authority: Financial Markets Authority
    title: Order on unlicensed trading platforms
    reference: FMA 2026/17
    date: 2026-11-12
    url: https://fma.example/orders/2026-17
    imposed_by: external
    from: 2026-11-16
    until: 2027-11-16
    received: 2026-11-13T09:30:00+01:00
    due: 2026-11-20T00:00:00+01:00
    measure: {ipv4: 192.0.2.80, ipv6: "2001:db8::80"}
    asks: [newcoin.example, "https://t.me/newcoin", 198.51.100.7, www.swiftpay.example, other.example]
  court-991: {authority: District Court, title: Interim injunction, reference: 3 O 991/26, imposed_by: external,
    mode: shadow, received: "2026-11-25T10:00:00+01:00", due: "2026-12-10T00:00:00+01:00", asks: [openbook.example]}
  secret-5: {authority: Hidden Office, title: Hidden title, imposed_by: external, confidential: true}
  house: {authority: The operator, title: House rules, imposed_by: house}
exchanges:
  newcoin:
    name: NewCoin
    aliases: [NewCoin Global]
    category: exchange
    order: fma-2026-17
    domains: [newcoin.example, "=login.newcoin.test", "*.cdn.newcoin.test", xn--bcher-kva.example]
    addresses: [203.0.113.16/28]
  swiftpay: {name: SwiftPay, category: payment, order: [fma-2026-17, house], domains: [swiftpay.example]}
  openbook: {name: OpenBook, order: court-991, domains: [openbook.example]}
  quiet: {name: Quiet Platform, order: secret-5, domains: [quiet.example]}
  later: {name: Later, order: house, from: 2027-01-01, domains: [later.example]}
allow:
  - {name: help.newcoin.example, from: 2026-11-20, through: 2026-12-31, reason: refunds of customers, ticket: NOC-815}
  - other.example
"""
BEFORE = POLICY.replace("  swiftpay: {name: SwiftPay,", "  swiftpay: {name: Swift Pay, mode: shadow,")


@dataclass(frozen=True)
class _NothingHidden:
    def holds(self, text: str) -> bool:
        return False


def hidden_nothing(_: int) -> Callable[[str], bool]:
    return lambda _text: False


def generation(
    number: int, at: float, before: str | None, text: str, *, counts: Mapping[str, Any] | None = None
) -> Generation:
    """What the recorder would have written."""
    old = None if before is None else parsed(before)
    new = parsed(text)
    changes: dict[str, Any] = {"list_names": {}, "files": []}
    if old is not None and (opening := find_opening(InForce(old, at), InForce(new, at))):
        changes["opened"] = opening.as_json(100)
    changes |= compare(old, new).as_json(names_max=1000)
    return Generation(
        number, at, f"content-{number}", sha256(text), "ann", "owner", "", dict(counts or {}), changes, True
    )


def parsed(text: str) -> Any:
    blocklist = read_what_served(Path("blocklist.yaml"), text.encode())
    assert blocklist is not None
    return blocklist


def sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def days(first: date, *counts: int | tuple[int, int]) -> Hits:
    """Hits of consecutive days."""
    return Hits(
        tuple(
            Day(first + timedelta(number), *(count if isinstance(count, tuple) else (count, 0)))
            for number, count in enumerate(counts)
            if count
        )
    )


AUDIT = Audit(
    at=NOW - 3600,
    took_s=41.0,
    servers=("this server",),
    queries=812,
    policy="abc123",
    counts=(("uncovered", 1), ("covered", 6), ("shadowed", 1)),
    findings=(
        AuditFinding("newcoin.example", "HTTPS", "this server", "uncovered", "records came: 1", "newcoin"),
    ),
    finding_count=1,
    orders=(("fma-2026-17", AuditOfOrder((("uncovered", 1), ("covered", 5)))),),
)


def sources(text: str = POLICY, **changed: Any) -> Sources:
    """Everything of the example."""
    octets = text.encode()
    blocklist = read_what_served(Path("blocklist.yaml"), octets)
    assert blocklist is not None
    first = date(2026, 11, 16)
    generations: Sequence[Generation] = (
        generation(1, NOW - 60 * 86_400, None, BEFORE),
        generation(2, NOW - 10 * 86_400, BEFORE, text),
    )
    made = Sources(
        blocklist=blocklist,
        octets=octets,
        file="blocklist.yaml",
        is_served=True,
        is_edited=False,
        zone=ZONE,
        zone_name="Europe/Berlin",
        first=first,
        last=date(2026, 11, 30),
        only_order="",
        version="1.2.3",
        host="dns1.example",
        hides=(Concealment(Path("blocklist.yaml"), octets),),
        hides_of_change=lambda _: Concealment(Path("blocklist.yaml"), octets).holds,
        history=HistorySource(generations, {"fma-2026-17": NOW - 14 * 86_400}),
        hits=HitSource(
            exchanges={
                "newcoin": days(first, 120, 340, 290, 0, 415, 388, 501, 477),
                "swiftpay": days(first, 0, 12, 9),
                "openbook": days(first, (0, 3), (0, 5)),
            },
            orders={"fma-2026-17": days(first, 120, 352, 299, 0, 415, 388, 501, 477)},
            confidential=days(first, 7, 7),
        ),
        audit=AuditSource(AUDIT),
    )
    return replace(made, **changed)


def report(text: str = POLICY, **changed: Any) -> Report:
    return collect(sources(text, **changed), NOW)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title></table><script>1</script>",
    "a|b|c `x` *y* _z_ [l](javascript:1) ![i](http://x.example/)",
    "line one\r\n\r\n# not a heading\n| not | a | table |",
    "=HYPERLINK(\"http://x.example\")",
    "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "a;=1+1", "＝1+1",
    "\u202ereversed\u202c \u2066isolated\u2069 \u200f",
    "]]> --> <!-- &amp; &#60; \\ \\| ``` ~~~",
    "' OR 1=1 --", "{order} {count} %s ${x}",
    "www.example.com http://example.com <https://example.com>",
    "مرحبا بالعالم", "x" * 60_000, "é" * 60_000,
)  # fmt: skip
