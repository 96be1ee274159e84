"""The page's texts: all of them, in every language."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from resolver.block_page.catalogue import COUNT, FOLDER, HOST, KEYS, read_catalogue, texts_from
from resolver.languages import DEFAULT, LANGUAGES
from tests.support.for_each import for_each

ENGLISH = (FOLDER / "en.toml").read_text("utf-8")
SAME_WORD = {"platform", "list", "contact"}
"""Words that several languages share."""


def test_there_are_at_least_twelve_languages_some_of_which_run_from_right_to_left() -> None:
    assert len(LANGUAGES) >= 12 and DEFAULT == "en"
    assert {code for code, language in LANGUAGES.items() if language.is_right_to_left} == {"ar", "fa", "he"}


def test_every_language_has_a_file_and_every_file_a_language() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)


@for_each("code", LANGUAGES)
def test_a_language_has_every_text(code: str) -> None:
    [texts] = read_catalogue([code]).values()
    assert set(asdict(texts)) == set(KEYS)


@for_each("code", [code for code in LANGUAGES if code != DEFAULT])
def test_no_text_was_left_in_english(code: str) -> None:
    found = read_catalogue([DEFAULT, code])
    english, other = asdict(found[DEFAULT]), asdict(found[code])
    assert {key for key in KEYS if english[key] == other[key]} <= SAME_WORD


@for_each("code", LANGUAGES)
def test_texts_hold_no_markup_and_nothing_that_turns_a_line(code: str) -> None:
    for text in asdict(read_catalogue([code])[code]).values():
        assert not set(text) & set(
            '<>&"\n\t\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'
        )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("title = ", "titel = ", 1), "missing or unknown"),
        (lambda text: text + 'more = "x"\n', "missing or unknown"),
        (lambda text: text.replace(HOST, "it", 1), "stands there 0 times"),
        (lambda text: text.replace(COUNT, "many"), "stands there 0 times"),
        (lambda text: text.replace("This is not", HOST), "stands there 1 times"),
        (lambda text: text.replace('"Contact"', '" "'), "no text"),
        (lambda text: text.replace('"Contact"', "7"), "no text"),
        (lambda text: text + "{", "Invalid"),
    ],
)
def test_a_file_with_a_mistake_is_refused(change: object, complaint: str) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=complaint):
        texts_from(change(ENGLISH))
