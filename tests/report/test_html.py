"""The HTML form: one file that loads nothing, for paper and for a screen."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

from resolver.report.catalogue import LANGUAGES, texts_of
from resolver.report.rendering import rendered
from resolver.report.style import css_text
from tests.report.support import ZONE, report
from tests.support.for_each import for_each


def page(language: str = "en") -> str:
    return rendered(report(), "html", texts_of(language), ZONE, None).decode()


def test_the_policy_allows_the_one_style_sheet_and_nothing_else() -> None:
    text = page()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert unescape(policy[1]) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < text.index("<title>")


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = page()
    assert not re.search(r"(?i)<(script|iframe|img|link|object|embed|form|base|video|audio)\b", text)
    assert not re.search(r"(?i)\s(on[a-z]+|style|src|srcset|action)=", text)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_it_is_made_for_paper() -> None:
    text = page()
    assert "@page{" in text
    assert "break-before:page" in text
    assert "table-header-group" in text
    assert "color-scheme:light" in text
    for table in re.findall(r'<table class="data">.*?</table>', text, re.DOTALL):
        assert table.startswith('<table class="data">\n<thead><tr><th')


def test_each_order_is_a_table_whose_head_names_it() -> None:
    heads = re.findall(r'<td class="running">(.*?)</td>', page())
    assert "Order fma-2026-17 <bdi>·</bdi>" not in heads
    assert any("fma-2026-17" in head and "Financial Markets Authority" in head for head in heads)


@for_each("language", LANGUAGES)
def test_it_says_its_language_and_direction(language: str) -> None:
    direction = "rtl" if language == "ar" else "ltr"
    assert f'<html lang="{language}" dir="{direction}">' in page(language)


def test_dates_run_from_left_to_right_in_arabic() -> None:
    text = page("ar")
    assert '<bdi dir="ltr">2026-11-13 09:30 +01:00</bdi>' in text
    for found in re.finditer(r"(?<![\w.:/-])20\d\d-\d\d-\d\d", text[text.index("<body>") :]):
        before = text[text.index("<body>") :][: found.start()]
        isolated = before.rfind("\u2066") > before.rfind("\u2069")
        opened = before[max(before.rfind("<"), 0) :]
        is_apart = 'dir="ltr"' in opened or "<text" in opened or "<title" in opened or "aria-label" in opened
        assert isolated or is_apart, before[-80:]


def test_a_text_in_a_style_sheet_is_a_string() -> None:
    assert css_text('a"b}\\') == '"a\\22 b\\7d \\5c "'
    assert css_text("Bericht über") == '"Bericht über"'
