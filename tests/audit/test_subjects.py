"""What has to be proved: found in the policy, chosen, and told where it is not what is prescribed."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.audit.asks import asks_of
from resolver.audit.results import Kind, Status
from resolver.audit.subjects import Ask, Found, Subject, Wanted, find_subjects
from resolver.audit.targets import server_from
from resolver.blocklist.measures import measure_from
from resolver.blocklist.reader import read_blocklist
from resolver.policy.verdict import CONFIDENTIAL
from resolver.wire.encode import encode_response
from resolver.wire.names import name_from_text as n
from resolver.wire.names import name_to_text
from resolver.wire.records import soa_record
from tests.support.audit_rig import (
    WALL,
    Replies,
    compile_table,
    findings,
    named,
    query_of,
    run_audit,
    server_of,
    upstream_answer,
)

POLICY = """\
version: 1
orders:
  open: {authority: A, title: T, date: 2024-01-02, imposed_by: external}
  sealed: {authority: A, title: T, date: 2024-01-02, imposed_by: external, confidential: true}
exchanges:
  alpha: {name: Alpha, order: open, domains: [alpha.example, a2.example, a3.example]}
  beta: {name: Beta, domains: [beta.example]}
  hidden: {name: Hidden, order: sealed, domains: [hidden.example, h2.example, h3.example]}
allow: [ok.alpha.example, ok.hidden.example]
protected: [safe.example]
lists:
  - {name: plain, path: plain.txt, format: domains}
  - {name: register, path: register.txt, format: domains, order: open}
