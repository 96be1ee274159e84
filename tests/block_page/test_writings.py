"""What stands on the page, in each form, and how hostile words are kept in their places."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from resolver.block_page.host import host_of
from resolver.block_page.notice import Notice, Operator, notice_of
from resolver.block_page.subject import TEXT_CHARS_MAX, Order, Subject, Words, tidy, web_address
from resolver.block_page.writings import END_OF_ISOLATE, LTR_ISOLATE, html_of, json_of, text_of
from resolver.languages import LANGUAGES
from tests.block_page.pages import AUTHORITY, CATALOGUE, file_of
from tests.support.for_each import for_each

HOSTILE = "\u202e<script>alert('1')</script>\"&\u05d0\u05d1\u2066\n\x1b[31m"
EVIL_ORDER = Order(HOSTILE, HOSTILE, HOSTILE, HOSTILE, "", True, HOSTILE)


class Elements(HTMLParser):
    """The elements of a page, and whether each one that was opened was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def notice(host: str = "newcoin.example", words: Words | None = None) -> Notice:
    page = file_of() if words is None else file_of({"newcoin.example": (1, 1)}, words)
    return notice_of(
        host_of(b"/", host.encode()), page, Operator("Example Networks", "", "https://www.example.net/")
    )


EVIL = notice(words=Words((Subject("exchange", HOSTILE, (0,), 0, HOSTILE),), (EVIL_ORDER,), HOSTILE))


@for_each("code", LANGUAGES)
@for_each("host", ["newcoin.example", "beta.example", "hidden.example", "only.example", "a.example", "::1"])
def test_a_page_is_whole_in_every_language(code: str, host: str) -> None:
    shown = notice(f"[{host}]" if ":" in host else host)
    page = html_of(shown, CATALOGUE[code], code)
    elements = Elements(page)
    assert elements.open == [] and elements.found.count("h1") == elements.found.count("title") == 1
    direction = "rtl" if LANGUAGES[code].is_right_to_left else "ltr"
    assert f'<html lang="{code}" dir="{direction}">' in page
    assert "{" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)
    assert "{" not in text_of(shown, CATALOGUE[code])
    assert json.loads(json_of(shown, CATALOGUE[code], code))["language"] == code


def test_the_page_says_what_by_which_order_since_when_whom_to_ask_and_that_nothing_is_broken() -> None:
    for text in (html_of(notice(), CATALOGUE["en"], "en"), text_of(notice(), CATALOGUE["en"])):
        for part in (
            "newcoin.example",
            "NewCoin",
            *(AUTHORITY.authority, AUTHORITY.title, AUTHORITY.reference, AUTHORITY.date, AUTHORITY.url),
            "2026-02-03",
            "noc@example.net",
            "Example Networks",
            "not a malfunction",
            "Further orders: 2",
        ):
            assert part in text


def test_orders_of_authorities_stand_first() -> None:
    text = text_of(notice(), CATALOGUE["en"])
    assert text.index("Financial Markets Authority") < text.index("House rules")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("newcoin.example", "an authority has ordered so"),
        ("beta.example", "by a decision of its own"),
        ("hidden.example", "cannot be given here"),
        ("only.example", "is on a list"),
    ],
)
def test_the_reason_is_the_right_one(host: str, why: str) -> None:
    assert why in text_of(notice(host), CATALOGUE["en"])


def test_hostile_words_are_no_more_than_words() -> None:
    page = html_of(EVIL, CATALOGUE["he"], "he")
    elements = Elements(page)
    assert elements.open == [] and "script" not in elements.found
    assert "&lt;script&gt;" in page
    # Each of them has a direction of its own, and what would turn the line is closed with it.
    page = re.sub(r'datetime="[^"]*"', "", page)
    for place in re.finditer("&lt;script", page):
        assert page.rfind("<bdi", 0, place.start()) > page.rfind("</bdi>", 0, place.start())


def test_hostile_words_stay_in_their_field_of_json() -> None:
    told = json.loads(json_of(EVIL, CATALOGUE["en"], "en"))
    assert told["name"] == HOSTILE and "\u202e" not in json_of(EVIL, CATALOGUE["en"], "en")


def test_what_comes_from_orders_is_one_line_without_controls() -> None:
    assert tidy(HOSTILE) == "<script>alert('1')</script>\"&\u05d0\u05d1 [31m"
    assert tidy(None) == tidy("\u202e\n\t") == ""
    assert tidy("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.parametrize("text", ["x" * 60_000, "\u202e" * 60_000 + "x", "\n" * 60_000, "a b " * 20_000])
def test_a_title_of_60_kb_is_cut_with_a_sign(text: str) -> None:
    cut = tidy(text)
    assert len(cut) <= TEXT_CHARS_MAX and cut.endswith("…")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://a.example",
        "https://a.example/ b",
        "https://é.example",
        None,
        "http://" + "x" * 2_000,
    ],
)
def test_what_is_no_web_address_becomes_no_link(url: str | None) -> None:
    assert web_address(url) == ""


def test_a_name_beyond_ascii_is_shown_by_both_forms_each_with_its_own_direction() -> None:
    shown = notice("xn--4dbrk0ce.newcoin.example")
    page, text = html_of(shown, CATALOGUE["en"], "en"), text_of(shown, CATALOGUE["en"])
    assert '<bdi dir="ltr"><strong>xn--4dbrk0ce.newcoin.example</strong></bdi>' in page
    assert '<bdi dir="ltr">ישראל.newcoin.example</bdi>' in page
    assert f"{LTR_ISOLATE}ישראל.newcoin.example{END_OF_ISOLATE}" in text
    # A look-alike is told apart by its A-labels, which stand first.
    alike = text_of(notice("xn--wcoin-9kf7b.newcoin.example"), CATALOGUE["en"])
    assert "xn--wcoin-9kf7b.newcoin.example is blocked" in alike


def test_text_fits_on_a_terminal() -> None:
    for line in text_of(notice(), CATALOGUE["fr"]).splitlines():
        assert len(line) <= 80


def test_only_addresses_that_lead_somewhere_harmless_become_links() -> None:
    page = html_of(notice(), CATALOGUE["en"], "en")
    assert re.findall(r'href="([^"]*)"', page) == [
        AUTHORITY.url,
        "https://www.example.net/",
        "mailto:noc@example.net",
    ]
    plain = notice(words=Words((Subject("exchange", "A"),), (), "javascript:alert(1)"))
    assert "javascript" not in "".join(re.findall(r'href="([^"]*)"', html_of(plain, CATALOGUE["en"], "en")))
