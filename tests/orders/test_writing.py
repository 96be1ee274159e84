"""Edits of a blocklist's text: whatever its layout, comments stay and the meaning is exactly what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.formatting import lost_comments
from resolver.blocklist.in_force import InForce
from resolver.blocklist.openings import find_opening
from resolver.orders.plan import (
    AddAsks,
    AddDomains,
    AddExchange,
    AddOrder,
    Change,
    Cite,
    RemoveDomains,
    apply_to_tree,
)
from resolver.orders.writing import CannotWrite, tree_of, written
from tests.orders.support import POLICY, blocklist_of, import_text
from tests.support.for_each import for_each

ORDER = AddOrder(
    "new",
    {"authority": "A: b", "title": "#1 'x'", "from": "2026-12-05", "asks": ["a,b", "1.5", "münz.example"]},
)
ENTRY = AddExchange(
    "aaa",
    {
        "name": "Äß: [x]",
        "category": "exchange",
        "order": "new",
        "domains": ["=a.example", "xn--mnz-hoa.example"],
    },
)

LAYOUTS = {
    "blocks": "version: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  x:\n    name: X  # why\n    order: old\n    domains:\n      - x.example  # main\n      # and\n      - y.example\n    # end of x\n\nallow: []\n",
    "flow": "version: 1\norders: {old: {authority: a, title: t}}  # all\nexchanges: {x: {name: X, order: [old], domains: [x.example, y.example]}}\n",
    "flow in blocks": "version: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  x: {name: X, order: old, domains: [x.example, y.example]}  # one line\n",
    "no orders": "version: 1\n\n# the platforms\nexchanges:\n    x:\n        name: X\n        domains: [x.example,\n          y.example]  # two lines\n",
    "empty orders": "version: 1\norders: {}   # none yet\nexchanges:\n  x: {name: X, domains: [x.example, y.example]}\n",
    "null orders": "version: 1\norders:\n# a comment\nexchanges:\n  x: {name: X, domains: [x.example, y.example]}\n",
    "orders in a list": "version: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  x:\n    domains: [x.example, y.example]\n    order:\n      - old  # first\n    name: X",
    "windows": "version: 1\r\norders:\r\n  old: {authority: a, title: t}\r\nexchanges:\r\n  x:\r\n    name: X\r\n    order: old # c\r\n    domains:\r\n    - x.example\r\n    - y.example\r\n",
    "mark": "\ufeffversion: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  x: {name: X, order: 'old', domains: [x.example, y.example]}\n",
    "sorted": "version: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  # about aab\n  aab: {name: B, order: old, domains: [b.example]}\n  x:\n    name: X\n    order: old\n    domains: [x.example, y.example]\n",
    "order is null": "version: 1\norders:\n  old: {authority: a, title: t}\nexchanges:\n  x:\n    name: X\n    order:\n    domains: [x.example, y.example]\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_edited_and_means_what_it_should(layout: str) -> None:
    text = LAYOUTS[layout]
    changes: list[Change] = [ORDER, Cite("x", "new"), AddDomains("x", ("z.example", "*.w.example")), ENTRY]
    after = written(text, changes)
    tree = tree_of(after.encode())
    assert tree["orders"]["new"] == ORDER.content
    assert tree["exchanges"]["aaa"] == ENTRY.content
    assert tree["exchanges"]["x"]["domains"] == ["x.example", "y.example", "z.example", "*.w.example"]
    assert lost_comments(text.replace("\r\n", "\n"), after.replace("\r\n", "\n")) == []
    # Each line that was there still is, or has grown.
    untouched = [line for line in text.splitlines() if "x" not in line and "order" not in line]
    assert [line for line in untouched if line not in after.splitlines()] == []
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    assert ("\r\n" in after) == ("\r\n" in text)


def test_new_entries_stand_where_people_keep_an_order_and_comments_keep_their_entry() -> None:
    after = written(
        LAYOUTS["sorted"],
        [ORDER, ENTRY, AddExchange("mmm", ENTRY.content), AddExchange("zzz", ENTRY.content)],
    )
    lines = [line.strip().rstrip(":") for line in after.splitlines()]
    assert (
        lines.index("aaa")
        < lines.index("# about aab")
        < lines.index("mmm")
        < lines.index("x")
        < lines.index("zzz")
    )


def test_names_are_taken_out_of_lists() -> None:
    for layout in ("flow", "flow in blocks", "no orders", "windows", "mark", "sorted"):
        for names in (("x.example",), ("y.example",)):
            after = tree_of(written(LAYOUTS[layout], [RemoveDomains("x", names)]).encode())
            assert after["exchanges"]["x"]["domains"] == [
                n for n in ("x.example", "y.example") if n not in names
            ]


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        (LAYOUTS["blocks"], RemoveDomains("x", ("x.example",)), "line 9"),
        ("{version: 1, exchanges: {x: {name: X, domains: [x.example]}}}\n", ORDER, "in braces"),
        (
            "version: 1\nexchanges:\n  x:\n    name: X\n    order: >\n      old\n",
            Cite("x", "new"),
            "several lines",
        ),
        (
            "version: 1\nexchanges:\n  x:\n    name: X\n    domains:\n",
            AddDomains("x", ("a.example",)),
            "line 5",
        ),
        ("version: 1\nexchanges:\n  x: {name: X}\n", AddAsks("gone", ("a",)), "orders.gone"),
        ("version: 1\nexchanges:\n  x: {name: X}\n# a\x85b\n", ORDER, "line ends"),
    ],
)
def test_a_shape_that_cannot_be_edited_without_loss_is_refused(text: str, change: Change, said: str) -> None:
    with pytest.raises(CannotWrite, match=said):
        written(text, [change])


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=40
)


@given(
    asks=st.lists(TEXT, max_size=5),
    title=TEXT,
    layout=st.sampled_from(sorted(LAYOUTS)),
    domains=st.lists(
        st.from_regex(r"(=|\*\.)?[a-z][a-z0-9-]{0,10}[a-z0-9]\.example", fullmatch=True),
        min_size=1,
        max_size=12,
    ),
)
def test_any_text_is_written_so_that_it_is_read_as_that_text(
    asks: list[str], title: str, layout: str, domains: list[str]
) -> None:
    changes: list[Change] = [
        AddOrder("new", {"authority": title, "title": title, **({"asks": asks} if asks else {})}),
        AddDomains("x", tuple(domains)),
        AddExchange("fresh", {"name": title, "order": ["new"], "domains": domains}),
    ]
    text = LAYOUTS[layout]
    assert tree_of(written(text, changes).encode()) == apply_to_tree(tree_of(text.encode()), changes)


def test_a_platform_that_cites_no_order_is_not_made_to_depend_on_a_dated_one() -> None:
    order = "1. Gamma   gamma.example, gamma-new.example\n"
    dated = import_text(order, starts="2026-12-05")
    assert dated.not_taken == {"gamma.example": "not_cited"}
    rules = {rule.label: rule for rule in dated.blocklist.exchanges}
    assert rules["gamma"].orders == () and rules["gamma"].is_in_force(0)
    assert rules["gamma-x-1"].orders == ("x-1",)
    shadow = import_text(order, mode="shadow")
    assert "gamma.example" in shadow.not_taken
    always = import_text(order)
    assert always.not_taken == {}
    assert {rule.label: rule.orders for rule in always.blocklist.exchanges}["gamma"] == ("x-1",)


def test_a_new_name_does_not_come_under_another_authoritys_order() -> None:
    found = import_text("1. Beta   beta.io, beta-new.example\n")
    orders = {rule.label: rule.orders for rule in found.blocklist.exchanges}
    assert orders["beta"] == ("court", "x-1")
    assert orders["beta-x-1"] == ("x-1",)


def test_no_new_name_does_where_the_order_names_all_of_a_platform_either() -> None:
    found = import_text("1. Beta   beta.io, beta.example, beta-new.example\n", is_named=True)
    orders = {rule.label: rule.orders for rule in found.blocklist.exchanges}
    assert orders["beta"] == ("court", "x-1")
    assert orders["beta-x-1"] == ("x-1",)


def test_a_platform_of_the_catalogue_alone_is_taken_over_or_only_what_is_named() -> None:
    order = "1. Dex   www.delta.example\n"
    whole = import_text(order)
    assert whole.plan.added == {"delta": ["delta.example", "d.example"]}
    assert whole.plan.others == {"delta": ["delta.example", "d.example"]}
    entry = tree_of(whole.text.encode())["exchanges"]["delta"]
    assert (entry["category"], entry["aliases"], entry["order"]) == ("otc", ["Dex"], "x-1")
    named = import_text(order, is_named=True)
    assert tree_of(named.text.encode())["exchanges"]["delta"]["domains"] == ["www.delta.example"]


@for_each("asked", ["*.acme.example", "acme.example", "www.acme.example", "*.www.acme.example"])
@for_each("own", ["acme.example", "=acme.example", "*.acme.example"])
@for_each("others", ["", ", '=www.acme.example'", ", a.example", ", a.example, 'www.acme.example'"])
@for_each("is_named", [True, False])
@for_each("until", [None, "2020-01-01"])
def test_an_order_opens_nothing_that_is_blocked_for_other_reasons_even_when_it_has_ended(
    asked: str, own: str, others: str, is_named: bool, until: str | None
) -> None:
    policy = (
        "version: 1\norders:\n  court: {authority: A, title: T}\n"
        f"exchanges:\n  acme: {{name: Acme, order: court, domains: ['{own}'{others}]}}\n"
    )
    keys: dict[str, Any] = {} if until is None else {"until": until}
    order = f"1. Acme   {asked}\n2. Acme   a.example\n"
    found = import_text(order, policy=policy, catalogue=None, is_named=is_named, **keys)
    now = 1.8e9
    assert not find_opening(InForce(blocklist_of(policy), now), InForce(found.blocklist, now)).words()


def test_an_order_that_is_there_gets_more_asks_and_keeps_what_people_wrote() -> None:
    first = import_text("1. Acme   acme.example\n", starts="2026-12-05")
    text = first.text.replace("to be filled in", "The Authority  # by hand")
    second = import_text("1. Acme   acme.example\n2. New   new.example\n", policy=text)
    assert second.blocklist.orders["x-1"].asks == ("acme.example", "new.example")
    assert "authority: The Authority  # by hand" in second.text
    assert second.blocklist.orders["x-1"].starts_at is not None


def test_a_key_that_contradicts_the_order_that_is_there_is_refused() -> None:
    from resolver.orders.plan import OrderTexts, make_plan
    from resolver.orders.proposal import Proposal
    from tests.orders.support import blocklist_of

    plan = make_plan(
        Proposal(),
        blocklist_of(POLICY),
        tree_of(POLICY.encode()),
        OrderTexts("court", "f", starts="2026-01-01"),
        is_named=False,
    )
    assert "has no from" in plan.problems[0]
