"""List files: what is taken for a name, what is left out, and that both ways of reading agree."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.lists import reading
from resolver.lists.detection import detect_format
from resolver.lists.hosts import Domains, Hosts
from resolver.lists.reader import ListLimits, ListReader
from resolver.lists.reading import BAD_LINES_SHOWN_MAX, Said, Skipped, wire_forms
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_from_text, name_to_text

GOLDEN = Path(__file__).parents[1] / "golden" / "lists"


ANY = ListLimits(error_budget_percent=100)


def read(
    octets: bytes, list_format: str = "auto", limits: ListLimits = ANY
) -> tuple[list[tuple[int, str]], ListReader]:
    reader = ListReader(octets, "list.txt", list_format, limits)
    found = []
    for batch in reader.batches():
        found += list(zip(batch.lines, map(name_to_text, batch.names), strict=True))
    return found, reader


SIGNS = {RuleForm.EXACT: "=", RuleForm.BELOW: "*.", RuleForm.SUBTREE: ""}


def said_text(said: Said) -> str:
    """What a line says, in words."""
    words: list[str] = [said.effect]
    if said.action is not None:
        words.append(said.action.value)
    if said.local_data is not None:
        words += [str(ip_address(packed)) for packed in said.local_data.addresses]
        if said.local_data.redirect:
            words.append(f"-> {name_to_text(said.local_data.redirect)}")
    return " ".join(words)


def dump(octets: bytes) -> str:
    """What a reader makes of a file, for people to compare."""
    reader = ListReader(octets, "list.txt", "auto", ANY)
    rules = []
    for names, lines, said in reader.batches():
        assert said.form is not None
        sign = SIGNS[said.form]
        rules += [
            (line, f"{sign}{name_to_text(name)}", said_text(said))
            for name, line in zip(names, lines, strict=True)
        ]
    rules += [(line, str(network), said_text(said)) for network, line, said in reader.networks]
    shown = [f"format {reader.format}"]
    shown += [f"{line} {name}: {said}" for line, name, said in sorted(rules)]
    shown += [str(problem) for problem in reader.problems()]
    return "\n".join(shown) + "\n"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.name)
def test_file_is_read_as_its_golden_dump_says(path: Path) -> None:
    assert dump(path.read_bytes()) == path.with_suffix(".dump").read_text(encoding="utf-8")


def test_plain_lines_keep_their_numbers_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_OCTETS", 100)
    names = [f"host{number}.example.com" for number in range(1, 200)]
    found, reader = read("\n".join(names).encode())
    assert found == list(enumerate(names, start=1)) and reader.entry_count == 199


def test_comment_in_one_chunk_moves_no_line_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_OCTETS", 40)
    text = "# head\n\n" + "".join(f"n{number}.example\n" for number in range(50))
    found, _ = read(text.encode())
    assert found == [(number + 3, f"n{number}.example") for number in range(50)]


def test_bad_lines_are_counted_all_and_shown_a_few() -> None:
    count = BAD_LINES_SHOWN_MAX + 7
    found, reader = read(b"good.example\n" + b"bad..name\n" * count, "domains")
    assert found == [(1, "good.example")] and reader.notes.bad_line_count == count
    problems = reader.problems()
    assert len(problems) == BAD_LINES_SHOWN_MAX + 1
    assert {problem.severity for problem in problems} == {"warning"}
    assert problems[0].line == 2 and str(problems[-1]).startswith("list.txt: warning: 7 more lines")


def test_file_without_one_good_line_is_an_error() -> None:
    _, reader = read(b"404: Not Found\nTry again\n", "domains")
    assert [problem.severity for problem in reader.problems()][-1] == "error"


def test_empty_list_is_read_and_judged_elsewhere() -> None:
    _, reader = read(b"# nothing yet\n")
    assert reader.problems() == [] and reader.entry_count == 0
    assert read(b"")[0] == []


def test_hosts_line_for_a_real_address_blocks_nothing() -> None:
    found, reader = read(b"0.0.0.0 ads.example\n192.0.2.7 printer.example\n")
    assert found == [(1, "ads.example")] and reader.notes.skipped == {"real addresses": 1}


@pytest.mark.parametrize("name", ["a" * 63 + ".example", ".".join(["a" * 61] * 4) + ".test"])
def test_longest_labels_and_names_are_taken(name: str) -> None:
    assert read(name.encode() + b"\n", "domains")[0] == [(1, name)]


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".example", ".".join(["a" * 62] * 4) + ".test", "com", "1.2.3.4"]
)
def test_what_is_too_long_or_no_name_is_left_out(name: str) -> None:
    assert read(name.encode() + b"\ngood.example\n", "domains")[0] == [(2, "good.example")]


def test_hostile_line_is_read_in_bounded_time_and_shown_short() -> None:
    _, reader = read(b"a" * 5_000_000 + b"\n" + b"a." * 100_000 + b"\ngood.example\n", "domains")
    assert reader.notes.bad_line_count == 2 and reader.entry_count == 1
    assert all(len(str(problem)) < 300 for problem in reader.problems())


def test_format_is_told_by_the_first_lines() -> None:
    assert detect_format(b"# c\n0.0.0.0 a.example\n") == "hosts"
    assert detect_format(b"a.example\nb.example\n") == "domains"
    assert detect_format(b"") == "domains"


LABEL = st.text("abz09-_", min_size=1, max_size=8)


@given(st.lists(LABEL, min_size=1, max_size=6).map(".".join), st.sampled_from(["test", "a", "x-9"]))
def test_fast_wire_form_is_that_of_the_name_reader(head: str, last: str) -> None:
    text = f"{head}.{last}"
    assert wire_forms([text.encode()]) == [name_from_text(text)]


@given(st.text("ab.-_*#= \t\r1A\xe4", max_size=30), st.sampled_from(["", "0.0.0.0 ", "127.0.0.1\t"]))
def test_fast_and_slow_way_read_a_line_alike(text: str, prefix: str) -> None:
    line = (prefix + text).encode()
    list_format = "hosts" if prefix else "domains"
    alone, _ = read(line + b"\n", list_format)
    # A comment in the same chunk forces the slow way, and the plain regular expression is not asked.
    slow = ListReader(b"", "x", list_format)
    slowly = []
    try:
        take = Hosts() if prefix else Domains()
        slowly = [name_to_text(name) for name, _ in take.read_line(line)]
    except (ValueError, Skipped):
        pass
    assert [name for _, name in alone] == slowly and slow.entry_count == 0


# Lists of two kinds: what other resolvers read in them is read here too.

MIXED_PLAIN = GOLDEN / "mixed.domains.txt"
MIXED_ADBLOCK = GOLDEN / "mixed.adblock.txt"


@pytest.mark.parametrize("written", ["*.wild.example", ".wild.example", ".Wild.Example. # why"])
def test_list_of_names_takes_a_name_behind_a_star_or_a_dot_for_the_name_and_all_below(written: str) -> None:
    found, reader = read(f"a.example\nb.example\n{written}\n".encode(), "domains")
    assert (3, "wild.example") in found and reader.problems() == []
    (batch,) = ListReader(written.encode(), "list.txt", "domains").batches()
    assert batch.said.form is RuleForm.SUBTREE


def test_list_of_names_with_some_stars_loses_no_line() -> None:
    found, reader = read(MIXED_PLAIN.read_bytes())
    assert reader.format == "domains" and len(found) == 25 and reader.problems() == []


def test_filter_list_with_bare_names_loses_no_line_and_takes_them_for_the_name_alone() -> None:
    found, reader = read(MIXED_ADBLOCK.read_bytes())
    assert reader.format == "adblock" and len(found) == 20 and reader.problems() == []
    forms = {
        name_to_text(name): batch.said.form
        for batch in ListReader(MIXED_ADBLOCK.read_bytes(), "list.txt", "auto").batches()
        for name in batch.names
    }
    assert forms["plain0.example"] is RuleForm.EXACT and forms["bad0.example"] is RuleForm.SUBTREE


@pytest.mark.parametrize(
    "pattern", ["-ad-banner.", "adbanner", ".ads.example", "ads.example^", "ads*.example", "1.2.3"]
)
def test_filter_that_is_no_name_stays_a_pattern(pattern: str) -> None:
    found, reader = read(f"||a.example^\n{pattern}\n".encode(), "adblock")
    assert found == [(1, "a.example")] and reader.notes.bad_line_count == 0
    assert reader.notes.skipped == {"name patterns": 1}


def test_filter_whose_name_has_its_last_dot_is_read_as_without() -> None:
    assert read(b"||a.example.^\n||B.example.^$important\n", "adblock")[0] == [
        (1, "a.example"),
        (2, "b.example"),
    ]
    assert read(b"||a.example..^\n", "adblock")[0] == []


def test_first_skipped_lines_of_each_kind_are_reported_by_number() -> None:
    text = "||a.example^\n" + "".join(f"x{number}.example##.ad\n" for number in range(1200)) + "/ad[0-9]/\n"
    (problem,) = read(text.encode(), "adblock")[1].problems()
    assert problem.severity == "warning"
    assert "cosmetic rules 1,200 (lines 2, 3, 4, ...), regular expressions 1 (line 1202)" in problem.message


@pytest.mark.parametrize(
    ("list_format", "line"),
    [
        ("domains", "crypto–x.example"),
        ("wildcard", "*.crypto–x.example"),
        ("hosts", "0.0.0.0 crypto–x.example"),
        ("adblock", "||crypto–x.example^"),
        ("adblock", "“x.example”"),
        ("dnsmasq", "address=/crypto–x.example/"),
        ("rpz", "crypto–x.example CNAME ."),
    ],
)
def test_pasted_name_is_a_bad_line_of_every_format_and_counted(list_format: str, line: str) -> None:
    found, reader = read(f"{line}\n".encode(), list_format)
    assert found == [] and reader.notes.bad_line_count == 1, reader.notes.skipped
    assert any("did you mean" in problem.message for problem in reader.problems())
