"""Whatever the policy: a server that carries it out has no finding, and one that knows nothing of it has."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.audit.auditor import Manner
from resolver.audit.results import AuditResult, Kind, Status
from resolver.audit.subjects import Wanted
from resolver.audit.targets import server_from
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import LocalData, Mode, PolicyAction
from resolver.wire.names import name_from_text as n
from tests.support.audit_rig import (
    WALL,
    Play,
    compile_table,
    findings,
    named,
    run_audit,
    server_of,
    upstream_answer,
)
from tests.support.policy_maker import PolicyMaker, make_rule

ACTIONS = [
    *({"action": action} for action in PolicyAction if action.value not in ("passthru", "local-data")),
    {"action": PolicyAction.LOCAL_DATA, "local_data": LocalData((bytes([192, 0, 2, 7]),))},
    {"action": PolicyAction.LOCAL_DATA, "local_data": LocalData((), n("stop.elsewhere.example"))},
    {"action": PolicyAction.LOCAL_DATA, "local_data": LocalData((), b"\x01*" + n("stop.elsewhere.example"))},
]
SOURCES = [
    *(make_rule("exchange", f"x{number}", **changes) for number, changes in enumerate(ACTIONS)),  # type: ignore[arg-type]
    *(make_rule("list", f"l{number}", **changes) for number, changes in enumerate(ACTIONS)),  # type: ignore[arg-type]
    make_rule("exchange", "shadow", mode=Mode.SHADOW),
    make_rule("exchange", "off", mode=Mode.DISABLED),
    make_rule("exchange", "later", starts_at=WALL + 9_000),
    make_rule("exchange", "soon", starts_at=WALL + 60),
    make_rule("exchange", "ending", ends_at=WALL + 60),
    make_rule("exchange", "over", ends_at=WALL - 60),
]
LABELS = st.sampled_from(["a", "b", "www"])
NAMES = st.lists(LABELS, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
WRITTEN = st.tuples(st.sampled_from(["", "=", "*."]), NAMES).map("".join)
RULES = st.lists(st.tuples(st.sampled_from(SOURCES), WRITTEN), min_size=1, max_size=8)


def table_of(rules: list[tuple[object, str]], allowed: list[str], protected: list[str]) -> PolicyTable:
    maker = PolicyMaker().allow(*allowed).protect(*protected)
    for rule, written in rules:
        maker.block(rule, written)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        return maker.table(Path(folder), wall=WALL, monotonic=WALL)


def alarms(result: AuditResult) -> dict[str, tuple[str, set[str]]]:
    """Findings but for what the policy itself opens."""
    return {
        name: (status, kinds)
        for name, (status, kinds) in findings(result).items()
        if Kind.EXCEPTED.value not in kinds
    }


@pytest.mark.slow
@settings(max_examples=120)
@given(RULES, st.lists(WRITTEN, max_size=3), st.lists(WRITTEN, max_size=1))
def test_a_server_that_carries_its_policy_out_has_no_finding(
    rules: list[tuple[object, str]], allowed: list[str], protected: list[str]
) -> None:
    table = table_of(rules, allowed, protected)
    result = run_audit(table, server_of(table))
    assert alarms(result) == {}
    assert alarms(run_audit(table, server_of(table), servers=[server_from("192.0.2.53")])) == {}


@settings(max_examples=40)
@given(RULES)
def test_a_server_that_knows_nothing_of_it_has_one_for_every_rule_in_force(
    rules: list[tuple[object, str]],
) -> None:
    table = table_of(rules, [], [])
    result = run_audit(
        table, lambda _, octets: [(0.01, upstream_answer(octets))], servers=[server_from("192.0.2.53")]
    )
    for name in result.names:
        if name.proofs[0].asked:
            deciding = table.judge_name(
                b"\x01q" + n(name.name) if name.form == "below" else n(name.name), WALL
            )
            # Who is sent to TCP is not blocked.
            if deciding.is_blocked and deciding.action is not PolicyAction.TCP_ONLY:
                assert name.status is Status.UNCOVERED, name


LISTS = """\
version: 1
exchanges:
  alpha: {name: Alpha, domains: [alpha.example]}
lists:
  - {name: zone, path: zone.rpz, format: rpz}
  - {name: hosts, path: hosts.txt, format: hosts}
  - {name: names, path: names.txt, format: domains}
  - {name: pardons, path: pardons.txt, format: domains, kind: allow}
"""
ZONE = """\
$TTL 300
@ SOA policy.invalid. nobody.invalid. 1 3600 600 86400 300
@ NS policy.invalid.
nx.example CNAME .
*.nx.example CNAME .
nodata.example CNAME *.
pass.example CNAME rpz-passthru.
drop.example CNAME rpz-drop.
tcp.example CNAME rpz-tcp-only.
page.example A 192.0.2.80
page.example AAAA 2001:db8::80
link.example CNAME stop.elsewhere.example.
only.example CNAME .
"""


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> PolicyTable:
    return compile_table(
        tmp_path_factory.mktemp("lists"),
        LISTS,
        zone_rpz=ZONE,
        hosts_txt="0.0.0.0 host.example\n",
        names_txt="listed.example\nalpha.example\npardoned.example\n",
        pardons_txt="pardoned.example\n",
    )


@pytest.mark.parametrize("is_own", [True, False])
def test_lists_of_all_formats_and_actions_have_none_either(lists: PolicyTable, *, is_own: bool) -> None:
    servers = {} if is_own else {"servers": [server_from("192.0.2.53")]}
    result = run_audit(lists, server_of(lists), **servers)  # type: ignore[arg-type]
    assert findings(result) == {}
    assert named(result, "=page.example").status is Status.COVERED
    assert named(result, "=drop.example").status is Status.COVERED
    assert named(result, "=host.example").status is Status.COVERED
    assert named(result, "alpha.example", "list").status is Status.COVERED
    assert named(result, "pardoned.example", "list").status is Status.OPEN


@pytest.mark.slow
def test_twenty_thousand_names_have_none_and_take_about_a_minute_at_a_thousand_questions_a_second() -> None:
    rule, sink = make_rule("exchange", "big"), make_rule("exchange", "sink", action=PolicyAction.SINKHOLE)
    signs = {3: "=", 7: "*."}
    maker = PolicyMaker().allow(*(f"ok.site{number}.example" for number in range(0, 15_000, 100)))
    maker.block(rule, *(f"{signs.get(number % 10, '')}site{number}.example" for number in range(15_000)))
    maker.block(sink, *(f"sink{number}.example" for number in range(5_000)))
    with tempfile.TemporaryDirectory() as folder:
        table = maker.table(Path(folder), wall=WALL, monotonic=WALL)
    play = Play({"*": server_of(table)})
    result = run_audit(table, {}, play=play, manner=Manner(seed=3), wanted=Wanted(seed=3))
    assert findings(result) == {}
    assert result.counts()["covered"] == 20_000
    assert play.seconds < 80
