"""Orders as authorities print them: names broken over lines, blanks, columns, signs of word processors.

Every name is known, new, doubtful or listed as not taken; none is lost, and the end of a name is none.
"""

from __future__ import annotations

from tests.orders.support import import_text
from tests.support.for_each import for_each

BROKEN = {
    "in running text": "They use krypto-\nboerse.example and others.\n",
    "in a list": "Sites:\n  - bond.example\n  - krypto-\n    boerse.example\n",
    "in the column of a table": (
        " 1   Acme Two    krypto-           11/11/2026   (a)\n"
        "                 boerse.example\n 2   Bond   bond.example\n"
    ),
    "twice": (
        " 1   Acme Two    krypto-           11/11/2026\n"
        "                 boerse-\n                 markt.example\n 2   Bond   bond.example\n"
    ),
    "at a soft hyphen": "- bond.example\n- krypto\u00ad\n  boerse.example\n",
    "before the hyphen": "  - bond.example\n  - krypto\n    -boerse.example\n",
    "in print of two columns": (
        "Whoever    pays   (site   https://krypto-\n"
        "                                               Another column says nothing\n"
        "boerse.example);                               and ends.\n"
    ),
    "in a cell of a page": "<table><tr><td>Two</td><td>krypto-<br>boerse.example</td></tr></table>",
    "at a line break of a page": "<ul><li>bond.example<li>krypto-<br>boerse.example</ul>",
    "by a blank of a page": "<ul><li>bond.example<li>Two: krypto-\nboerse.example</ul>",
}


@for_each("where", BROKEN)
def test_the_end_of_a_name_that_is_broken_is_doubted_and_the_whole_is_offered(where: str) -> None:
    found = import_text(BROKEN[where])
    taken = [name for names in (*found.known.values(), *found.new.values()) for name in names]
    assert set(taken) <= {"bond.example"}
    end = "markt.example" if where == "twice" else "boerse.example"
    (doubted,) = (one for one in found.proposal.not_taken if one.written.endswith(end))
    whole = "krypto-boerse-markt.example" if where == "twice" else "krypto-boerse.example"
    assert doubted.reason.value == "doubtful" and whole in doubted.suggestions
    assert import_text(BROKEN[where], take=(whole,)).proposal.taken == {whole}


SPACED = {
    "- www . acme-two . example\n- bond.example\n": "www.acme-two.example",
    "They use www . acme-two . example here.\n": "www.acme-two.example",
    "1. Two   acme . two.example\n": "acme.two.example",
}


@for_each("text", SPACED)
def test_a_name_with_blanks_round_its_dots_is_doubtful(text: str) -> None:
    (one,) = import_text(text).proposal.not_taken
    assert (one.reason.value, one.suggestions) == ("doubtful", (SPACED[text],))


TAKEN = {
    "1. Two   acme (dot) example\n": ["acme.example"],
    "1. Two   ａｃｍｅ［.］example\n": ["ａｃｍｅ.example"],
    "1. 乙（two.example、three.example）\n": ["two.example", "three.example"],
    "1. Two(two.example)\n": ["two.example"],
    '- "Two Ltd" (sito https://two.example e relativa pagina https://app.two.example);\n': [
        "https://two.example",
        "https://app.two.example",
    ],
    "1   Two   two.example, three.example 07/11/2026 (a)\n": ["two.example", "three.example"],
}


@for_each("text", TAKEN)
def test_what_print_puts_round_names_hides_none(text: str) -> None:
    found = import_text(text, catalogue=None)
    (names,) = (*found.known.values(), *found.new.values())
    assert names == TAKEN[text]
    assert found.not_taken == {}


def test_whom_somebody_pretends_to_be_is_not_blocked() -> None:
    for text in (
        "FIRM | SITE | REMARKS\nTWO | two.example | Pretends to be One Ltd, www.one.example\n",
        "FIRM | SITE | GENUINE SITE\nTWO | two.example | www.one.example\n",
        "Firm          Site            Genuine site\nTwo           two.example     www.one.example\n",
    ):
        found = import_text(text)
        assert list(found.new.values()) == [["two.example"]]
        assert found.not_taken == {"www.one.example": "doubtful"}


def test_a_name_in_front_that_looks_like_an_address_is_not_lost() -> None:
    found = import_text("1   Two (two.example)   three.example\n")
    assert found.new == {"two-two-example": ["three.example"]}
    assert found.not_taken == {"two.example": "doubtful"}
    found = import_text("   TWO.EXAMPLE,\n   three.example\n")
    assert [name for names in found.new.values() for name in names] == ["TWO.EXAMPLE", "three.example"]


def test_doubtful_names_of_running_text_are_told() -> None:
    found = import_text("They use bінance.com and BTC-ОБМЕН.EXAMPLE, and co.uk.\n1. Bond   bond.example\n")
    assert found.not_taken == {
        "bінance.com": "doubtful",
        "BTC-ОБМЕН.EXAMPLE": "doubtful",
        "co.uk": "public_suffix",
    }


def test_the_turkish_capital_of_i_is_asked_about() -> None:
    found = import_text("1. Two   KRİPTO.EXAMPLE\n")
    (one,) = found.proposal.not_taken
    assert (one.reason.value, one.suggestions) == ("doubtful", ("kripto.example",))


def test_dates_amounts_and_abbreviations_are_no_addresses() -> None:
    found = import_text("Office      Date: 14.11.2026\n1. Uno S.V., d.o.o.   1.500   bond.example\n")
    assert found.not_taken == {}
    assert [(fact.kind, fact.value) for fact in found.proposal.facts] == [("date", "2026-11-14")]


def test_a_new_entry_without_a_name_is_named_as_people_read_it() -> None:
    found = import_text("1   —   крипто-обмен.example\n")
    (new,) = found.proposal.new
    assert new.name == "крипто-обмен.example" and new.id.isascii()


def test_names_in_scripts_without_blanks_are_found() -> None:
    found = import_text(
        "访问www.yi2.example及yi3.example等网站，请访问https://yi4.example/app等；사이트 yi5.example에서\n"
    )
    suggested = {one.written: one.suggestions[0] for one in found.proposal.not_taken}
    assert suggested == {
        "访问www.yi2.example": "www.yi2.example",
        "及yi3.example": "yi3.example",
        "https://yi4.example/app等": "yi4.example",
        "yi5.example": "yi5.example",
    }
    found = import_text("1. 乙   交易所.example, btc交易.example\n")
    assert list(found.new.values()) == [["交易所.example", "btc交易.example"]]


def test_nothing_of_a_column_for_others_is_lost() -> None:
    found = import_text(
        "Entidad;Dominio;Observaciones\nDos;two.example;info@two.example y https://t.me/two\n", name="x.csv"
    )
    assert list(found.new.values()) == [["two.example"]]
    assert found.not_taken == {"info@two.example": "mail_address", "https://t.me/two": "shared_platform"}
