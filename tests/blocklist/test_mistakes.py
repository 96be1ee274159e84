"""Mistakes that people make in a blocklist: each is named as what it is, at its own line, and nothing untrue beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.blocklist.reader import read_blocklist
from resolver.problems import Problem
from resolver.publishing.compiler import compile_policy
from tests.support.for_each import for_each

CASES = Path(__file__).parents[1] / "golden" / "blocklists"
NOW = 1_796_000_000.0
"""A day in November 2026."""
HEAD = "version: 1\nexchanges:\n  a:\n    name: A\n"


def read(text: str) -> list[Problem]:
    return read_blocklist(Path("b.yaml"), octets=text.encode())[1]


def errors(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in problems if problem.severity == "error"]


def warnings(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in problems if problem.severity == "warning"]


def case(name: str) -> list[Problem]:
    return read_blocklist(CASES / f"{name}.yaml")[1]


def compiled(tmp_path: Path, text: str) -> list[Problem]:
    return compile_policy(tmp_path / "b.yaml", tmp_path / "out", text=text.encode(), now=NOW).problems


# Names as they are pasted.


def test_pasted_names_are_errors_with_the_name_that_was_meant() -> None:
    found = errors(case("pasted-characters"))
    assert [line for line, _ in found] == [10, 11, 12]
    for (_, message), sign, meant in zip(
        found,
        ("en dash", "left double quotation mark", "ideographic comma"),
        ("crypto-exchange1.example", "exchange4.example", "exchange7.example"),
        strict=True,
    ):
        assert sign in message and message.endswith(f"did you mean '{meant}'?")
    assert warnings(case("pasted-characters")) == []


@pytest.mark.parametrize("section", ["allow", "protected"])
def test_pasted_names_are_errors_among_exceptions_too(section: str) -> None:
    [(line, message)] = errors(read(f"version: 1\nexchanges: {{}}\n{section}:\n  - “x.example”\n"))
    assert line == 4 and "did you mean 'x.example'?" in message


@pytest.mark.parametrize("written", ["сoinbase.example", "xn--oinbase-xjg.example"])
def test_mixed_scripts_in_a_label_are_a_warning_that_names_the_script(written: str) -> None:
    problems = read(f"{HEAD}    domains: [{written}]\n")
    [(line, message)] = warnings(problems)
    assert line == 5 and errors(problems) == []
    assert "Cyrillic (с)" in message and "'xn--oinbase-xjg.example' (сoinbase.example)" in message


@pytest.mark.parametrize("section", ["allow", "protected"])
def test_mixed_scripts_among_exceptions_are_a_warning_too(section: str) -> None:
    found = warnings(read(f"version: 1\nexchanges: {{}}\n{section}: [сoinbase.example]\n"))
    assert any("Cyrillic" in message for _, message in found)


@pytest.mark.parametrize(
    "written", ["bücher.example", "日本語abc.example", "биржа.example", "i❤.ws", "한국a.example"]
)
def test_names_in_scripts_that_are_written_together_are_fine(written: str) -> None:
    assert read(f"{HEAD}    domains: [{written}]\n") == []


def test_messages_show_the_u_label_of_an_a_label() -> None:
    [(_, message)] = warnings(read(f"{HEAD}    domains: [bücher.example, xn--bcher-kva.example]\n"))
    assert "'xn--bcher-kva.example' (bücher.example) is already on line 5" in message


# Names that nobody could have registered.


def test_unknown_top_level_domains_are_warnings_with_the_nearest() -> None:
    found = warnings(case("tld-typo"))
    assert [message.rpartition("did you mean ")[2] for _, message in found] == [
        "'gammabits.example'?",
        "'coin.com'?",
        "'coin.com'?",
    ]


@pytest.mark.parametrize(
    "name", ["x.za", "x.co.za", "x.бг", "x.kids", "x.onion", "x.test", "x.ישראל", "x.uk"]
)
def test_every_top_level_domain_there_is_is_known(name: str) -> None:
    assert not any(
        "top-level" in message for _, message in warnings(read(f"{HEAD}    domains: ['={name}']\n"))
    )


def test_private_zones_may_be_excepted() -> None:
    assert warnings(read(f"{HEAD}    domains: [a.example]\nprotected: [printer.lan, my_host.corp]\n")) == []


def test_odd_hyphens_underscores_and_empty_a_labels_are_warnings_with_a_suggestion() -> None:
    found = [message for _, message in warnings(case("hyphen-edge"))]
    assert len(found) == 6
    for message, name, says in zip(
        found,
        ("-bad", "bad-", "a_b", "xn--zz", "xn--", "--"),
        (
            "'bad.example'?",
            "'bad.example'?",
            "'a-b.example'?",
            "not a valid A-label",
            "not a valid A-label",
            "end of a label",
        ),
        strict=True,
    ):
        assert f"'{name}.example'" in message and says in message
    assert "did you mean" not in found[-1]  # 'example' alone would be a top-level domain.


def test_hyphens_inside_and_real_a_labels_are_fine() -> None:
    assert read(f"{HEAD}    domains: [a-b--c.example, xn--bcher-kva.example]\n") == []


# Dates.


def test_years_far_away_are_warnings_at_their_line(tmp_path: Path) -> None:
    text = (CASES / "order-trap-after.yaml").read_text()
    [(line, message), (_, weaker)] = warnings(compiled(tmp_path, text))
    assert line == 6 and "exchanges.binance.from: the year 2099 is 73 years ahead" in message
    assert "exchanges.binance.from: order nafm of an authority is in force before that day" in weaker
    assert warnings(compiled(tmp_path, (CASES / "order-trap-before.yaml").read_text())) == []


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        ("from: 2206-12-05", "the year 2206 is 180 years ahead"),
        ("from: 2062-12-05", "did you mean 2026?"),
        ("until: 2126-12-05", "did you mean 2026?"),
        ("until: 2099-12-31", "leave it out if no end is known"),
        ("from: 1926-12-05", "the year 1926 is 100 years ago"),
        ("from: 1018-08-23", "the year 1018 is 1008 years ago"),
    ],
)
def test_a_far_year_is_named_with_what_was_meant(tmp_path: Path, dates: str, says: str) -> None:
    [(line, message)] = warnings(compiled(tmp_path, f"{HEAD}    domains: [a.example]\n    {dates}\n"))
    assert line == 6 and says in message


@pytest.mark.parametrize("dates", ["from: 2018-08-23", "until: 2036-12-31", "from: 2000-01-01"])
def test_a_year_within_reach_is_fine(tmp_path: Path, dates: str) -> None:
    assert compiled(tmp_path, f"{HEAD}    domains: [a.example]\n    {dates}\n") == []


def test_from_and_until_on_one_day_is_told_what_until_means() -> None:
    [(line, message)] = errors(case("order-typo-date"))
    assert line == 5 and "'until' is the first day on which it is not blocked any more" in message


# Oversights.


def test_exchange_that_cites_none_of_the_orders_is_a_warning() -> None:
    [(line, message)] = warnings(case("no-order"))
    assert line == 10 and "cites no order" in message and "ord1" in message
    assert read(f"{HEAD}    domains: [a.example]\n") == []


def test_two_exchanges_of_one_name_are_a_warning() -> None:
    [(line, message)] = warnings(case("same-name"))
    assert line == 6 and "'Kraken' is also the name of kraken" in message


# What is no YAML, or is it by accident.


def test_merge_conflict_is_named_at_each_of_its_marks() -> None:
    found = errors(case("merge-conflict"))
    assert [line for line, _ in found] == [10, 15, 20]
    assert all("merge conflict" in message for _, message in found)


@pytest.mark.parametrize("mark", ["=======", "||||||| base", ">>>>>>> branch"])
def test_mark_that_a_tidied_merge_left_over_is_named(mark: str) -> None:
    [(line, message)] = errors(read(f"{HEAD}    domains: [a.example]\n{mark}\n"))
    assert line == 6 and f"{mark!r} is the mark of a merge conflict" in message


def test_seven_signs_in_a_text_are_no_merge_conflict() -> None:
    assert read(f"{HEAD}    domains: [a.example]\n# =======\n# <<<<<<< HEAD\n") == []


@for_each(
    ("text", "line", "says"),
    [
        ("exchanges:\n  newcoin\n    name: A\n", 2, "no colon in 'newcoin'; write 'newcoin:'"),
        ("a:\n  name A\n  order: x\n", 2, "no colon in 'name A'; write 'name: A'"),
        ("a:\n  domains # all\n    - a.example\n  name: A\n", 2, "no colon in 'domains'; write 'domains:'"),
        ("a:\n  name: A\n  domains\n    - a.example\n    - b.example\n", 3, "no colon in 'domains'"),
        ("version 1\nexchanges: {}\n", 1, "no colon in 'version 1'; write 'version: 1'"),
        ("version: 1\nexchanges\n  a: {name: A}\n", 2, "no colon in 'exchanges'"),
        ("a:\n    name:A\n    domains: [x]\n", 2, "no space after the colon in 'name:A'; write 'name: A'"),
        ('a:\n  name: "A\n  order: x\n', 2, "quote that opens in '\"A' is not closed"),
        ('a:\n  name: "A\n  order: "x"\n', 2, "is not closed"),
        ("a:\n  - 'a.example\n  - 'b.example'\n", 2, "is not closed"),
        ('a: ["x, y]\nb: "z"\n', 1, "is not closed"),
        ("a:\n  name: 'O'Neil'\n", 2, "closes before the end of the value"),
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("a: 'it''s'\nb: c: d\n", 2, "mapping values are not allowed"),
    ],
)
def test_slip_is_named_as_such_at_its_own_line(text: str, line: int, says: str) -> None:
    [(at, message)] = errors(read(text))
    assert at == line and says in message


@pytest.mark.parametrize(("name", "line"), [("missing-colon", 10), ("colon-nospace", 6)])
def test_slip_in_a_whole_file_is_named_at_its_own_line(name: str, line: int) -> None:
    [(at, message)] = errors(case(name))
    assert at == line and "colon" in message


def test_key_without_its_colon_under_an_exchange_is_told_the_colon() -> None:
    [(line, message)] = errors(read("version: 1\nexchanges:\n  a:\n    name NewCoin\n"))
    assert line == 3 and "the colon is missing: write 'name: NewCoin'" in message


def test_dash_without_its_space_is_told_the_space_and_nothing_untrue() -> None:
    problems = case("dash-nospace")
    [(line, message)] = errors(problems)
    assert line == 7 and message.endswith("write a space after the dash: '- newcoin.example'")
    assert not any("no domains" in message for _, message in warnings(problems))


def test_true_is_told_that_it_wants_quotes() -> None:
    found = errors(read(f"{HEAD}    domains: [true]\n") + read("version: 1\nexchanges: {a: {name: true}}\n"))
    assert len(found) == 2 and all("quotes" in message for _, message in found)
    assert found[1][1].endswith('write it in quotes: "true"')


# What follows from another mistake is not said.


def test_exchange_whose_entries_are_all_bad_is_not_said_to_have_none() -> None:
    problems = read(f"{HEAD}    domains: ['https://a.example', 'b c', 1.2.3.4]\n    addresses: [nowhere]\n")
    assert len(errors(problems)) == 4 and warnings(problems) == []


def test_exception_is_not_said_to_be_void_where_what_it_is_from_could_not_be_read() -> None:
    problems = read(f"{HEAD}    domains: [c.example, 'https://a.example']\nallow: [www.a.example]\n")
    assert len(errors(problems)) == 1 and warnings(problems) == []
    assert len(warnings(read(f"{HEAD}    domains: [c.example]\nallow: [www.a.example]\n"))) == 1


def test_exchange_with_nothing_in_it_is_still_told() -> None:
    assert any("no domains" in message for _, message in warnings(read(f"{HEAD}    domains: []\n")))
