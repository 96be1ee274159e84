"""Which questions are asked: a design that covers, bounded, and another one each time."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from resolver.audit.plan import (
    QUESTIONS_LEAST,
    TYPES,
    Point,
    Probe,
    follow_up,
    mixed_case,
    plan,
    probe_again,
    question_text,
    random_label,
)
from resolver.audit.subjects import Subject
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_from_text as n
from resolver.wire.names import name_to_text
from resolver.wire.numbers import Qtype

UDP, STREAM = (0, 1), (2, 3)


def subject(name: str, form: RuleForm = RuleForm.SUBTREE, kind: str = "exchange") -> Subject:
    return Subject(n(name), form, kind, "x", (), "blocklist.yaml", 1, False, None)


def planned(*subjects: Subject, most: int = 50_000, seed: int = 1) -> list[Probe]:
    return list(plan(subjects, UDP, STREAM, seed, most))


def levels(probe: Probe) -> dict[str, object]:
    """The level of each factor of a question."""
    point = probe.point
    return {
        "form": point.form,
        "type": point.qtype,
        "edns": point.has_edns,
        "case": point.is_mixed,
        "stream": point.listener in STREAM,
    }


def test_a_few_names_are_each_asked_for_every_pair_of_form_type_edns_case_and_transport() -> None:
    domains = {
        "form": ("name", "www", "below"),
        "type": TYPES,
        "edns": (False, True),
        "case": (False, True),
        "stream": (False, True),
    }
    for seed in range(5):
        probes = planned(subject("alpha.example"), seed=seed)
        for first, second in combinations(domains, 2):
            seen = {(levels(probe)[first], levels(probe)[second]) for probe in probes}
            assert seen == set(product(domains[first], domains[second])), (first, second)


def test_every_listener_is_asked_for_every_name_of_a_few() -> None:
    probes = planned(subject("alpha.example"))
    assert {probe.point.listener for probe in probes} == {*UDP, *STREAM}


def test_many_names_are_each_asked_for_addresses_and_https_in_three_forms() -> None:
    subjects = [subject(f"site{i}.example") for i in range(1_000)]
    probes = planned(*subjects, most=1_000)
    for place in range(len(subjects)):
        mine = [probe for probe in probes if probe.subject == place]
        assert {probe.point.form for probe in mine} == {"name", "www", "below"}
        assert {probe.point.qtype for probe in mine} >= {Qtype.A, Qtype.AAAA, Qtype.HTTPS}
    assert {probe.point.qtype for probe in probes} == set(TYPES)
    assert len(probes) <= (QUESTIONS_LEAST + 0.25) * len(subjects)


def test_over_many_names_every_pair_is_asked_many_times() -> None:
    probes = planned(*(subject(f"site{i}.example") for i in range(1_000)), most=1_000)
    for first, second in combinations(("edns", "case", "stream", "form"), 2):
        seen = [(levels(probe)[first], levels(probe)[second]) for probe in probes]
        assert all(seen.count(pair) > 50 for pair in set(seen)), (first, second)
        assert len(set(seen)) == (6 if "form" in (first, second) else 4)


def test_between_few_and_many_the_questions_stay_within_their_bound() -> None:
    for count in (10, 100, 500, 1_500):
        subjects = [subject(f"site{i}.example") for i in range(count)]
        assert len(planned(*subjects, most=9_000)) <= 9_000


def test_no_question_is_asked_twice() -> None:
    for most in (1_000, 3_000, 12_000, 50_000):
        probes = planned(*(subject(f"site{i}.example") for i in range(500)), most=most)
        asked = [(probe.subject, probe.point.form, probe.point.qtype) for probe in probes]
        assert len(asked) == len(set(asked))


def test_an_exact_rule_is_asked_at_its_name_and_what_stands_beside() -> None:
    probes = planned(subject("exact.example", RuleForm.EXACT))
    names = [name_to_text(probe.qname) for probe in probes]
    assert names.count("exact.example") == len(TYPES)
    beside = [probe for probe in probes if probe.qname != n("exact.example")]
    assert len(beside) == 2 and all(probe.qname.endswith(n("exact.example")) for probe in beside)


def test_a_rule_for_names_below_is_asked_there_and_at_the_name_itself_once() -> None:
    probes = planned(subject("below.example", RuleForm.BELOW))
    assert sum(probe.qname == n("below.example") for probe in probes) == 1
    below = {probe.point.qtype for probe in probes if probe.qname != n("below.example")}
    assert below == set(TYPES)


@pytest.mark.parametrize("form", RuleForm)
def test_even_among_very_many_what_stands_beside_is_asked(form: RuleForm) -> None:
    subjects = [subject(f"site{i}.example", form) for i in range(100)]
    for place in range(100):
        mine = [probe for probe in planned(*subjects, most=1) if probe.subject == place]
        at_name = [probe for probe in mine if probe.qname == subjects[place].name]
        assert at_name and len(mine) > len(at_name)


def test_labels_are_new_in_every_audit() -> None:
    def labels(seed: int) -> set[bytes]:
        return {
            probe.qname for probe in planned(subject("a.example"), seed=seed) if probe.point.form == "below"
        }

    assert not labels(1) & labels(2)
    assert len(labels(1)) == len(TYPES)


def test_a_name_as_long_as_names_can_be_is_asked_without_labels_under_it() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    probes = planned(subject(longest))
    assert probes and all(probe.qname == n(longest) for probe in probes)


def test_exceptions_are_asked_for_addresses_alone() -> None:
    probes = planned(subject("ok.example", kind="allow"))
    assert {probe.point.qtype for probe in probes} == {Qtype.A, Qtype.AAAA}


def test_what_is_not_in_force_is_not_asked() -> None:
    from resolver.audit.results import Status

    idle = Subject(n("a.example"), RuleForm.SUBTREE, "exchange", "x", (), "", 1, False, Status.PENDING)
    assert planned(idle) == []


def test_one_listener_takes_all() -> None:
    probes = list(plan([subject("a.example")], (), (0,), 1))
    assert probes and {probe.point.listener for probe in probes} == {0}


def test_what_failed_somewhere_is_asked_of_all_that_were_not_asked_it() -> None:
    subjects = [
        subject("a.example"),
        subject("b.example"),
        subject("c.example", RuleForm.EXACT),
        subject("d.example", RuleForm.BELOW),
        subject("ok.example", kind="allow"),
    ]
    point = Point("www", int(Qtype.MX), True, False, 2)
    asked = [frozenset({point}), *(frozenset[Point]() for _ in subjects[1:])]
    probes = list(follow_up(subjects, asked, [point], 1))
    assert [name_to_text(probe.qname) for probe in probes] == ["www.b.example", "www.d.example"]
    assert {probe.point for probe in probes} == {point}
    assert len(list(follow_up(subjects, asked, [point], 1, most=1))) == 1


@pytest.mark.parametrize("salt", [0, 1, 2**40, 2**64 - 1])
def test_mixed_case_changes_letters_alone(salt: int) -> None:
    for name in ("www.alpha.example", "a-1.xn--bcher-kva.example", "1-2.3.", "a."):
        wire = n(name)
        spelt = mixed_case(wire, salt)
        assert spelt.lower() == wire
        assert (spelt != wire) is any(map(str.isalpha, name))


def test_labels_by_chance_are_well_formed() -> None:
    for salt in (0, 1, 2**64 - 1):
        name_to_text(random_label(salt) + n("example"))
        assert random_label(salt) == random_label(salt).lower() and len(random_label(salt)) == 11


@pytest.mark.parametrize("name", ["acme.example", "a_b.example", r"a\.\032b\000c.example"])
def test_a_question_that_is_told_can_be_asked_again_letter_for_letter(name: str) -> None:
    one = subject(name)
    for probe in planned(one, seed=7):
        again = probe_again(0, one, question_text(probe), probe.point.listener)
        assert again is not None
        assert (again.spelt, again.qname, again.point) == (probe.spelt, probe.qname, probe.point)
    assert probe_again(0, one, name, 0) is None
