"""Columns of printed tables: whose addresses a column holds is said by its head, and is so to its end."""

from __future__ import annotations

import pytest

from resolver.orders.headers import is_for_others
from tests.orders.support import import_text
from tests.support.for_each import for_each

ROW = "Acme Trading      acmetrade.example     goodbank.example\n"
MORE = "Acme Two          acmetwo.example       finebank.example\n"
HEAD = "Name              Website               Legitimate website\n"
TABLES = {
    "plain": HEAD + ROW + MORE,
    "with a page's foot": HEAD + ROW + "Page 1 of 2\n" + MORE,
    "with a rule": HEAD + "---------------   -------------------   ------------------\n" + ROW + MORE,
    "with a sentence": HEAD + ROW + "The Authority adds what follows to its list of this year.\n\n" + MORE,
    "with a head over two lines": (
        "Name              Website               Legitimate\n" + " " * 40 + "website\n" + ROW + MORE
    ),
    "with a head that begins above": (
        " " * 40 + "Legitimate\n" + "Name              Website               website\n" + ROW + MORE
    ),
    "with marks": HEAD + ROW.replace("\n", "    Y\n") + MORE.replace("\n", "    I\n"),
    "in tabs": (
        "Warning list\n\nName\tWebsite\tLegitimate website\n"
        "Acme Trading\tacmetrade.example\tgoodbank.example\nAcme Two\tacmetwo.example\tfinebank.example\n"
    ),
    "with an empty cell in tabs": (
        "Warning list\n\nName\tRemark\tWebsite\tLegitimate website\n"
        "Acme Trading\t\tacmetrade.example\tgoodbank.example\nAcme Two\tnew\tacmetwo.example\tfinebank.example\n"
    ),
    "in Markdown": (
        "# Warning list\n\n| Name | Website | Legitimate website |\n|---|---|---|\n"
        "| Acme Trading | acmetrade.example | goodbank.example |\n"
        "| Acme Two | acmetwo.example | finebank.example |\n"
    ),
}


@for_each("how", TABLES)
def test_a_genuine_site_is_only_asked_about_and_those_warned_of_are_taken(how: str) -> None:
    found = import_text(TABLES[how])
    taken = {name for names in (*found.known.values(), *found.new.values()) for name in names}
    assert taken == {"acmetrade.example", "acmetwo.example"}
    asked = {one.written for one in found.proposal.not_taken}
    assert asked >= {"goodbank.example", "finebank.example"}


def test_rows_that_are_parted_in_another_way_than_their_head_are_only_asked_about() -> None:
    text = "Warning list\n\nName\tWebsite\tLegitimate website\n" + ROW
    found = import_text(text)
    assert not found.new and not found.known
    assert {one.written for one in found.proposal.not_taken} == {"acmetrade.example", "goodbank.example"}


def test_a_head_of_another_table_begins_anew() -> None:
    other = "\nWebsite               Name\nacmethree.example     Acme Three\n"
    found = import_text(HEAD + ROW + other)
    taken = {name for names in (*found.known.values(), *found.new.values()) for name in names}
    assert taken == {"acmetrade.example", "acmethree.example"}


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("Legitimate website", True),
        ("Authorised firm", True),
        ("Non-authorised website", False),
        ("Website (not authorized)", False),
        ("Unauthorised website", False),
    ],
)
def test_a_head_that_denies_is_no_head_of_others(head: str, wanted: bool) -> None:
    assert is_for_others(head) is wanted


CHINESE = {
    "诈骗平台：币安acmetrade.com网站\n": "acmetrade.com",
    "- 网址：acmetrade.com\n": "acmetrade.com",
    "- URL：https://acmetrade.com/cn\n": "acmetrade.com",
}


@for_each("text", CHINESE)
def test_a_name_behind_a_wide_colon_is_not_lost(text: str) -> None:
    found = import_text(text)
    told = {name for names in (*found.known.values(), *found.new.values()) for name in names}
    told |= {name for one in found.proposal.not_taken for name in (one.written, *one.suggestions)}
    assert any(CHINESE[text] in name for name in told), told
