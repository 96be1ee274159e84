"""What of an order is enforced at a moment, and why the rest is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.orders.listed import lists_of
from resolver.orders.standing import Standings, State
from resolver.policy.image import Image
from resolver.publishing.compiler import compile_in_process
from tests.orders.support import blocklist_of

DAY = 86_400.0
# 2026-12-05 and 2027-12-05, 00:00 UTC.
BEGINS, ENDS = 1_796_428_800.0, 1_827_964_800.0

POLICY = """\
version: 1
orders:
  house: {authority: Us, title: Rules, imposed_by: house}
  x:
    authority: A
    title: T
    from: 2026-12-05
    until: 2027-12-05
    asks: [acme.example, WWW.ACME.EXAMPLE/en, new.example, other.example, gone.example, ok.acme.example, idle.example,
      "a,b.example", bad.exmaple, 192.0.2.1, "https://t.me/x", Acme, Nobody, narrow.example, sub.narrow.example]
exchanges:
  acme: {name: Acme, order: [house, x], domains: [acme.example]}
  new: {name: New, order: x, domains: [new.example]}
  other: {name: Other, order: house, domains: [other.example]}
  idle: {name: Idle, mode: disabled, order: x, domains: [idle.example]}
  narrow: {name: Narrow, order: x, domains: ["=narrow.example"]}
allow: [ok.acme.example]
"""


def states(now: float) -> dict[str, tuple[str, str, str]]:
    blocklist = blocklist_of(POLICY)
    standing = Standings(blocklist).of(blocklist.orders["x"], now)
    return {
        one.ask: (one.state.value, one.exchange, one.reason.value if one.reason else "")
        for one in standing.asks
    }


def test_each_ask_stands_as_the_policy_decides_about_it() -> None:
    assert states(BEGINS + DAY) == {
        "acme.example": ("enforced", "acme", ""),
        "WWW.ACME.EXAMPLE/en": ("enforced", "acme", ""),
        "new.example": ("enforced", "new", ""),
        "other.example": ("unenforced", "other", "not_cited"),
        "gone.example": ("unenforced", "", "not_blocked"),
        "ok.acme.example": ("unenforced", "", "excepted"),
        "idle.example": ("unenforced", "idle", "not_in_force"),
        "a,b.example": ("unenforced", "", "not_blocked"),
        "bad.exmaple": ("unenforced", "", "unknown_top_level"),
        "192.0.2.1": ("unenforced", "", "address_only"),
        "https://t.me/x": ("unenforced", "", "shared_platform"),
        "Acme": ("enforced", "acme", ""),
        "Nobody": ("unenforced", "", "no_address"),
        "narrow.example": ("enforced", "narrow", ""),
        "sub.narrow.example": ("unenforced", "", "not_blocked"),
    }


def test_before_it_begins_what_will_be_enforced_is_pending() -> None:
    before = states(BEGINS - 1)
    assert before["acme.example"] == ("pending", "acme", "")
    assert before["new.example"] == ("pending", "new", "")
    assert before["Acme"][0] == "pending"
    assert before["gone.example"] == ("unenforced", "", "not_blocked")


def test_from_until_on_it_is_ended() -> None:
    after = states(ENDS)
    assert after["new.example"] == ("unenforced", "new", "not_in_force")


@pytest.mark.parametrize(
    ("now", "when"), [(BEGINS - 1, "not yet"), (BEGINS, "in force"), (ENDS - 1, "in force"), (ENDS, "ended")]
)
def test_an_order_is_in_force_within_its_dates(now: float, when: str) -> None:
    blocklist = blocklist_of(POLICY)
    standing = Standings(blocklist).of(blocklist.orders["x"], now)
    assert (standing.when, standing.is_in_force) == (when, when == "in force")
    assert standing.exchanges == ("acme", "new", "idle", "narrow")


def test_the_counts_add_up_to_what_is_asked() -> None:
    blocklist = blocklist_of(POLICY)
    for now in (BEGINS - 1, BEGINS, ENDS):
        standing = Standings(blocklist).of(blocklist.orders["x"], now)
        assert sum(standing.count(state) for state in State) == len(standing.order.asks) == 15
        assert sum(standing.unenforced().values()) == standing.count(State.UNENFORCED)


def test_a_mode_of_its_own_is_said() -> None:
    for mode in ("shadow", "disabled"):
        blocklist = blocklist_of(POLICY.replace("    title: T\n", f"    title: T\n    mode: {mode}\n"))
        standing = Standings(blocklist).of(blocklist.orders["x"], BEGINS)
        assert standing.when == mode
        assert standing.asks[2].reason is not None and standing.asks[2].reason.value == "not_in_force"


def test_the_default_mode_of_the_blocklist_is_that_of_an_order_without_one() -> None:
    shadowed = POLICY.replace("orders:", "defaults: {mode: shadow}\norders:", 1)
    blocklist = blocklist_of(shadowed)
    standing = Standings(blocklist).of(blocklist.orders["x"], BEGINS)
    assert standing.when == "shadow" and not standing.is_in_force
    own = blocklist_of(shadowed.replace("    title: T\n", "    title: T\n    mode: enforce\n"))
    assert Standings(own).of(own.orders["x"], BEGINS).when == "in force"


LISTED = """\
version: 1
orders:
  x: {authority: A, title: T, from: 2026-12-05, asks: [one.example, www.one.example, two.example, free.example, three.example,
      four.example, five.example]}
  y: {authority: B, title: U}
exchanges:
  both: {name: Both, order: y, domains: [four.example]}
lists:
  - {name: ours, path: ours.txt, format: domains, order: x}
  - {name: theirs, path: theirs.txt, format: domains, order: y}
  - {name: tried, path: tried.txt, format: domains, order: x, mode: shadow}
  - {name: free, path: free.txt, format: domains, kind: allow}
"""


def test_what_a_list_that_cites_the_order_blocks_is_enforced(tmp_path: Path) -> None:
    (tmp_path / "blocklist.yaml").write_text(LISTED)
    (tmp_path / "ours.txt").write_text("one.example\nfree.example\nfour.example\n")
    (tmp_path / "theirs.txt").write_text("two.example\n")
    (tmp_path / "tried.txt").write_text("three.example\n")
    (tmp_path / "free.txt").write_text("free.example\n")
    image, problems = compile_in_process(tmp_path / "blocklist.yaml", tmp_path / "out")
    assert image is not None, problems
    blocklist = blocklist_of(LISTED)

    def stand(now: float) -> dict[str, tuple[str, str, str]]:
        standing = Standings(blocklist, lists_of(Image(image))).of(blocklist.orders["x"], now)
        return {
            one.ask: (one.state.value, one.exchange, one.reason.value if one.reason else "")
            for one in standing.asks
        }

    assert stand(BEGINS) == {
        "one.example": ("enforced", "list ours", ""),
        "www.one.example": ("enforced", "list ours", ""),
        "two.example": ("unenforced", "list theirs", "not_cited"),
        "free.example": ("unenforced", "", "excepted"),
        "three.example": ("unenforced", "list tried", "not_in_force"),
        "four.example": ("enforced", "list ours", ""),
        "five.example": ("unenforced", "", "not_blocked"),
    }
    before = stand(BEGINS - 1)
    assert before["one.example"] == before["four.example"] == ("pending", "list ours", "")
    assert before["three.example"] == ("unenforced", "list tried", "not_in_force")
