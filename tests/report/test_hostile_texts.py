"""Texts that want to be more than texts, in every place where somebody's text stands, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from resolver.report.catalogue import LANGUAGES, texts_of
from resolver.report.collecting import collect
from resolver.report.csv_form import COLUMNS, defused
from resolver.report.facts import (
    Audit,
    AuditFinding,
    Change,
    ChangeItem,
    Confidential,
    Exchange,
    Exemption,
    Hits,
    Name,
    NameList,
    NotEnforced,
    Order,
    Period,
    Policy,
    Report,
    State,
)
from resolver.report.html import HtmlWriter
from resolver.report.json_form import as_json, canonical, hash_of
from resolver.report.markdown import text as markdown_text
from resolver.report.plain import SHOWN_CHARS_MAX, one_line, shown
from resolver.report.rendering import Format, rendered
from resolver.report.statement import Signing
from tests.report.support import HOSTILE, NOW, ZONE, days, sources
from tests.support.for_each import for_each

SHORT = [text for text in HOSTILE if len(text) < 1000]


def full_of(text: str) -> Report:
    """A report in which every text that is somebody else's is this one."""
    state, hits = State.IN_FORCE, days(date(2026, 11, 16), 3, (1, 2))
    name = Name(text, "subtree", state, text, 7, text)
    exchange = Exchange(
        text, text, (text,), text, (text,), state, text, 300, None, None, NOW, NOW, (name,), hits
    )
    names = NameList(
        text,
        text,
        text,
        "block",
        (text,),
        state,
        text,
        None,
        None,
        text,
        7,
        9,
        text,
        4,
        3,
        ((text, 1),),
        hits,
    )
    order = Order(
        id=text, authority=text, title=text, reference=text, date=text, url=text, imposed_by="external",
        state=state, mode="enforce", measure=text, starts_at=NOW, ends_at=NOW, received_at=NOW, due_at=NOW,
        first_served_at=NOW, in_force_since=NOW, is_blocking=True, exchanges=(text,), lists=(text,), asks=2,
        asks_enforced=1, asks_pending=0, not_enforced=(NotEnforced(text, "excepted", text, text),),
        name_count=1, hits=hits,
    )  # fmt: skip
    exempt = Exemption(text, "exact", "allow", state, None, None, text, text, text, 3, (text,))
    change = Change(1, NOW, "edit", True, (ChangeItem("exchanges_gained", (text, text), 5),))
    finding = AuditFinding(text, text, text, "uncovered", text, text)
    audit = Audit(NOW, 1.0, (text,), 5, text, (("covered", 1),), (finding,), 1)
    return Report(
        made_at=NOW, zone="Europe/Berlin", period=Period(date(2026, 11, 16), date(2026, 11, 30)),
        product="exchange-resolver", version="1", host=text, policy=Policy(text, "ab", text, 1, NOW, text),
        only_order="", orders=(order,), exchanges=(exchange,), lists=(names,), exceptions=(exempt,),
        changes=(change,), audit=audit, has_hits=True, gaps=(), confidential=Confidential(hits=Hits()),
    )  # fmt: skip


def written(text: str, form: Format, language: str = "en") -> str:
    signing = Signing("ab" * 32, "report.html", "key.pub")
    return rendered(full_of(text), form, texts_of(language), ZONE, signing).decode()


class Page(HTMLParser):
    """What a browser would see: elements, attributes, and the text of each cell of a data table."""

    VOID = frozenset(("meta",))

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.columns: list[int] = []
        self.uneven: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


ALLOWED = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "div",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
        "bdi",
        "code",
        "span",
        "small",
        "strong",
        "pre",
        "figure",
        "figcaption",
        "svg",
        "line",
        "rect",
        "text",
    ]
)
"""Elements that a report is made of: nothing that runs, loads, or asks."""
ATTRIBUTES = frozenset(
    [
        "lang",
        "dir",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "role",
        "scope",
        "href",
        "rel",
        "aria-hidden",
        "aria-label",
        "viewbox",
        "direction",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "width",
        "height",
    ]
)


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_html_holds_nothing_but_our_elements(text: str) -> None:
    page = Page(written(text, "html"))
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= ALLOWED | {"title"}
    assert {key for _, attributes in page.elements for key in attributes} <= ATTRIBUTES
    calm = Page(written("calm", "html"))
    assert [tag for tag, _ in page.elements if tag != "bdi"].count("tr") == [
        t for t, _ in calm.elements
    ].count("tr")


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_links_of_html_lead_to_web_pages_or_into_the_report(text: str) -> None:
    for tag, attributes in Page(written(text, "html")).elements:
        if tag == "a":
            assert str(attributes["href"]).startswith(("https://", "http://", "#"))


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "data:text/html,x", " https://x.example", "https://x.example/ y", "//x.example"],
)
def test_what_is_no_web_address_is_no_link(text: str) -> None:
    links = [
        str(attributes.get("href")) for tag, attributes in Page(written(text, "html")).elements if tag == "a"
    ]
    assert [link for link in links if not link.startswith(("#", "https://x.example"))] == []
    if not text.strip().startswith("https"):
        assert [link for link in links if not link.startswith("#")] == []


@for_each("text", SHORT, ids=range(len(SHORT)))
def test_html_shows_the_text_itself(text: str) -> None:
    assert one_line(text) in " ".join("".join(Page(written(text, "html")).texts).split("\n"))


