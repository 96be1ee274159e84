"""How each order stands against its deadline: really in force or not, and what is missing."""

from __future__ import annotations

import pytest

from resolver.orders.deadlines import Deadline, deadlines_of
from resolver.orders.reach import Reason
from tests.orders.support import blocklist_of
from tests.orders.test_standing import BEGINS, ENDS
from tests.orders.test_standing import POLICY as DATED

DUE = 1_796_515_200.0
# 2026-12-06, 00:00 UTC.


def deadline(text: str, now: float = BEGINS, **list_names: int) -> Deadline:
    found = {entry.order.id: entry for entry in deadlines_of(blocklist_of(text), now, list_names)}
    return found["x"]


def policy(
    order: str = "", rest: str = "exchanges: {acme: {name: Acme, order: x, domains: [acme.example]}}"
) -> str:
    return f"version: 1\norders: {{x: {{authority: A, title: T{order}}}}}\n{rest}\n"


@pytest.mark.parametrize(
    ("text", "is_in_force"),
    [
        (policy(), True),
        (policy(", mode: shadow"), False),
        (policy(", mode: disabled"), False),
        (policy(", from: 2026-12-05"), True),
        (policy(", from: 2026-12-06"), False),
        (policy(", until: 2026-12-05"), False),
        (policy(rest="exchanges: {acme: {name: Acme, order: x, domains: []}}"), False),
        (
            policy(rest="exchanges: {acme: {name: Acme, order: x, mode: shadow, domains: [acme.example]}}"),
            False,
        ),
        (policy() + "allow: [acme.example]\n", False),
        (policy(rest="exchanges: {acme: {name: Acme, domains: [acme.example]}}"), False),
    ],
)
def test_an_order_is_in_force_when_something_is_blocked_because_of_it(text: str, is_in_force: bool) -> None:
    assert deadline(text).is_in_force is is_in_force


def test_an_order_in_shadow_is_not_in_force_because_another_enforces_the_same() -> None:
    both = "version: 1\norders: {x: {authority: A, title: T, mode: shadow}, y: {authority: B, title: T}}\n"
    both += "exchanges: {acme: {name: Acme, order: [x, y], domains: [acme.example]}}\n"
    found = {entry.order.id: entry.is_in_force for entry in deadlines_of(blocklist_of(both), BEGINS, {})}
    assert found == {"x": False, "y": True}


@pytest.mark.parametrize(("names", "is_in_force"), [({"ads": 3}, True), ({"ads": 0}, False), ({}, False)])
def test_a_list_that_is_empty_puts_no_order_in_force(names: dict[str, int], is_in_force: bool) -> None:
    text = policy(rest="lists: [{name: ads, path: ads.txt, order: x}]")
    assert deadline(text, **names).is_in_force is is_in_force


def test_what_is_missing_is_counted_by_reason() -> None:
    assert deadline(DATED, BEGINS + 1).unenforced == {
        Reason.NOT_CITED: 1,
        Reason.NOT_BLOCKED: 3,
        Reason.EXCEPTED: 1,
        Reason.NOT_IN_FORCE: 1,
        Reason.UNKNOWN_TOP_LEVEL: 1,
        Reason.ADDRESS_ONLY: 1,
        Reason.SHARED_PLATFORM: 1,
        Reason.NO_ADDRESS: 1,
    }


def test_from_its_end_on_nothing_is_missing_and_nothing_is_due() -> None:
    text = DATED.replace("    until: 2027-12-05\n", "    until: 2027-12-05\n    due: 2026-12-06\n")
    last = deadline(text, ENDS - 1)
    assert last.due_at == DUE and last.is_in_force and last.unenforced
    ended = deadline(text, ENDS)
    assert (ended.due_at, ended.is_in_force, ended.unenforced) == (None, False, {})
