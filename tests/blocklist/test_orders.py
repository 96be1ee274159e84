"""What an order carries: dates, mode, measure, deadlines, and what it asks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resolver.blocklist.measures import Measure, measure_from
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.policy.verdict import Mode, PolicyAction
from resolver.problems import Problem
from tests.support.for_each import for_each

FILE = Path("blocklist.yaml")
ORDER = "authority: Regulator, title: Order"


def read(text: str) -> tuple[Blocklist | None, list[Problem]]:
    return read_blocklist(FILE, octets=text.encode())


def whole(orders: str = "", rest: str = "exchanges: {}") -> Blocklist:
    blocklist, problems = read(f"version: 1\norders: {{{orders}}}\n{rest}\n")
    assert blocklist is not None, problems
    return blocklist


def errors(text: str) -> list[str]:
    blocklist, problems = read(text)
    assert blocklist is None
    return [str(problem) for problem in problems if problem.severity == "error"]


def unix(*when: Any) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc]


def test_an_order_keeps_all_that_is_written_of_it() -> None:
    [order] = whole(
        f"o: {{{ORDER}, from: 2026-12-05, through: 2027-12-04, mode: shadow, confidential: true, "
        "received: 2026-11-26T09:30:00+01:00, due: 2026-12-05T00:00:00+01:00, "
        "measure: {cname: notice.example}, asks: ['https://x.example/en', 203.0.113.7]}"
    ).orders.values()
    assert order.starts_at == unix(2026, 12, 5) and order.ends_at == unix(2027, 12, 5)
    assert order.mode is Mode.SHADOW and order.is_confidential
    assert order.received_at == unix(2026, 11, 26, 8, 30) and order.due_at == unix(2026, 12, 4, 23)
    assert order.measure == Measure(cname=b"\x06notice\x07example\0")
    assert order.asks == ("https://x.example/en", "203.0.113.7") and order.line == 2


def test_an_order_without_the_new_keys_reads_as_before() -> None:
    [order] = whole(f"o: {{{ORDER}}}").orders.values()
    assert (order.starts_at, order.ends_at, order.mode, order.measure, order.asks) == (None,) * 4 + ((),)


def test_the_dates_of_an_order_are_read_in_the_time_zone_of_the_file() -> None:
    [order] = whole(
        f"o: {{{ORDER}, from: 2026-12-05, through: 2026-12-06}}",
        "defaults: {time_zone: Europe/Berlin}\nexchanges: {}",
    ).orders.values()
    assert order.starts_at == unix(2026, 12, 4, 23) and order.ends_at == unix(2026, 12, 6, 23)


@for_each(
    ("keys", "said"),
    [
        ("from: 2026-12-05, until: 2026-12-05", "until: '2026-12-05' is not after 'from'"),
        ("from: 2026-12-05, through: 2026-12-04", "through: '2026-12-04' is before 'from'"),
        ("until: 2026-12-05, through: 2026-12-04", "through: there is 'until', too"),
        ("through: '2026-12-04T00:00:00Z'", "names the last day; write 2026-01-31"),
        ("through: 9999-12-31", "out of range"),
        ("from: soon", "is not a date"),
        ("due: 2026-12-05T00:00:00", "has no offset"),
        ("received: 2026-12-06T00:00:00Z, due: 2026-12-05T00:00:00Z", "is before 'received'"),
        ("mode: enforced", "did you mean 'enforce'?"),
        ("confidential: maybe", "allowed: true or false"),
        ("measure: sinkhole", "is no measure"),
        ("measure: {cname: x.example, ipv4: 192.0.2.1}", "is no one measure"),
        ("measure: {ipv4: 192.0.2.300}", "is not an IPv4 address"),
        ("measure: {ipv6: '2001:db8::1%eth0'}", "zone"),
        ("measure: {cname: '*.x.example'}", "is not a domain"),
        ("measure: {cname: 'x..example'}", "cname: "),
        ("measure: {ip: 192.0.2.1}", "'ip' is no key of a measure"),
        ("measure: {ipv4: null}", "has no address"),
        ("asks: x.example", "allowed: a list of texts"),
        ("asks: ['']", "allowed: 1 to 2,000"),
        ("asks: [\"a\\u0007b\"]", "cannot be printed"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error_at_its_line(keys: str, said: str) -> None:
    [message] = errors(f"version: 1\nexchanges: {{}}\norders:\n  o: {{{ORDER}, {keys}}}\n")
    assert message.startswith("blocklist.yaml:4: ") and said in message


def test_a_list_cites_orders_and_has_dates_and_a_category() -> None:
    lists = "lists: [{name: ads, path: ads.txt, order: [o], category: media, from: 2026-01-01, through: 2026-01-31}]"
    [spec] = whole(f"o: {{{ORDER}}}", lists).lists
    assert spec.rule.orders == ("o",) and spec.rule.category == "media"
    assert spec.rule.starts_at == unix(2026, 1, 1) and spec.rule.ends_at == unix(2026, 2, 1)


def test_a_list_that_cites_an_unknown_order_is_an_error() -> None:
    [message] = errors("version: 1\nlists:\n- {name: ads, path: ads.txt, order: oo}\n")
    assert "blocklist.yaml:3: lists.ads.order: there is no order 'oo'" in message


def test_an_exception_may_have_dates_and_a_reason() -> None:
    text = "exchanges: {a: {name: A, domains: [x.example]}}\nallow:\n"
    text += "- {name: '=y.x.example', from: 2026-01-01, until: 2026-02-01, reason: a court said so, ticket: N-1}\n"
    text += "- {name: z.x.example}\n- w.x.example\n"
    dated, undated, plain = (rule for rule in whole("", text).name_rules if rule.effect == "allow")
    assert dated.rule.starts_at == unix(2026, 1, 1) and dated.rule.ends_at == unix(2026, 2, 1)
    assert (dated.rule.reason, dated.rule.ticket, dated.line) == ("a court said so", "N-1", 5)
    assert undated.rule is plain.rule and plain.rule.ends_at is None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{from: 2026-01-01}", "allow.name is missing"),
        ("{name: 'http://x.example/'}", "is a URL"),
        ("{name: x.example, til: 2026-01-01}", "unknown key 'allow.til'"),
        ("{name: x.example, until: later}", "allow.until: 'later' is not a date"),
    ],
)
def test_a_bad_exception_is_an_error_at_its_line(entry: str, said: str) -> None:
    [message] = errors(f"version: 1\nexchanges: {{}}\nallow:\n- {entry}\n")
    assert message.startswith("blocklist.yaml:4: ") and said in message


@pytest.mark.parametrize(
    ("written", "action", "shown"),
    [
        ("nxdomain", PolicyAction.NXDOMAIN, "nxdomain"),
        ({"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}, PolicyAction.SINKHOLE, "192.0.2.1, 2001:db8::1"),
        ({"ipv4": "192.0.2.1"}, PolicyAction.LOCAL_DATA, "192.0.2.1"),
        ({"cname": "Notice.example."}, PolicyAction.LOCAL_DATA, "CNAME notice.example"),
    ],
)
def test_a_measure_is_nxdomain_addresses_or_a_cname(
    written: object, action: PolicyAction, shown: str
) -> None:
    measure = measure_from(written)
    assert measure is not None and measure.action is action and str(measure) == shown
    assert (measure.local_data is not None) is (action is PolicyAction.LOCAL_DATA)


@pytest.mark.parametrize(
    "entry",
    [
        "exchanges:\n  confidential: {name: X, domains: [x.example]}",
        "exchanges: {}\nlists:\n  - {name: confidential, path: x.txt}",
    ],
)
def test_the_label_of_confidential_orders_is_nobody_elses_even_without_such_orders(entry: str) -> None:
    [error] = errors(f"version: 1\n{entry}\n")
    assert "this label is that of confidential orders; give it another name" in error
