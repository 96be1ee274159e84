"""Tidying changes how a blocklist looks, never what it means, and loses nobody's comment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.formatting import (
    SCHEMA_MARK,
    CannotFormat,
    format_text,
    lost_comments,
    means_the_same,
    written_name,
)
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from tests.support.for_each import for_each

HEAD = "version: 1\nexchanges:\n  one:\n    name: One\n    domains:"


def read(text: str) -> Blocklist:
    blocklist, problems = read_blocklist(Path("b.yaml"), octets=text.encode(), force=True)
    assert blocklist is not None, problems
    return blocklist


def tidy(text: str, **options: bool) -> str:
    after = format_text(text, **options)  # type: ignore[arg-type]
    assert format_text(after, **options) == after, "tidying twice changes nothing more"  # type: ignore[arg-type]
    assert means_the_same(read(text), read(after))
    assert lost_comments(text, after) == []
    return after


def tidy_names(names: str) -> str:
    return tidy(HEAD + names).removeprefix(HEAD)


@for_each(
    ("before", "after"),
    [
        (" [b.example, a.example]\n", " [a.example, b.example]\n"),
        (" ['=B.example', \"a.example\"]\n", ' [a.example, "=b.example"]\n'),
        (
            " [\n      b.example,\n      a.example,\n    ]\n",
            " [\n      a.example,\n      b.example,\n    ]\n",
        ),
        ("\n      - b.example\n      - a.example\n", "\n      - a.example\n      - b.example\n"),
        ("\n    - b.example # b\n    - A.example. # a\n", "\n    - a.example # a\n    - b.example # b\n"),
        ("\n      - '*.a.example'\n", '\n      - "*.a.example"\n'),
        ("\n      - =a.example\n", '\n      - "=a.example"\n'),
        ("\n      - bücher.example\n", "\n      - bücher.example\n"),
        # The only comment may be about the first name or about all, so nothing moves under it.
        (
            "\n      # all, or b?\n      - B.example\n      - a.example\n",
            "\n      # all, or b?\n      - b.example\n      - a.example\n",
        ),
        # With a blank line it is a heading; comments on single names move with them.
        (
            "\n      # all\n\n      - b.example\n      - a.example\n",
            "\n      # all\n\n      - a.example\n      - b.example\n",
        ),
        (
            "\n      # b\n      - b.example\n      # a\n      - a.example\n",
            "\n      # a\n      - a.example\n      # b\n      - b.example\n",
        ),
        # Blank lines divide.
        ("\n      - b.example\n\n      - a.example\n", "\n      - b.example\n\n      - a.example\n"),
        (
            "\n      - b.example\n      # end\n\n      - a.example\n",
            "\n      - b.example\n      # end\n\n      - a.example\n",
        ),
        # Comments behind the last name belong to nobody.
        (
            "\n      - b.example\n      - a.example\n      # end\n",
            "\n      - a.example\n      - b.example\n      # end\n",
        ),
        # Unusual shapes are only corrected in place, or left alone.
        (" [b.example, # b\n      A.example]\n", " [b.example, # b\n      a.example]\n"),
        (
            "\n      -\n        b.example\n      - a.example\n",
            "\n      -\n        b.example\n      - a.example\n",
        ),
        (" []\n", " []\n"),
    ],
)
def test_names_are_sorted_and_written_alike(before: str, after: str) -> None:
    assert tidy_names(before) == after


def test_allow_and_protected_are_tidied_too() -> None:
    text = tidy(
        "version: 1\nexchanges: {}\nallow: [B.example, a.example]\nprotected:\n- d.example\n- c.example\n"
    )
    assert text.endswith("allow: [a.example, b.example]\nprotected:\n- c.example\n- d.example\n")


EXCHANGES = """\
version: 1
exchanges:
  # about zeta
  zeta:
    name: Zeta
    # inside zeta
  beta: {name: Beta}

  # ---- counters ----

  # about y
  y: {name: Y}

  x:
    name: |-
      X
"""


def test_exchanges_are_sorted_only_when_asked_and_within_their_sections() -> None:
    assert tidy(EXCHANGES) == EXCHANGES
    ids = [rule.label for rule in read(tidy(EXCHANGES, sort_exchanges=True)).exchanges]
    assert ids == ["beta", "zeta", "x", "y"]


def test_comments_move_with_their_exchange() -> None:
    text = tidy(EXCHANGES, sort_exchanges=True)
    assert "# about zeta\n  zeta:\n    name: Zeta\n    # inside zeta\n" in text
    assert "# ---- counters ----\n\n  x:" in text and "# about y\n  y:" in text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_stay(newline: str, mark: str) -> None:
    text = mark + (HEAD + " [b.example, a.example]\n").replace("\n", newline)
    assert tidy(text) == mark + (HEAD + " [a.example, b.example]\n").replace("\n", newline)


def test_line_ends_that_editors_disagree_about_are_left_to_people() -> None:
    with pytest.raises(CannotFormat):
        format_text(HEAD + " [a.example]\n# a\x85b\n")


def test_the_schema_is_put_first_and_replaced_where_it_is() -> None:
    text = format_text(EXCHANGES, schema="one.json")
    assert text == f"{SCHEMA_MARK}one.json\n{EXCHANGES}"
    assert format_text("# mine\n" + text, schema="two.json") == f"# mine\n{SCHEMA_MARK}two.json\n{EXCHANGES}"
    assert format_text(text) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("A.Example.", "a.example"),
        (" = A.example", '"=a.example"'),
        ("1.e5", '"1.e5"'),
        ("a\\.b.example", '"a\\\\.b.example"'),
        ("null", '"null"'),
    ],
)
def test_what_yaml_might_take_for_something_else_is_quoted(value: str, written: str) -> None:
    assert written_name(value, is_plain=True) == written


def test_a_lost_comment_or_another_meaning_is_noticed() -> None:
    assert lost_comments("a # x\n# y\n", "a\n# y\n") == ["# x"]
    one, other = read(HEAD + " [a.example]\n"), read(HEAD + " [=a.example]\n")
    assert not means_the_same(one, other)


label = st.text("abz09", min_size=1, max_size=3).filter(lambda text: not text.isdigit())
name = st.builds(
    lambda sign, first, dot: f"{sign}{first}.example{dot}",
    st.sampled_from(["", "=", "*."]),
    label,
    st.sampled_from(["", "."]),
)
quote = st.sampled_from(["'", '"'])
item = st.builds(
    lambda q, text, comment: f"      - {q}{text}{q}{comment}\n", quote, name, st.sampled_from(["", "  # c"])
)
other_line = st.sampled_from(["\n", "      # note\n", "  # out\n", "   \n"])


@pytest.mark.slow
@given(st.lists(st.one_of(item, item, other_line), max_size=12))
def test_whatever_the_layout_nothing_is_lost(lines: list[str]) -> None:
    tidy(HEAD + "\n" + "".join(lines))


@given(
    st.lists(st.one_of(name, name.map(str.upper)), max_size=6), st.sampled_from([", ", ",\n      ", " , "])
)
def test_whatever_stands_in_brackets_nothing_is_lost(names: list[str], comma: str) -> None:
    tidy(f"{HEAD} [{comma.join(repr(text) for text in names)}]\n")


def test_the_blocklist_that_ships_keeps_its_meaning() -> None:
    tidy((Path(__file__).parents[2] / "blocklist.yaml").read_text(), sort_exchanges=True)