"""
PLAIN = "".join(f"plain{i}.example\n" for i in range(3_000))
REGISTER = "".join(f"listed{i}.example\n" for i in range(3_000))


@pytest.fixture(scope="module")
def found_all(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, object]:
    table = compile_table(tmp_path_factory.mktemp("policy"), POLICY, plain_txt=PLAIN, register_txt=REGISTER)
    return find_subjects(table, WALL, Wanted()), table


def of(found: Found, source: str) -> list[Subject]:
    return [subject for subject in found.subjects if subject.source == source]


def find(found_all: tuple[Found, object], **wanted: object) -> Found:
    return find_subjects(found_all[1], WALL, Wanted(**wanted))  # type: ignore[arg-type]


def test_exchanges_and_lists_of_orders_are_taken_whole_and_other_lists_by_a_sample(
    found_all: tuple[Found, object],
) -> None:
    found, _ = found_all
    assert len(of(found, "alpha")) == 3
    assert len(of(found, "register")) == 3_000
    assert len(of(found, "plain")) == 1_000 and found.left_out["plain"] == 2_000


def test_a_named_register_is_taken_whole_and_alone(found_all: tuple[Found, object]) -> None:
    found = find(found_all, register="plain")
    assert len(found.subjects) == 3_000 and {one.source for one in found.subjects} == {"plain"}


def test_an_exchange_or_an_order_is_taken_alone(found_all: tuple[Found, object]) -> None:
    assert {one.source for one in find(found_all, exchange="beta").subjects} == {"beta"}
    assert {one.source for one in find(found_all, order="open").subjects} == {"alpha", "register"}


def test_a_sample_has_some_of_every_source(found_all: tuple[Found, object]) -> None:
    found = find(found_all, sample=8)
    asked = [one for one in found.subjects if one.status is None and not one.is_exception]
    assert len(asked) == 8
    assert {one.source for one in asked} == {"alpha", "beta", "hidden", "plain", "register"}
    assert sum(found.left_out.values()) >= 5_999


def test_another_seed_makes_another_sample(found_all: tuple[Found, object]) -> None:
    first, second = ({one.name for one in of(find(found_all, seed=seed), "plain")} for seed in (1, 2))
    assert first != second and len(first & second) > 100


def test_what_is_confidential_is_marked_exceptions_to_it_included(found_all: tuple[Found, object]) -> None:
    found, _ = found_all
    marked = {name_to_text(one.name) for one in found.subjects if one.is_confidential}
    assert marked == {"hidden.example", "h2.example", "h3.example", "ok.hidden.example"}


def test_how_many_confidential_names_are_left_out_is_told_without_their_exchange(
    found_all: tuple[Found, object],
) -> None:
    left_out = find(found_all, sample=1).left_out
    assert "hidden" not in left_out and left_out[CONFIDENTIAL] >= 3


def test_a_confidential_leak_is_counted_in_what_is_shared(found_all: tuple[Found, object]) -> None:
    table = found_all[1]
    result = run_audit(
        table,  # type: ignore[arg-type]
        lambda target, octets: [(0.01, upstream_answer(octets))],
        wanted=Wanted(exchange="hidden"),
    )
    assert named(result, "hidden.example").status is Status.UNCOVERED
    shared = result.shared()
    assert "hidden" not in repr(shared) and "h2" not in repr(shared)
    assert shared.names == () and shared.counts()["uncovered"] == 3 and shared.has_findings


def test_notes_on_another_server_tell_nothing_of_what_is_confidential(
    found_all: tuple[Found, object],
) -> None:
    def otherwise(_: object, octets: bytes) -> Replies:
        soa = soa_record(n("hidden.example"), n("ns.hidden.example"), b"\0", 1, 1, 1, 1, 60, 60)
        return [(0.01, encode_response(query_of(octets), 3, body=soa, nscount=1, limit=1232))]

    result = run_audit(
        found_all[1],  # type: ignore[arg-type]
        otherwise,
        wanted=Wanted(exchange="hidden"),
        servers=[server_from("192.0.2.53")],
    )
    assert result.servers[0].notes
    assert "hidden" not in repr(result.shared())


def test_names_that_an_order_asks_for_are_asked_too(tmp_path: Path) -> None:
    table = compile_table(tmp_path, POLICY, plain_txt="x.example\n", register_txt="y.example\n")
    asks = (
        Ask("open", n("www.alpha.example"), False, "", 3),
        Ask("open", n("forgotten.example"), False, "not_blocked: no exchange of the blocklist has it", 3),
    )
    result = run_audit(table, server_of(table), asks=asks)
    assert named(result, "=www.alpha.example", "ask").status is Status.COVERED
    assert findings(result) == {"=forgotten.example": ("uncovered", {"not-enforced"})}
    assert "no exchange" in named(result, "=forgotten.example").gravest.reason


@pytest.mark.parametrize(
    ("ask", "is_finding"),
    [
        ("https://t.me/forgotten", False),
        ("t.me", True),
        ("https://drive.google.com/file/d/1/view", False),
        ("forgotten.example", True),
        ("https://forgotten.example/trade", True),
    ],
)
def test_what_no_rule_could_block_is_open_and_what_a_rule_could_is_a_finding(
    ask: str, is_finding: bool, tmp_path: Path
) -> None:
    text = POLICY.replace("open: {", f"open: {{asks: ['{ask}'], ", 1)
    assert text != POLICY
    table = compile_table(tmp_path, text, plain_txt="x.example\n", register_txt="y.example\n")
    policy, problems = read_blocklist(tmp_path / "blocklist.yaml")
    assert policy is not None, problems
    asks = [one for one in asks_of(policy, WALL) if one.order == "open"]
    assert len(asks) == 1
    result = run_audit(table, server_of(table), asks=tuple(asks))
    (proved,) = [name for name in result.names if name.kind == "ask"]
    assert proved.status is (Status.UNCOVERED if is_finding else Status.OPEN)
    assert result.has_findings is is_finding
    assert proved.gravest.reason


@pytest.mark.parametrize(
    ("measure", "action", "is_fulfilled"),
    [
        ("nxdomain", "nxdomain", True),
        ("nxdomain", "nodata", False),
        ({"ipv4": "192.0.2.9", "ipv6": "2001:db8::9"}, "nxdomain", False),
        ({"cname": "stop.example"}, "nxdomain", False),
    ],
)
def test_a_policy_that_does_something_else_than_its_order_prescribes_is_told(
    measure: object, action: str, is_fulfilled: bool, tmp_path: Path
) -> None:
    text = POLICY.replace("name: Alpha,", f"name: Alpha, action: {action},")
    table = compile_table(tmp_path, text, plain_txt="x.example\n", register_txt="y.example\n")
    read = measure_from(measure)
    assert read is not None
    subjects = find_subjects(table, WALL, Wanted(), (), {"open": read}).subjects
    flaws = {subject.flaw for subject in subjects if subject.source == "alpha"}
    assert flaws == ({None} if is_fulfilled else {Kind.MEASURE})


def test_a_local_name_is_open_and_no_finding(tmp_path: Path) -> None:
    table = compile_table(tmp_path, POLICY, plain_txt="x.example\n", register_txt="y.example\n")

    def answers_here(target: object, octets: bytes) -> Replies:
        if query_of(octets).qname.endswith(n("beta.example")):
            return [(0.01, upstream_answer(octets))]
        return server_of(table)(target, octets)  # type: ignore[arg-type]

    result = run_audit(table, answers_here, is_local=lambda query: query.qname.endswith(n("beta.example")))
    assert findings(result) == {}
    assert named(result, "beta.example").status is Status.OPEN


def test_rules_for_addresses_are_counted_since_no_question_proves_them(tmp_path: Path) -> None:
    text = POLICY.replace("domains: [beta.example]", "domains: [beta.example], addresses: [203.0.113.0/24]")
    table = compile_table(tmp_path, text, plain_txt="x.example\n", register_txt="y.example\n")
    assert find_subjects(table, WALL, Wanted()).address_rules == 1


@pytest.mark.parametrize("kind", ["plain1", "listed1", "alpha", "allow"])
def test_what_is_wanted_first_is_in_every_sample(kind: str, tmp_path: Path) -> None:
    more = ", ".join(f"e{number}.alpha.example" for number in range(300))
    text = POLICY.replace("allow: [", f"allow: [{more}, ")
    table = compile_table(tmp_path, text, plain_txt=PLAIN, register_txt=REGISTER)
    name = n({"allow": "e7.alpha.example"}.get(kind, f"{kind}.example"))
    for seed in range(8):
        wanted = Wanted(sample=20, seed=seed, first=frozenset((name,)))
        subjects = find_subjects(table, WALL, wanted).subjects
        assert name in {subject.name for subject in subjects}
        assert sum(not subject.is_exception for subject in subjects) == 20
    everything = Wanted(sample=20, first=frozenset(n(f"plain{number}.example") for number in range(50)))
    found = find_subjects(table, WALL, everything)
    assert sum(not subject.is_exception for subject in found.subjects) == 50