@for_each("language", LANGUAGES)
def test_html_in_every_language_is_as_strict(language: str) -> None:
    page = Page(written("<script>x</script>", "html", language))
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= ALLOWED


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").parse(text)


def tables_of(tokens: list[Token]) -> list[list[int]]:
    """Of each table the number of cells in each row."""
    tables: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


def plain_text(tokens: list[Token]) -> str:
    children = [child for token in tokens for child in token.children or ()]
    return "\n".join(child.content for child in children)


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_markdown_has_the_tables_and_headings_that_it_has_with_calm_texts(text: str) -> None:
    tokens, calm = parsed(written(text, "markdown")), parsed(written("calm", "markdown"))
    assert tables_of(tokens) == tables_of(calm)
    assert [token.type for token in tokens] == [token.type for token in calm]


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_markdown_holds_no_html_no_link_no_image_no_emphasis(text: str) -> None:
    tokens = parsed(written(text, "markdown"))
    kinds = {child.type for token in tokens for child in token.children or ()} | {
        token.type for token in tokens
    }
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "em_open", "strong_open", "s_open"}


@for_each("text", SHORT, ids=range(len(SHORT)))
def test_markdown_shows_the_text_itself(text: str) -> None:
    tokens = parsed(markdown_text(text))
    said = "".join(child.content for token in tokens for child in token.children or ())
    assert said.strip("\u2068\u2069") == one_line(text)


def test_markdown_is_no_link_for_readers_that_find_links_by_themselves() -> None:
    for text in (
        "www.example.com",
        "http://example.com/x",
        "https://example.com",
        "noc@example.com",
        "mailto:noc@example.com",
    ):
        said = markdown_text(text)
        assert not re.search(r"(?i)(^|\s)(www\.|https?:|mailto:)|[a-z]@", said), said


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_csv_has_a_line_for_each_thing_and_a_field_for_each_column(text: str) -> None:
    rows = rows_of(written(text, "csv"))
    assert all(list(row) == list(COLUMNS) and None not in row.values() for row in rows)
    assert [row["kind"] for row in rows] == [row["kind"] for row in rows_of(written("calm", "csv"))]


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_field_of_csv_is_a_formula(text: str) -> None:
    for row in rows_of(written(text, "csv")):
        for column, field in row.items():
            assert field[:1] not in ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"), (
                column,
                field[:50],
            )
            assert "\n" not in field
            assert "\r" not in field
            assert len(field) < 32_767


@for_each(
    ("value", "field"),
    [
        ("=1+1", "'=1+1"),
        ("  =1", "'=1"),
        ("\t=1", "'=1"),
        ("\r\n-2", "'-2"),
        ("@x", "'@x"),
        ("a;=cmd", "a;'=cmd"),
        ("a,+1", "a,'+1"),
        ("＝1", "'＝1"),
        ("a-b", "a-b"),
        ("a = b", "a = b"),
        (-5, "-5"),
        (None, ""),
        ("", ""),
    ],
)
def test_a_field_is_defused_where_a_spreadsheet_would_run_it(value: object, field: str) -> None:
    assert defused(value) == field


@for_each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_json_has_the_whole_text_back(text: str) -> None:
    whole: dict[str, Any] = json.loads(written(text, "json"))
    assert whole["report"]["orders"][0]["title"] == text
    assert whole["report"] == json.loads(canonical(as_json(full_of(text), ZONE)))
    assert whole["statement"]["report_sha256"] == hash_of(canonical(whole["report"]))


def test_json_shows_no_sign_that_turns_the_lines_of_a_viewer() -> None:
    said = written("\u202eabc\u2066\x7f\u200b", "json")
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["markdown", "html", "csv", "json"])
def test_a_lone_surrogate_breaks_nothing(form: Format) -> None:
    assert written("a\ud800b", form)


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_title_of_60_kb_is_cut_for_people(form: Format) -> None:
    assert len(written("x" * 60_000, form)) < 100_000 + 60 * SHOWN_CHARS_MAX


def test_a_cut_text_says_that_it_is_cut() -> None:
    assert shown("x" * 60_000).endswith(" …")
    assert len(shown("x" * 60_000)) <= SHOWN_CHARS_MAX
    assert shown("x" * SHOWN_CHARS_MAX) == "x" * SHOWN_CHARS_MAX


def test_marks_that_turn_the_direction_are_shown_and_isolates_that_are_closed_stay() -> None:
    assert one_line("a\u202eb") == r"a\u202eb"
    assert one_line("a\u2066b\u2069") == "a\u2066b\u2069"
    assert one_line("a\u2066b") == r"a\u2066b"
    assert one_line("a\u2069b\u2066") == r"a\u2069b\u2066"


def test_a_blocklist_full_of_hostile_texts_makes_a_report() -> None:
    text = 'orders:\n  evil: {authority: "<b>|\\u202e", title: "a\\n# b", imposed_by: external, asks: ["=1|2\\n<x>"]}\n'
    text = "version: 1\n" + text + "exchanges:\n  e: {name: '<i>`|', order: evil, domains: [e.example]}\n"
    made = collect(sources(text), NOW)
    for form in ("markdown", "html", "csv", "json"):
        assert rendered(made, form, texts_of("de"), ZONE, None)


def test_a_table_whose_rows_fall_short_is_a_fault_of_ours() -> None:
    from resolver.report.document import Column, Table

    writer = HtmlWriter(is_right_to_left=False)
    with pytest.raises(ValueError):
        list(writer._table(Table((Column("a"), Column("b")), ((("x",),),))))
