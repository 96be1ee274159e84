"""The tree that exports write down decides as the table does, whatever the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.export.tree import EXCEPTION, NOTHING, Outcome, Point, PolicyTree
from resolver.policy.verdict import Mode, PolicyAction, Verdict
from resolver.wire.names import name_from_text
from tests.support.policy_maker import PolicyMaker, make_rule


def tree_of(maker: PolicyMaker, folder: Path, *, wall: float = 0.0) -> PolicyTree:
    return PolicyTree(maker.table(folder, wall=wall))


def points_of(tree: PolicyTree) -> dict[bytes, Point]:
    return {point.name: point for point in tree.points()}


def read(points: dict[bytes, Point], name: bytes) -> Outcome:
    """The outcome of a name as a reader of the points finds it: the nearest at or above decides."""
    if name in points:
        return points[name].here
    position = name[0] + 1
    while position < len(name):
        if name[position:] in points:
            return points[name[position:]].below
        position += name[position] + 1
    return NOTHING


def told(verdict: Verdict) -> tuple[PolicyAction, bool]:
    """A verdict in the words of an outcome."""
    action = verdict.action
    if action is PolicyAction.NXDOMAIN and not verdict.nxdomain_ok:
        action = PolicyAction.NODATA
    return action, verdict.match is not None and not verdict.is_blocked


LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example"]))
ENTRIES = st.lists(st.tuples(st.sampled_from(["", "=", "*."]), NAMES).map("".join), max_size=5)
ACTIONS = st.sampled_from([PolicyAction.NXDOMAIN, PolicyAction.NODATA, PolicyAction.SINKHOLE])


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocked=ENTRIES,
    other=ENTRIES,
    listed=ENTRIES,
    allowed=ENTRIES,
    protected=ENTRIES,
    list_allowed=ENTRIES,
    action=ACTIONS,
    asked=st.lists(NAMES, min_size=5, max_size=30),
)
def test_the_nearest_point_says_what_the_table_says(
    tmp_path: Path,
    blocked: list[str],
    other: list[str],
    listed: list[str],
    allowed: list[str],
    protected: list[str],
    list_allowed: list[str],
    action: PolicyAction,
    asked: list[str],
) -> None:
    maker = PolicyMaker()
    maker.block(make_rule(label="one"), *blocked).block(make_rule(label="two", action=action), *other)
    maker.block(make_rule("list", "names"), *listed).list_allow(
        make_rule("list", "pardons", action=PolicyAction.PASSTHRU), *list_allowed
    )
    tree = tree_of(maker.allow(*allowed).protect(*protected), tmp_path)
    (tmp_path / "test.policy").unlink()
    points = points_of(tree)
    new = {name: point for name, point in points.items() if point.is_new}
    for text in asked:
        name = name_from_text(text)
        verdict = tree.table.judge_name(name, 0.0)
        for known in (points, new):
            outcome = read(known, name)
            assert (outcome.action, outcome.is_exception) == told(verdict), text


@pytest.fixture
def maker() -> PolicyMaker:
    return PolicyMaker()


def test_an_ancestor_of_an_exception_is_nodata_and_other_names_below_it_do_not_exist(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    tree = tree_of(maker.block(make_rule(), "example.com").allow("ok.in.example.com"), tmp_path)
    point = tree.point(name_from_text("example.com"))
    assert point.here.action is PolicyAction.NODATA and not point.here.is_whole
    assert point.below.action is PolicyAction.NXDOMAIN
    between = tree.point(name_from_text("in.example.com"))
    assert between.here.action is PolicyAction.NODATA
    spared = tree.point(name_from_text("ok.in.example.com"))
    assert spared[1:3] == (EXCEPTION, EXCEPTION) and spared.inherited.is_blocked


def test_a_name_that_only_repeats_its_surroundings_says_nothing_new(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    tree = tree_of(maker.block(make_rule(), "example.com", "www.example.com"), tmp_path)
    new = [point.name for point in tree.points() if point.is_new]
    assert new == [name_from_text("example.com")]


@pytest.mark.parametrize(
    "changes", [{"mode": Mode.SHADOW}, {"mode": Mode.DISABLED}, {"starts_at": 200.0}, {"ends_at": 50.0}]
)
def test_rules_that_are_not_in_force_make_no_point(
    maker: PolicyMaker, tmp_path: Path, changes: dict[str, Any]
) -> None:
    tree = tree_of(maker.block(make_rule(**changes), "example.com"), tmp_path, wall=100.0)
    assert not any(point.is_new for point in tree.points())


def test_a_rule_that_has_begun_makes_one(maker: PolicyMaker, tmp_path: Path) -> None:
    tree = tree_of(maker.block(make_rule(starts_at=50.0), "example.com"), tmp_path, wall=100.0)
    assert any(point.is_new for point in tree.points())


def test_a_network_of_several_rules_is_given_once_with_the_one_that_wins(
    maker: PolicyMaker, tmp_path: Path
) -> None:
    sink = make_rule(label="sink", action=PolicyAction.SINKHOLE)
    maker.addresses(make_rule(), "203.0.113.0/24").addresses(sink, "203.0.113.0/24", "2001:db8::/48")
    networks = tree_of(maker, tmp_path).networks()
    assert [(network.prefix_length, network.outcome.action) for network in networks] == [
        (24, PolicyAction.NODATA),
        (48, PolicyAction.SINKHOLE),
    ]


def test_a_list_says_nothing_within_an_exchange_s_network(maker: PolicyMaker, tmp_path: Path) -> None:
    sink = make_rule("list", "sink", action=PolicyAction.SINKHOLE)
    maker.addresses(make_rule(), "203.0.113.0/24").addresses(sink, "203.0.113.0/32", "203.0.112.0/23")
    networks = tree_of(maker, tmp_path).networks()
    assert {network.prefix_length: network.outcome.action for network in networks} == {
        23: PolicyAction.SINKHOLE,
        24: PolicyAction.NODATA,
        32: PolicyAction.NODATA,
    }


def test_an_address_rule_not_in_force_is_left_out(maker: PolicyMaker, tmp_path: Path) -> None:
    maker.addresses(make_rule(mode=Mode.SHADOW), "203.0.113.0/24")
    assert tree_of(maker, tmp_path).networks() == []
