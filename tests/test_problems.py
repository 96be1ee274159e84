"""Problems read like a compiler's, and there are never too many of them."""

from __future__ import annotations

import pytest

from resolver.problems import PROBLEMS_MAX, Findings, Problem, has_errors, show, suggest


def test_a_problem_reads_as_file_line_message() -> None:
    assert str(Problem("a.yaml", 3, "is odd")) == "a.yaml:3: is odd"


def test_a_problem_of_the_whole_file_has_no_line() -> None:
    assert str(Problem("a.yaml", 0, "is empty")) == "a.yaml: is empty"


def test_a_warning_says_so() -> None:
    assert str(Problem("a.yaml", 3, "is odd", "warning")) == "a.yaml:3: warning: is odd"


def test_warnings_alone_are_no_errors() -> None:
    assert not has_errors([Problem("a", 1, "x", "warning")])
    assert has_errors([Problem("a", 1, "x", "warning"), Problem("a", 1, "x")])


def test_a_misspelt_word_gets_a_suggestion() -> None:
    assert suggest("domians", ["domains", "addresses"]) == " (did you mean 'domains'?)"
    assert suggest("Domains", ["domains"]) == " (did you mean 'domains'?)"


def test_a_foreign_word_gets_none() -> None:
    assert suggest("zzz", ["domains", "addresses"]) == ""
    assert suggest("a" * 1_000_000, ["domains"]) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), (True, "true"), ("a\nb", r"'a\nb'"), ("\x1b[2J", r"'\x1b[2J'"), (1.5, "1.5")],
)
def test_values_are_shown_as_the_file_would_have_them(value: object, shown: str) -> None:
    assert show(value) == shown


def test_a_long_value_is_cut() -> None:
    assert len(show("x" * 10_000)) < 100
    assert len(show(list(range(10_000)))) < 100


def test_findings_come_by_line() -> None:
    findings = Findings("f")
    findings.error(7, "late")
    findings.warning(2, "early")
    assert [problem.line for problem in findings.in_order()] == [2, 7]


def test_findings_are_bounded_and_say_what_is_left_out() -> None:
    findings = Findings("f")
    for line in range(PROBLEMS_MAX + 5):
        assert findings.is_full == (line >= PROBLEMS_MAX)
        findings.error(line, "x")
    problems = findings.in_order()
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1].message.startswith("5 or more")
    assert has_errors(problems[-1:])


def test_a_forcible_error_is_an_error_until_forced() -> None:
    for force in (False, True):
        findings = Findings("f", force=force)
        findings.error(1, "risky", forcible=True)
        findings.error(1, "wrong")
        assert findings.error_count == (1 if force else 2)
        assert [problem.severity for problem in findings.in_order()] == [
            "warning" if force else "error",
            "error",
        ]
        assert findings.in_order()[0].forcible


def test_control_characters_never_reach_a_terminal() -> None:
    findings = Findings("f")
    findings.error(1, "key \x1b]0;evil\x07\nf:2: forged")
    assert findings.in_order()[0].message.isprintable()
