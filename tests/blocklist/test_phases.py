"""What cites orders is in force while any of them is: dates, mode, measure and reasons, over time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.blocklist.date_remarks import date_problems
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.policy.verdict import Mode, PolicyAction, PolicyRule
from tests.support.for_each import for_each

PATH = Path("blocklist.yaml")
NOW = datetime(2026, 11, 30, tzinfo=UTC).timestamp()


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def read(orders: str, exchange: str, head: str = "") -> Blocklist:
    """`orders`: `id: keys` separated by `|`; the exchange's keys."""
    entries = "".join(
        f"  {label.strip()}: {{authority: A, title: T{keys and ', '}{keys.strip()}}}\n"
        for label, _, keys in (part.strip().partition(":") for part in orders.split("|"))
    )
    text = f"version: 1\n{head}orders:\n{entries}exchanges:\n  x: {{name: X, domains: [x.example], {exchange}}}\n"
    blocklist, problems = read_blocklist(PATH, octets=text.encode())
    assert blocklist is not None, problems
    return blocklist


def rule(orders: str, exchange: str, head: str = "") -> PolicyRule:
    [found] = read(orders, exchange, head).exchanges
    return found


def times(found: PolicyRule) -> list[str]:
    """On which of some days it is enforced (`+`), in shadow (`s`) or neither (`-`)."""
    said = []
    for text in ("2025-06-01", "2026-06-01", "2027-06-01", "2028-06-01"):
        now = found.at(day(text))
        sign = {Mode.ENFORCE: "+", Mode.SHADOW: "s", Mode.DISABLED: "-"}[now.mode]
        said.append(sign if now.is_within_dates(day(text)) else "-")
    return said


def enforced(found: PolicyRule) -> str:
    return "".join(times(found))


@for_each(
    ("orders", "exchange", "when"),
    [
        ("a: |b: ", "order: []", "++++"),
        ("a: from: 2026-01-01", "order: a", "-+++"),
        ("a: until: 2026-01-01|b: from: 2027-01-01", "order: [a, b]", "+-++"),
        ("a: from: 2026-01-01, until: 2027-01-01|b: from: 2026-12-01, until: 2028-01-01", "order: [a, b]", "-++-"),
        ("a: from: 2027-01-01|house: ", "order: [a, house]", "++++"),
        ("a: from: 2026-01-01", "order: a, until: 2027-01-01", "-+--"),
        ("a: ", "order: a, from: 2026-01-01, until: 2028-01-01", "-++-"),
        ("a: mode: disabled", "order: a", "----"),
        ("a: mode: disabled|b: until: 2027-01-01", "order: [a, b]", "++--"),
        ("a: mode: disabled", "order: a, mode: enforce", "----"),
        ("a: mode: shadow", "order: a", "ssss"),
        ("a: mode: shadow|b: until: 2027-01-01", "order: [a, b]", "++ss"),
        ("a: mode: shadow|b: until: 2027-01-01", "order: [a, b], mode: shadow", "ssss"),
        ("a: mode: shadow", "order: a, mode: enforce", "++++"),
        ("a: ", "order: a, mode: disabled", "----"),
        ("a: until: 2026-01-01", "order: a, from: 2027-01-01", "----"),
    ],
)  # fmt: skip
def test_an_exchange_is_in_force_while_any_order_it_cites_is(orders: str, exchange: str, when: str) -> None:
    assert enforced(rule(orders, exchange)) == when


@pytest.mark.parametrize(
    ("mode", "orders", "when"),
    [
        ("shadow", "a: ", "ssss"),
        ("shadow", "a: mode: enforce", "++++"),
        ("disabled", "a: ", "----"),
        ("disabled", "a: |b: mode: shadow, until: 2027-01-01", "ss--"),
        ("enforce", "a: mode: shadow|b: ", "++++"),
    ],
)
def test_the_default_mode_is_for_orders_that_have_none(mode: str, orders: str, when: str) -> None:
    cited = ", ".join(part.strip()[0] for part in orders.split("|"))
    assert enforced(rule(orders, f"order: [{cited}]", f"defaults: {{mode: {mode}}}\n")) == when


def test_answers_are_as_the_first_order_in_force_prescribes() -> None:
    found = rule(
        "a: until: 2026-01-01, measure: {ipv4: 192.0.2.1, ipv6: '2001:db8::1'}|b: measure: {cname: n.example}"
        "|c: measure: nxdomain",
        "order: [a, b, c]",
    )
    early, late = found.at(day("2025-06-01")), found.at(day("2026-06-01"))
    assert early.action is PolicyAction.SINKHOLE and early.sinkhole_ipv4 == bytes([192, 0, 2, 1])
    assert late.action is PolicyAction.LOCAL_DATA and late.local_data is not None
    assert late.local_data.redirect == b"\x01n\x07example\0" and early.local_data is None


def test_an_action_of_its_own_wins_over_a_measure() -> None:
    assert rule("a: measure: {cname: n.example}", "order: a, action: nodata").action is PolicyAction.NODATA


def test_an_order_that_is_only_tried_is_no_reason_where_another_enforces() -> None:
    found = rule("a: mode: shadow, measure: {cname: n.example}|b: reference: B-1", "order: [a, b]")
    assert found.ede_text == "X is blocked (order B-1)" and found.action is PolicyAction.NXDOMAIN


def test_only_orders_in_force_are_given_as_the_reason() -> None:
    found = rule("a: reference: A-1, until: 2026-01-01|b: reference: B-1, imposed_by: house", "order: [a, b]")
    early, late = found.at(day("2025-06-01")), found.at(day("2026-06-01"))
    assert (early.ede, early.ede_text) == (16, "X is blocked (order A-1, B-1)")
    assert (late.ede, late.ede_text) == (15, "X is blocked (order B-1)")
    assert found.orders == ("a", "b")


