"""Which rules are near a name, and why each does not decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.explain.near_rules import NEAR_MAX, NearRule, Relation, nearest_rules, registrable_name
from resolver.explain.trace import traced_rules
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Mode, PolicyAction
from resolver.wire.names import name_from_text as n
from tests.support.for_each import for_each
from tests.support.policy_maker import PolicyMaker, make_rule

NOW = 1_000.0


def near_of(maker: PolicyMaker, folder: Path, name: str, *, group: int = 0) -> list[NearRule]:
    maker.write(folder / "x.policy")
    table = PolicyTable(maker.policy(folder).image, 1, NOW, NOW, group)
    qname = n(name)
    return nearest_rules(table, qname, traced_rules(table.trace(qname, NOW)), NOW)


def said(found: list[NearRule]) -> list[tuple[str, str, str]]:
    return [(one.relation.value, one.text, one.why) for one in found]


Make = Callable[[PolicyMaker], PolicyMaker]

CASES: list[tuple[str, Make, str, tuple[str, str, str]]] = [
    (
        "an exact rule above",
        lambda m: m.block(make_rule(), "=example.com"),
        "www.example.com",
        ("above", "=example.com", "'=' makes it about example.com alone, not about names under it"),
    ),
    (
        "a rule for names below",
        lambda m: m.block(make_rule(), "*.example.com"),
        "example.com",
        (
            "above",
            "*.example.com",
            "'*.' makes it about names under example.com, not about example.com itself",
        ),
    ),
    (
        "an exception above",
        lambda m: m.block(make_rule(), "example.com").allow("ok.example.com"),
        "a.ok.example.com",
        (
            "above",
            "example.com",
            "ok.example.com (blocklist.yaml:2) is an exception and lets it through: blocklist.yaml:2 has a longer "
            "owner name",
        ),
    ),
    (
        "a protected name",
        lambda m: m.block(make_rule(), "example.com").protect("www.example.com"),
        "www.example.com",
        (
            "above",
            "example.com",
            "www.example.com (blocklist.yaml:2) is a protected name and lets it through: blocklist.yaml:2 stands in "
            "a stronger tier (protected)",
        ),
    ),
    (
        "a rule that is off",
        lambda m: m.block(make_rule(mode=Mode.DISABLED), "example.com"),
        "example.com",
        ("above", "example.com", "its mode is disabled"),
    ),
    (
        "a rule in shadow",
        lambda m: m.block(make_rule(mode=Mode.SHADOW), "example.com"),
        "example.com",
        (
            "above",
            "example.com",
            "its mode is shadow: counted, not enforced (would win if it were enforced)",
        ),
    ),
    (
        "a rule to come",
        lambda m: m.block(make_rule(starts_at=86_400.0), "example.com"),
        "example.com",
        ("above", "example.com", "not in force before 1970-01-02 00:00 UTC"),
    ),
    (
        "a rule that is over",
        lambda m: m.block(make_rule(ends_at=500.0), "example.com"),
        "example.com",
        ("above", "example.com", "not in force since 1970-01-01 00:08 UTC"),
    ),
    (
        "a rule for others",
        lambda m: m.meant_for(3).block(make_rule(), "example.com"),
        "example.com",
        ("above", "example.com", "it is for other clients"),
    ),
    (
        "a list of kind check",
        lambda m: m.block(
            make_rule("list", "licensed", action=PolicyAction.PASSTHRU, mode=Mode.DISABLED), "example.com"
        ),
        "example.com",
        ("above", "example.com", "its list is of kind check: it says who is authorised, and blocks nothing"),
    ),
    (
        "a rule for www",
        lambda m: m.block(make_rule(), "=www.example.com"),
        "example.com",
        ("www", "=www.example.com", "it is about www.example.com; example.com is another name"),
    ),
    (
        "one letter more",
        lambda m: m.block(make_rule(), "example.com"),
        "exammple.com",
        ("spelling", "example.com", "spelt alike: example.com and exammple.com are two names"),
    ),
    (
        "one letter other, under it",
        lambda m: m.block(make_rule(), "example.com"),
        "www.exanple.com",
        ("spelling", "example.com", "spelt alike: example.com and exanple.com are two names"),
    ),
    (
        "letters swapped",
        lambda m: m.block(make_rule(), "example.com"),
        "exmaple.com",
        ("spelling", "example.com", "spelt alike: example.com and exmaple.com are two names"),
    ),
    (
        "another top-level domain",
        lambda m: m.block(make_rule(), "example.com"),
        "example.co",
        ("spelling", "example.com", "spelt alike: example.com and example.co are two names"),
    ),
    (
        "a rule below",
        lambda m: m.block(make_rule(), "login.example.com"),
        "example.com",
        (
            "below",
            "login.example.com",
            "it stands below example.com, and reaches only login.example.com and names under it",
        ),
    ),
    (
        "a rule beside",
        lambda m: m.block(make_rule(), "=login.example.com"),
        "www.example.com",
        (
            "beside",
            "=login.example.com",
            "it stands beside www.example.com, and reaches only login.example.com itself",
        ),
    ),
    (
        "a rule below that is off",
        lambda m: m.block(make_rule(mode=Mode.DISABLED), "*.login.example.com"),
        "example.com",
        (
            "below",
            "*.login.example.com",
            "it stands below example.com, and reaches only names under login.example.com (and besides: its mode is "
            "disabled)",
        ),
    ),
]


@for_each(("make", "name", "expected"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_near_rule_says_why_it_does_not_decide(
    tmp_path: Path, make: Make, name: str, expected: tuple[str, str, str]
) -> None:
    assert said(near_of(make(PolicyMaker()), tmp_path, name)) == [expected]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("example.com", "example.com"),
        ("example.com", "other.org"),
        ("example.com", "examples-of.com"),
        ("=example.com", "www.exanple.com"),
        ("login.example.com", "example.com.net"),
        ("myexample.com", "example.com"),
        ("a.example.com", "com"),
        ("x.co.uk", "y-and-more.co.uk"),
    ],
)
def test_what_decides_or_is_far_away_is_not_listed(tmp_path: Path, rule: str, name: str) -> None:
    assert near_of(PolicyMaker().block(make_rule(), rule), tmp_path, name) == []


def test_exceptions_are_not_near_rules(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "far.example.net").allow("www.example.com", "exanple.com")
    assert near_of(maker, tmp_path, "example.com") == []


def test_the_nearest_come_first_and_there_are_not_many(tmp_path: Path) -> None:
    names = [f"n{number}.example.com" for number in range(50)]
    maker = PolicyMaker().block(make_rule(), "=com", "www.example.com", "exampla.com", *names)
    found = near_of(maker, tmp_path, "example.com")
    assert [one.relation for one in found[:3]] == [Relation.ABOVE, Relation.WWW, Relation.SPELLING]
    assert {one.relation for one in found[3:]} == {Relation.BELOW}
    assert len(found) <= NEAR_MAX


def test_a_name_that_only_ends_in_the_same_octets_is_not_below(tmp_path: Path) -> None:
    # The octets of the name stand in the image behind those of a longer label.
    maker = PolicyMaker().block(make_rule(), "prefix\\007example.com", "a.xexample.com")
    assert near_of(maker, tmp_path, "example.com") == []


def test_every_name_below_is_found_however_deep(tmp_path: Path) -> None:
    names = ["a.b.c.d.example.com", f"{'x' * 63}.example.com", "z.example.com"]
    found = near_of(PolicyMaker().block(make_rule(), *names), tmp_path, "example.com")
    assert sorted(one.text for one in found) == sorted(names)


@pytest.mark.parametrize(
    ("name", "apex"),
    [
        ("www.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("com", None),
        (".", None),
    ],
)
def test_the_registrable_name_is_one_label_below_the_suffix(name: str, apex: str | None) -> None:
    assert registrable_name(n(name)) == (None if apex is None else n(apex))
