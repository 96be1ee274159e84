"""One generation of the policy, and the tables of its groups."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from resolver.policy.image import GROUPS_MAX
from resolver.policy.policy import Policy, make_policy
from resolver.policy.verdict import Mode
from tests.support.policy_maker import PolicyMaker, make_rule


def test_table_of_a_group_is_made_once_over_the_same_image(tmp_path: Path) -> None:
    policy = PolicyMaker().block(make_rule(), "a.example").policy(tmp_path)
    assert policy.table_for(0) is policy.everybody
    three = policy.table_for(3)
    assert policy.table_for(3) is three and three is not policy.everybody
    assert (three.group, three.image, three.made_at) == (3, policy.image, policy.made_at)


def test_no_two_tables_of_all_generations_share_a_number(tmp_path: Path) -> None:
    image = PolicyMaker().block(make_rule(), "a.example").policy(tmp_path).image
    numbers = [
        policy.table_for(group).generation
        for policy in (make_policy(image, 1, 0.0, 0.0), make_policy(image, 2, 0.0, 0.0))
        for group in range(GROUPS_MAX)
    ]
    assert len(set(numbers)) == 2 * GROUPS_MAX
    assert numbers[0] == 1 and max(numbers) < 2**64 - 1


def test_more_groups_than_an_audience_has_bits_are_refused(tmp_path: Path) -> None:
    policy = PolicyMaker().block(make_rule(), "a.example").policy(tmp_path)
    with pytest.raises(IndexError):
        policy.table_for(GROUPS_MAX)


def test_date_of_a_rule_for_some_clients_is_a_boundary_for_all(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="over", ends_at=50.0), "o.example")
    maker.block(make_rule(label="off", mode=Mode.DISABLED, starts_at=150.0), "d.example")
    maker.meant_for(3).block(make_rule(starts_at=200.0), "a.example")
    assert Policy(maker.table(tmp_path, wall=100.0)).next_boundary == 200.0
    (tmp_path / "test.policy").unlink()
    assert Policy(maker.table(tmp_path, wall=200.0)).next_boundary == math.inf
