"""Accept-Language and Accept, as browsers and strangers send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.block_page.wishes import Form, form_of, language_of
from tests.support.for_each import for_each

OFFERED = ("en", "de", "fr", "he", "zh")


@for_each(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("en;q=0.5, fr;q=0.9", "fr"),
        ("xx, fr;q=0.1", "fr"),
        ("zh-Hant-TW", "zh"),
        ("iw-IL", "he"),
        ("DE-ch", "de"),
        ("*", "en"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("de;q=0", "en"),
        ("xx;q=1, *;q=0.5", "en"),
        ("de;q=7", "de"),
        (";;;,,q=1,=", "en"),
        ("fr;level=1;q=0.2,de;q=0.3", "de"),
        ("xx," * 60 + "fr", "en"),
        ("x" * 5_000 + ",fr", "en"),
    ],
)
def test_the_first_language_wanted_that_there_is_is_taken(header: str, language: str) -> None:
    assert language_of(header, OFFERED) == language


def test_who_wants_nothing_that_there_is_gets_the_operators_first_language() -> None:
    assert language_of("ja", ("de", "fr")) == "de" and language_of("en", ("de", "fr")) == "de"


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form.HTML),
        ("*/*", Form.TEXT),
        ("", Form.TEXT),
        ("image/avif,image/webp,*/*;q=0.8", Form.TEXT),
        ("application/json", Form.JSON),
        ("application/problem+json", Form.JSON),
        ("application/json, text/plain, */*", Form.JSON),
        ("text/html;q=0.5, application/json", Form.JSON),
        ("text/html;q=0", Form.TEXT),
        ("text/plain", Form.TEXT),
        ("TEXT/HTML", Form.HTML),
    ],
)
def test_a_browser_gets_html_a_program_json_and_a_terminal_text(header: str, form: Form) -> None:
    assert form_of(header) is form


@given(st.text(max_size=200))
def test_no_header_is_too_strange(header: str) -> None:
    assert language_of(header, OFFERED) in OFFERED and form_of(header) in Form
