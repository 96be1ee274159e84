"""What changed in the period, from the history as the recorder writes it, and as somebody else might."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from resolver.report.changes import changes_between, exchanges_since, orders_first_served, pauses_between
from resolver.report.facts import Change, ChangeItem
from resolver.report.relevance import Relevance, relevance_of
from tests.report.support import BEFORE, NOW, POLICY, generation, hidden_nothing, parsed

FIRST = generation(1, NOW - 100, None, BEFORE)
SECOND = generation(2, NOW - 50, BEFORE, POLICY)


def items(changes: Any) -> dict[str, tuple[tuple[str, ...], int]]:
    return {item.what: (item.names, item.count) for change in changes for item in change.items}


def test_only_what_came_in_force_in_the_period_is_told() -> None:
    both = changes_between((FIRST, SECOND), NOW - 100, NOW, hidden_nothing)
    assert [change.number for change in both] == [1, 2]
    assert changes_between((FIRST, SECOND), NOW - 50, NOW - 50, hidden_nothing) == ()
    assert [one.number for one in changes_between((FIRST, SECOND), NOW - 99, NOW - 49, hidden_nothing)] == [2]


def test_an_edit_says_what_it_changed_and_how() -> None:
    found = items(changes_between((FIRST, SECOND), NOW - 60, NOW, hidden_nothing))
    (said,) = found["exchanges_changed"][0]
    assert said == "swiftpay (SwiftPay): name Swift Pay → SwiftPay, mode shadow → enforce"


def test_what_an_edit_opens_is_told_without_quotes() -> None:
    opened = generation(3, NOW, POLICY, BEFORE)
    found = items(changes_between((opened,), 0, NOW + 1, hidden_nothing))
    assert found["opened_exchanges"] == (("swiftpay",), 1)
    assert found["opened_domains"] == (("swiftpay.example",), 1)


def test_a_date_that_came_says_what_opened_and_what_closed() -> None:
    part = {"words": "x", "domains": {"count": 3, "names": ["'a.example' (ä.example)", "'b.example'"]}}
    dated = replace(FIRST, changes={"date": {"at": 1.0, "opened": part, "closed": {"words": ""}}})
    (change,) = changes_between((dated,), 0, NOW, hidden_nothing)
    assert change.cause == "date"
    assert items((change,)) == {"opened_domains": (("a.example (ä.example)", "b.example"), 3)}


def test_a_confidential_name_is_counted_and_not_told() -> None:
    names = ["'a.example'", "'b.example' (confidential)", "'c.secret.example'"]
    opened = {"words": "x", "domains": {"count": 3, "names": names}}
    dated = replace(FIRST, changes={"date": {"at": 1.0, "opened": opened, "closed": {}}})
    changes = changes_between((dated,), 0, NOW, lambda _: lambda text: "secret" in text)
    assert items(changes) == {"opened_domains": (("a.example",), 3)}


@pytest.mark.parametrize(
    "changes",
    [
        {"exchanges": 7},
        {"exchanges": [{"id": "x"}]},
        {"exchanges": [None]},
        {"date": 5},
        {"date": {"at": 1, "opened": {"domains": {}}}},
        {"exceptions": [{"id": "x", "gained": [], "lost": []}], "summary": {}},
        {"list_names": {"ads": 3}},
        {"records": {"ads": {}}},
    ],
)
def test_a_history_of_somebody_else_is_a_change_that_is_not_known(changes: dict[str, Any]) -> None:
    strange = replace(FIRST, changes=changes)
    (change,) = changes_between((strange,), 0, NOW, hidden_nothing)
    assert not change.is_known
    assert exchanges_since((strange, SECOND)) is not None
    assert orders_first_served((strange,)) == {}


def test_a_forced_change_says_so_and_not_why() -> None:
    (change,) = changes_between((replace(FIRST, reason="the boss said so"),), 0, NOW, hidden_nothing)
    assert change.is_forced
    assert "boss" not in repr(change)


def test_lists_and_registers_tell_their_sizes() -> None:
    grown = {
        "summary": {},
        "list_names": {"ads": [10, 12], "new": [None, 5]},
        "records": {"r": {"gained_count": 2, "lost_count": 1}},
    }
    found = items(changes_between((replace(FIRST, changes=grown),), 0, NOW, hidden_nothing))
    assert found == {"lists_resized": (("ads: 10 → 12",), 1), "records": (("r: +2 −1",), 1)}


def test_an_order_is_first_served_by_the_oldest_generation_that_has_it() -> None:
    assert orders_first_served((FIRST, SECOND))["fma-2026-17"] == FIRST.at


def about(order: str, *texts: str) -> Any:
    return relevance_of(order, [parsed(text) for text in texts])


def test_a_report_on_one_order_tells_what_changed_of_that_order_and_nothing_of_others() -> None:
    (change,) = changes_between((SECOND,), 0, NOW, hidden_nothing)
    assert about("court-991", BEFORE, POLICY).part_of(change) is None
    part = about("fma-2026-17", BEFORE, POLICY).part_of(change)
    assert part is not None and list(items((part,))) == ["exchanges_changed"]


def test_an_exchange_that_was_taken_from_an_order_is_told_to_it() -> None:
    gone = POLICY[: POLICY.index("  newcoin:\n")] + POLICY[POLICY.index("  swiftpay:") :]
    (change,) = changes_between((generation(3, NOW - 1, POLICY, gone),), 0, NOW, hidden_nothing)
    part = about("fma-2026-17", POLICY, gone).part_of(change)
    assert part is not None
    found = items((part,))
    assert found["exchanges_lost"] == (("newcoin (NewCoin)",), 1)
    assert "newcoin.example" in found["opened_domains"][0]
    assert about("court-991", POLICY, gone).part_of(change) is None


def test_an_exception_below_a_name_of_an_order_is_told_to_it() -> None:
    more = POLICY.replace(
        "  - other.example", "  - a.newcoin.example\n  - a.openbook.example\n  - other.example"
    )
    (change,) = changes_between((generation(3, NOW - 1, POLICY, more),), 0, NOW, hidden_nothing)
    part = about("fma-2026-17", POLICY, more).part_of(change)
    assert part is not None
    assert items((part,))["allow_gained"] == (("a.newcoin.example",), 1)


def test_lists_are_told_apart_by_their_orders() -> None:
    item = ChangeItem("lists_resized", ("ads: 10 → 12", "reg: 1 → 2"), 2)
    relevance = Relevance(frozenset(("reg",)), frozenset())
    part = relevance.part_of(Change(1, NOW, "edit", False, (item,)))
    assert part is not None and part.items == (ChangeItem("lists_resized", ("reg: 1 → 2",), 1),)


PAUSE = {
    "id": "01",
    "until": 600.0,
    "began_at": 0.0,
    "who": "ann",
    "reason": "the bank's portal fails",
    "including_orders": False,
    "exchanges": ["acme"],
    "exchanges_count": 2,
    "lists": [],
    "lists_count": 0,
    "confidential": 0,
    "domains": 1,
    "stays": 0,
}


def test_pause_is_one_gap_with_its_beginning_its_end_and_its_reason() -> None:
    began = replace(FIRST, at=0.0, changes={"pause": PAUSE})
    ended = replace(FIRST, number=9, at=300.0, changes={"pause": {**PAUSE, "ended_at": 300.0}})
    [pause] = pauses_between((began, ended), 0.0, 1_000.0)
    assert (pause.starts_at, pause.ends_at, pause.including_orders) == (0.0, 300.0, False)
    [open_still] = pauses_between((began,), 0.0, 1_000.0)
    assert open_still.ends_at == 600.0 and open_still.reason == "the bank's portal fails"
    assert pauses_between((began, ended), 301.0, 1_000.0) == ()


def test_pause_is_a_change_that_opens_and_one_that_closes() -> None:
    began = replace(FIRST, at=1.0, changes={"pause": PAUSE})
    ended = replace(FIRST, at=2.0, changes={"pause": {**PAUSE, "ended_at": 2.0}})
    changes = changes_between((began, ended), 0, NOW, hidden_nothing)
    assert [change.cause for change in changes] == ["pause", "pause"]
    assert items(changes[:1]) == {"opened_exchanges": (("acme",), 2)}
    assert items(changes[1:]) == {"closed_exchanges": (("acme",), 2)}


@pytest.mark.parametrize("damaged", [{}, {"id": "1"}, {**PAUSE, "began_at": None}, 7, "x"])
def test_damaged_entry_of_a_pause_is_no_pause(damaged: object) -> None:
    assert pauses_between((replace(FIRST, changes={"pause": damaged}),), 0.0, 1_000.0) == ()
