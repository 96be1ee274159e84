"""Which rule wins, and how far it reaches; `test_table_responses` has what an answer adds to it."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.policy.image import AUDIENCE_ALL, Effect, Image
from resolver.policy.policy import Policy
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import (
    PASS,
    Exemption,
    Mode,
    PolicyAction,
    PolicyRule,
    RuleForm,
    Verdict,
)
from resolver.wire.names import name_from_text as n
from resolver.wire.names import name_to_text
from tests.support.policy_maker import PolicyMaker, make_rule, split_form

NOW = 1000.0


def judge(table: PolicyTable, name: str) -> Verdict:
    return table.judge_name(n(name), NOW)


def winner_of(verdict: Verdict) -> str | None:
    return verdict.match.rule.label if verdict.match else None


# One rule.


@pytest.mark.parametrize("name", ["example.org", "com", ".", "notexample.com", "a.b.c.example.net"])
def test_name_that_no_rule_speaks_of_gets_the_pass_constant(tmp_path: Path, name: str) -> None:
    assert judge(PolicyMaker().block(make_rule(), "example.com").table(tmp_path), name) is PASS


@pytest.mark.parametrize("name", ["example.com", "www.example.com", "a.b.example.com"])
def test_plain_rule_blocks_its_owner_and_all_below(tmp_path: Path, name: str) -> None:
    verdict = judge(PolicyMaker().block(make_rule(), "example.com").table(tmp_path), name)
    assert verdict.is_blocked and verdict.nxdomain_ok and verdict.denied == n(name)
    assert verdict.match is not None and verdict.match.owner == n("example.com")
    assert (verdict.match.file, verdict.match.line) == ("blocklist.yaml", 1)
    assert verdict.valid_until == math.inf


def test_exact_rule_blocks_its_owner_only_and_never_says_nxdomain(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "=login.example").table(tmp_path)
    assert judge(table, "login.example").is_blocked
    assert not judge(table, "login.example").nxdomain_ok
    assert judge(table, "a.login.example") is PASS


def test_below_rule_spares_its_owner(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "*.cdn.example").table(tmp_path)
    assert judge(table, "cdn.example") is PASS
    assert judge(table, "a.cdn.example").nxdomain_ok
    assert judge(table, "b.a.cdn.example").is_blocked


def test_exact_and_below_rule_of_one_name_together_say_nxdomain(tmp_path: Path) -> None:
    verdict = judge(
        PolicyMaker().block(make_rule(), "=x.example", "*.x.example").table(tmp_path), "x.example"
    )
    assert verdict.match is not None and verdict.match.form is RuleForm.EXACT
    assert verdict.nxdomain_ok


def test_top_level_and_root_rules_reach_everything_below(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(label="tld"), "test").table(tmp_path)
    assert judge(table, "a.b.test").is_blocked and judge(table, "test").is_blocked
    assert judge(table, "example") is PASS and judge(table, ".") is PASS
    (tmp_path / "root").mkdir()
    table = PolicyMaker().block(make_rule(label="all"), ".").table(tmp_path / "root")
    assert judge(table, ".").is_blocked and judge(table, "a.example").nxdomain_ok


def test_exception_under_a_root_rule_marks_its_top_level_domain(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="all"), ".").allow("=www.example.org")
    table = maker.table(tmp_path)
    assert judge(table, "org").is_blocked and not judge(table, "org").nxdomain_ok
    assert judge(table, "net").nxdomain_ok


def test_longest_possible_name_is_judged(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").table(tmp_path)
    deep = b"\x01a" * 120 + n("example.com")
    assert table.judge_name(deep, NOW).is_blocked
    assert table.judge_name(b"\x01a" * 127 + b"\0", NOW) is PASS


# Tiers and preference.


def test_longer_owner_wins_within_a_tier(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="wide"), "example.com")
    table = maker.block(make_rule(label="narrow"), "a.example.com").table(tmp_path)
    assert winner_of(judge(table, "x.a.example.com")) == "narrow"
    assert winner_of(judge(table, "b.example.com")) == "wide"


def test_block_below_an_allowed_name_wins_when_its_owner_is_longer(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "x.a.example").allow("a.example").table(tmp_path)
    assert judge(table, "x.a.example").is_blocked
    assert not judge(table, "a.example").is_blocked


def test_allow_beats_block_of_the_same_owner(tmp_path: Path) -> None:
    verdict = judge(
        PolicyMaker().block(make_rule(), "a.example").allow("a.example").table(tmp_path), "a.example"
    )
    assert not verdict.is_blocked and verdict.exemption is Exemption.ALL
    assert winner_of(verdict) == "allow"


def test_exchange_beats_a_list_whatever_the_lengths(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule("list", "ads"), "a.b.example")
    table = maker.block(make_rule(label="exchange"), "example.com", "b.example").table(tmp_path)
    assert winner_of(judge(table, "a.b.example")) == "exchange"


def test_list_allow_reaches_lists_only(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "a.example").block(make_rule("list", "ads"), "b.example")
    good = make_rule("list", "good", action=PolicyAction.PASSTHRU)
    table = maker.list_allow(good, "a.example", "b.example").table(tmp_path)
    assert judge(table, "a.example").is_blocked
    verdict = judge(table, "b.example")
    assert not verdict.is_blocked and verdict.exemption is Exemption.LISTS


def test_protected_name_beats_everything(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "=time.example", "example").protect("time.example")
    verdict = judge(maker.table(tmp_path), "time.example")
    assert not verdict.is_blocked and winner_of(verdict) == "protected"
    assert verdict.exemption is Exemption.ALL


def test_exact_beats_below_beats_plain_at_one_owner(tmp_path: Path) -> None:
    maker = PolicyMaker()
    for label, name in (("plain", "a.example"), ("below", "*.a.example"), ("exact", "=a.example")):
        maker.block(make_rule(label=label), name)
    table = maker.table(tmp_path)
    assert winner_of(judge(table, "a.example")) == "exact"
    assert winner_of(judge(table, "x.a.example")) == "below"


def test_earlier_line_wins_among_equals(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule("list", "first"), "a.example")
    table = maker.block(make_rule("list", "second"), "a.example").table(tmp_path)
    assert winner_of(judge(table, "a.example")) == "first"


# NXDOMAIN.


def test_nxdomain_is_not_said_above_an_exception(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "example.com").allow("a.b.example.com")
    table = maker.table(tmp_path)
    assert not judge(table, "example.com").nxdomain_ok
    assert not judge(table, "b.example.com").nxdomain_ok
    assert judge(table, "x.example.com").nxdomain_ok
    assert not judge(table, "x.a.b.example.com").is_blocked


def test_protected_name_below_prevents_nxdomain_too(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").protect("=ntp.example.com").table(tmp_path)
    assert judge(table, "example.com").is_blocked and not judge(table, "example.com").nxdomain_ok


def test_list_exception_below_does_not_soften_an_exchange(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "a.example").block(make_rule("list", "ads"), "b.example")
    good = make_rule("list", "good", action=PolicyAction.PASSTHRU)
    table = maker.list_allow(good, "x.a.example", "x.b.example").table(tmp_path)
    assert judge(table, "a.example").nxdomain_ok
    assert not judge(table, "b.example").nxdomain_ok


def test_disabled_exception_below_prevents_nothing(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule("list", "ads"), "b.example")
    off = make_rule("list", "off", action=PolicyAction.PASSTHRU, mode=Mode.DISABLED)
    assert judge(maker.list_allow(off, "x.b.example").table(tmp_path), "b.example").nxdomain_ok


def test_exceptions_elsewhere_leave_no_mark_on_their_parents(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(), "example.com").allow("a.example.org").table(tmp_path)
    assert table.image.find(n("example.org")) == 0
    assert judge(table, "example.org") is PASS


# Modes and dates.


def test_shadow_rule_is_reported_and_blocks_nothing(tmp_path: Path) -> None:
    verdict = judge(
        PolicyMaker().block(make_rule(mode=Mode.SHADOW), "a.example").table(tmp_path), "a.example"
    )
    assert not verdict.is_blocked and verdict.match is None
    assert verdict.shadow is not None and verdict.shadow.rule.label == "example"


def test_shadow_rule_that_would_lose_is_not_reported(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(mode=Mode.SHADOW), "example.com").allow("a.example.com")
    assert judge(maker.table(tmp_path), "a.example.com").shadow is None


def test_shadow_rule_that_would_win_is_reported_beside_the_winner(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="old"), "example.com")
    table = maker.block(make_rule(label="new", mode=Mode.SHADOW), "a.example.com").table(tmp_path)
    verdict = judge(table, "a.example.com")
    assert verdict.is_blocked and winner_of(verdict) == "old"
    assert verdict.shadow is not None and verdict.shadow.rule.label == "new"


def test_disabled_rule_takes_no_part(tmp_path: Path) -> None:
    table = PolicyMaker().block(make_rule(mode=Mode.DISABLED), "a.example").table(tmp_path)
    assert judge(table, "a.example") is PASS
    assert not table.is_filtering


@pytest.mark.parametrize(("wall", "blocked"), [(99, False), (100, True), (199, True), (200, False)])
def test_rule_holds_from_its_first_second_to_before_its_last(
    tmp_path: Path, wall: int, blocked: bool
) -> None:
    maker = PolicyMaker().block(make_rule(starts_at=100.0, ends_at=200.0), "a.example")
    assert judge(maker.table(tmp_path, wall=wall), "a.example").is_blocked is blocked


def test_coming_date_bounds_the_verdict_on_the_monotonic_clock(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(starts_at=1100.0), "a.example")
    path = maker.write(tmp_path / "dates.policy")
    before = PolicyTable(Image(path), 1, wall=1000.0, monotonic=50.0)
    verdict = judge(before, "a.example")
    assert verdict is not PASS and not verdict.is_blocked and verdict.valid_until == 150.0
    assert Policy(before).next_boundary == 1100.0
    after = PolicyTable(Image(path), 2, wall=1100.0, monotonic=150.0)
    assert judge(after, "a.example").is_blocked
    assert judge(after, "a.example").valid_until == math.inf
    assert Policy(after).next_boundary == math.inf


def test_dates_of_other_names_bound_nothing(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(label="a", ends_at=2000.0), "a.example")
    table = maker.block(make_rule(label="b"), "b.example").table(tmp_path, wall=1.0)
    assert judge(table, "b.example").valid_until == math.inf
    assert judge(table, "c.example") is PASS


# Against an obviously correct reference.


class Line(NamedTuple):
    """One rule of a random policy, in file order."""

    tier: int
    effect: Effect
    form: RuleForm
    owner: str
    rule: PolicyRule


FORM_RANK = {RuleForm.EXACT: 0, RuleForm.BELOW: 1, RuleForm.SUBTREE: 2}


def is_under(name: str, owner: str) -> bool:
    return owner == "." or name.endswith("." + owner)


def applies(line: Line, name: str) -> bool:
    if line.form is RuleForm.EXACT:
        return name == line.owner
    if line.form is RuleForm.BELOW:
        return is_under(name, line.owner)
    return name == line.owner or is_under(name, line.owner)


def is_active(rule: PolicyRule, wall: float, modes: tuple[Mode, ...]) -> bool:
    started = rule.starts_at is None or rule.starts_at <= wall
    ended = rule.ends_at is not None and rule.ends_at <= wall
    return rule.mode in modes and started and not ended


def best(lines: list[Line], name: str, wall: float, modes: tuple[Mode, ...]) -> Line | None:
    candidates = [
        (line.tier, -len(n(line.owner)), line.effect, FORM_RANK[line.form], number)
        for number, line in enumerate(lines)
        if applies(line, name) and is_active(line.rule, wall, modes)
    ]
    return lines[min(candidates)[-1]] if candidates else None


def reference(lines: list[Line], name: str, wall: float) -> tuple[Any, Any, bool]:
    """(winner, shadow winner, whether NXDOMAIN is true) by plain search."""
    enforced = (Mode.ENFORCE,)
    winner = best(lines, name, wall, enforced)
    second = best(lines, name, wall, (Mode.ENFORCE, Mode.SHADOW))
    shadow = second if second is not None and second.rule.mode is Mode.SHADOW else None
    if winner is None or winner.effect is not Effect.BLOCK:
        return winner, shadow, False
    child = best(lines, f"zzz.{name}", wall, enforced)
    if child is None or child.effect is not Effect.BLOCK:
        return winner, shadow, False
    exceptions = [
        line
        for line in lines
        if line.effect is not Effect.BLOCK
        and line.tier <= child.tier
        and is_under(line.owner, name)
        and is_active(line.rule, wall, enforced)
    ]
    return winner, shadow, not exceptions


LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
DATES = st.sampled_from([None, None, None, 50.0, 100.0, 150.0])


@st.composite
def policies(draw: st.DrawFn) -> list[Line]:
    blocks = [
        make_rule(
            kind,
            f"{kind}{number}",
            mode=draw(st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED])),
            starts_at=draw(DATES),
            ends_at=draw(DATES),
        )
        for kind in ("exchange", "list")
        for number in range(2)
    ]
    good_mode = draw(st.sampled_from([Mode.ENFORCE, Mode.SHADOW, Mode.DISABLED]))
    good = make_rule("list", "good", action=PolicyAction.PASSTHRU, mode=good_mode)
    allow, protected = make_rule("allow", "allow"), make_rule("protected", "protected")
    sources = [(1 if rule.kind == "exchange" else 2, Effect.BLOCK, rule) for rule in blocks]
    sources += [(2, Effect.ALLOW, good), (1, Effect.ALLOW, allow), (0, Effect.PROTECT, protected)]
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        tier, effect, rule = draw(st.sampled_from(sources))
        form = draw(st.sampled_from(list(RuleForm)))
        lines.append(Line(tier, effect, form, draw(NAMES), rule))
    return lines


@pytest.mark.slow
@given(lines=policies(), names=st.lists(NAMES, min_size=1, max_size=12), wall=st.sampled_from([75.0, 125.0]))
@settings(max_examples=300, deadline=None)
def test_judgement_agrees_with_plain_search(lines: list[Line], names: list[str], wall: float) -> None:
    maker = PolicyMaker()
    for number, line in enumerate(lines, start=1):
        class_id = maker.writer.class_of(line.rule, line.form, line.effect, "rules")
        maker.writer.add_names(class_id, [n(line.owner)], [number])
    with tempfile.TemporaryDirectory() as folder:
        table = maker.table(Path(folder), wall=wall)
        for name in [*names, *(line.owner for line in lines)]:
            winner, shadow, nxdomain_ok = reference(lines, name, wall)
            verdict = judge(table, name)
            expected = (winner and winner.rule, winner and n(winner.owner), winner and winner.form)
            match = verdict.match
            assert (match and match.rule, match and match.owner, match and match.form) == expected, name
            assert (verdict.shadow and verdict.shadow.rule) == (shadow and shadow.rule), name
            assert verdict.nxdomain_ok is nxdomain_ok, name
            assert verdict.is_blocked is (winner is not None and winner.effect is Effect.BLOCK), name
            dates = [
                date
                for line in lines
                if applies(line, name) and line.rule.mode is not Mode.DISABLED
                for date in (line.rule.starts_at, line.rule.ends_at)
                if date is not None and date > wall
            ]
            if verdict is PASS:
                assert winner is None and shadow is None
            if verdict.valid_until == math.inf:
                # A rule that ends before it starts never changes anything.
                assert all(
                    best(lines, name, date, (Mode.ENFORCE, Mode.SHADOW))
                    == best(lines, name, wall, (Mode.ENFORCE, Mode.SHADOW))
                    for date in dates
                )


# Groups of clients.


@pytest.mark.parametrize("group", [-1, 64])
def test_there_is_no_table_for_a_group_that_cannot_be(tmp_path: Path, group: int) -> None:
    table = PolicyMaker().block(make_rule(), "a.example").table(tmp_path)
    with pytest.raises(ValueError, match="group"):
        PolicyTable(table.image, 1, 0.0, 0.0, group)


def test_rule_for_some_clients_takes_no_part_for_others(tmp_path: Path) -> None:
    maker = PolicyMaker().meant_for(3).block(make_rule(), "a.example")
    policy = maker.block(make_rule(label="s", mode=Mode.SHADOW), "s.example").policy(tmp_path)
    three = policy.table_for(3)
    assert judge(three, "a.example").is_blocked and judge(three, "s.example").shadow is not None
    for table in (policy.everybody, policy.table_for(4)):
        assert judge(table, "a.example") is PASS and judge(table, "s.example") is PASS
        assert not table.is_filtering
    assert three.is_filtering


def test_exception_for_some_clients_turns_nxdomain_into_nodata_for_them_alone(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "example.com").meant_for(3).allow("good.example.com")
    policy = maker.policy(tmp_path)
    assert judge(policy.everybody, "example.com").nxdomain_ok
    assert judge(policy.everybody, "good.example.com").is_blocked
    assert not judge(policy.table_for(3), "example.com").nxdomain_ok
    assert not judge(policy.table_for(3), "good.example.com").is_blocked


def test_gap_that_only_some_clients_have_blocked_is_nodata_for_the_others(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "=gap.example").meant_for(3)
    policy = maker.block(make_rule(label="more"), "*.gap.example").policy(tmp_path)
    assert not judge(policy.everybody, "gap.example").nxdomain_ok
    assert judge(policy.everybody, "x.gap.example") is PASS
    assert judge(policy.table_for(3), "gap.example").nxdomain_ok


AUDIENCES = st.sampled_from([AUDIENCE_ALL, AUDIENCE_ALL, 0b01, 0b10])


@pytest.mark.slow
@given(
    rules=policies().flatmap(
        lambda lines: st.tuples(*(st.tuples(st.just(line), AUDIENCES) for line in lines))
    ),
    names=st.lists(NAMES, min_size=1, max_size=12),
    group=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=300, deadline=None)
def test_table_of_a_group_says_what_a_policy_of_its_rules_alone_would_say(
    rules: tuple[tuple[Line, int], ...], names: list[str], group: int
) -> None:
    whole, own = PolicyMaker(), PolicyMaker()
    for number, (line, audience) in enumerate(rules, start=1):
        makers = (whole, own) if audience >> group & 1 else (whole,)
        for maker in makers:
            class_id = maker.writer.class_of(line.rule, line.form, line.effect, "rules", audience)
            maker.writer.add_names(class_id, [n(line.owner)], [number])
    with tempfile.TemporaryDirectory() as folder:
        viewed = Policy(whole.table(Path(folder), wall=75.0)).table_for(group)
        (Path(folder) / "test.policy").unlink()
        reduced = Policy(own.table(Path(folder), wall=75.0)).table_for(group)
        assert viewed.is_filtering is reduced.is_filtering
        for name in [*names, *(line.owner for line, _ in rules)]:
            seen, wanted = judge(viewed, name), judge(reduced, name)
            facts = ("action", "match", "shadow", "exemption", "denied", "nxdomain_ok")
            assert [getattr(seen, fact) for fact in facts] == [getattr(wanted, fact) for fact in facts], name
            # A mark of an exception may bound it where the exception cannot matter.
            assert seen.valid_until <= wanted.valid_until, name


def test_split_form_of_the_maker_reads_all_three() -> None:
    assert [split_form(text)[1] for text in ("=a.example", "*.a.example", "a.example")] == [
        RuleForm.EXACT,
        RuleForm.BELOW,
        RuleForm.SUBTREE,
    ]
    assert name_to_text(split_form("*.a.example")[0]) == "a.example"