@pytest.mark.parametrize(
    ("orders", "confidential", "text"),
    [
        ("a: confidential: true", True, ""),
        ("a: confidential: true|b: reference: B-1", False, "X is blocked (order B-1)"),
        ("a: confidential: true|b: reference: B-1, until: 2026-01-01", True, ""),
        ("a: confidential: true|b: mode: shadow", True, ""),
    ],
)
def test_what_only_confidential_orders_block_says_nothing(orders: str, confidential: bool, text: str) -> None:
    cited = ", ".join(part.strip()[0] for part in orders.split("|"))
    found = rule(orders, f"order: [{cited}]").at(day("2026-06-01"))
    assert (found.is_confidential, found.ede_text, found.ede) == (confidential, text, 16)


# Remarks.


def remarks(orders: str, exchange: str) -> list[str]:
    blocklist = read(orders, exchange)
    said = [*blocklist.warnings, *date_problems(blocklist, NOW)]
    return [
        problem.message for problem in said if "is never" in problem.message or "order" in problem.message
    ]


@pytest.mark.parametrize(
    ("orders", "exchange", "said"),
    [
        ("a: ", "order: a, mode: shadow", "exchanges.x.mode: 'shadow' weakens order a of an authority"),
        ("a: ", "order: a, from: 2027-01-01", "write 'from' on the order"),
        ("a: ", "order: a, until: 2027-01-01", "write 'until' on the order"),
        ("a: until: 2028-01-01", "order: a, through: 2027-12-30", "write 'through' on the order"),
        ("a: until: 2026-01-01", "order: a, from: 2027-01-01", "is never in force: its dates and those"),
        ("a: measure: nxdomain", "order: a, action: nodata", "'nodata' is done; order a prescribes nxdomain"),
        ("a: measure: nxdomain|b: measure: {cname: n.example}", "order: [a, b]", "order b CNAME n.example, at the same time: the first one counts"),
    ],
)  # fmt: skip
def test_what_takes_from_an_order_is_a_warning(orders: str, exchange: str, said: str) -> None:
    found = remarks(orders, exchange)
    assert any(said in text for text in found), found


@pytest.mark.parametrize(
    ("orders", "exchange"),
    [
        ("a: imposed_by: house", "order: a, mode: shadow"),
        ("a: mode: shadow", "order: a, mode: shadow"),
        ("a: from: 2027-01-01", "order: a, from: 2027-01-01"),
        ("a: ", "order: a, from: 2026-01-01"),
        ("a: until: 2027-01-01", "order: a, until: 2027-01-01"),
        ("a: measure: nxdomain|b: measure: nxdomain", "order: [a, b]"),
        ("a: measure: nxdomain, until: 2027-01-01|b: from: 2027-01-01, measure: {cname: n.example}", "order: [a, b]"),
        ("a: measure: {ipv4: 192.0.2.1, ipv6: '::1'}", "order: a, action: sinkhole, sinkhole: {ipv4: 192.0.2.1, ipv6: '::1'}"),
    ],
)  # fmt: skip
def test_what_takes_nothing_from_an_order_is_no_warning(orders: str, exchange: str) -> None:
    assert remarks(orders, exchange) == []


def test_ends_that_have_come_are_warnings_wherever_they_are_written() -> None:
    text = """\
version: 1
orders:
  a: {authority: A, title: T, through: 2026-01-01}
exchanges:
  x: {name: X, order: a, domains: [x.example]}
lists:
- {name: ads, path: ads.txt, until: 2026-02-01}
allow:
- {name: y.x.example, until: 2026-03-01}
"""
    blocklist, _ = read_blocklist(PATH, octets=text.encode())
    assert blocklist is not None
    said = [str(problem) for problem in date_problems(blocklist, NOW)]
    assert "blocklist.yaml:3: warning: orders.a.through: was 2026-01-02 00:00 UTC" in said[0]
    assert "blocklist.yaml:7: warning: lists.ads.until: was 2026-02-01" in said[1]
    assert "blocklist.yaml:9: warning: allow: y.x.example.until: was 2026-03-01" in said[2]


def test_one_name_in_two_exchanges_is_fine_where_their_orders_never_meet() -> None:
    text = """\
version: 1
orders:
  a: {authority: A, title: T, until: 2026-01-01}
  b: {authority: A, title: T, from: 2027-01-01}
  c: {authority: A, title: T, from: 2026-01-01, until: 2027-01-01}
exchanges:
  x: {name: X, order: [a, b], domains: [x.example]}
  y: {name: Y, order: c, domains: [x.example]}
"""
    assert read_blocklist(PATH, octets=text.encode())[0] is not None
    meeting = text.replace("until: 2027-01-01", "until: 2027-01-02")
    blocklist, problems = read_blocklist(PATH, octets=meeting.encode())
    assert blocklist is None and "at the same time" in str(problems)


def test_the_label_of_what_is_confidential_is_nobody_elses() -> None:
    text = "version: 1\norders:\n  a: {authority: A, title: T, confidential: true}\nexchanges:\n"
    text += (
        "  x: {name: X, order: a, domains: [x.example]}\n  confidential: {name: C, domains: [c.example]}\n"
    )
    blocklist, problems = read_blocklist(PATH, octets=text.encode())
    assert blocklist is None and "exchanges.confidential: this label is that of" in str(problems)
    assert read_blocklist(PATH, octets=text.replace("order: a, ", "").encode())[0] is None
