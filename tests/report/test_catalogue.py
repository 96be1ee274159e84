"""Every language says everything, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from resolver.audit.results import Status
from resolver.orders.reach import Reason
from resolver.registers.judging import Reason as RegisterReason
from resolver.report.catalogue import FOLDER, LANGUAGES, Texts, language_from, texts_of
from resolver.report.changes import OPENED_KINDS
from resolver.report.facts import Lack, State
from resolver.report.layout import METHOD
from tests.support.for_each import for_each

ROOM = Path(__file__).parents[2] / "resolver" / "report"
ENGLISH = texts_of("en").messages
_PLACE = re.compile(r"\{[a-z_]+\}")


def test_there_is_a_file_for_each_language_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(LANGUAGES)
    assert {"en", "de", "fr", "es", "it", "pl", "pt", "nl", "tr", "uk", "ja", "ar"} <= set(LANGUAGES)


@for_each("language", LANGUAGES)
def test_a_language_has_the_keys_of_english_in_its_order(language: str) -> None:
    assert list(texts_of(language).messages) == list(ENGLISH)


@for_each("language", LANGUAGES)
def test_a_text_has_the_places_of_the_english_one(language: str) -> None:
    messages = texts_of(language).messages
    wrong = {
        key
        for key, text in messages.items()
        if Counter(_PLACE.findall(text)) != Counter(_PLACE.findall(ENGLISH[key]))
    }
    assert wrong == set()


@for_each("language", LANGUAGES)
def test_no_text_is_empty_or_holds_what_could_be_markup(language: str) -> None:
    for key, text in texts_of(language).messages.items():
        assert text.strip() == text != "", key
        assert not set(text) & set("<>&`*_[]|\\\n\t") - set("_" if "{" in text else ""), key
        assert text.isprintable(), key


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_sentence_is_not_left_in_english(language: str) -> None:
    messages = texts_of(language).messages
    assert [key for key, text in messages.items() if text == ENGLISH[key] and len(text.split()) > 2] == []


def test_a_key_stands_in_a_file_once() -> None:
    for language in LANGUAGES:
        pairs = json.loads((FOLDER / f"{language}.json").read_text("utf-8"), object_pairs_hook=list)
        assert len({key for key, _ in pairs}) == len(pairs)


def used_keys() -> set[str]:
    """Keys that stand in the source, and those made of words of closed sets."""
    source = "".join(path.read_text() for path in ROOM.glob("*.py"))
    found = set(re.findall(r"""texts\(\s*["']([a-z_]+)["']""", source))
    found |= {f"state_{state.value}" for state in State} | {f"missing_{lack.value}" for lack in Lack}
    found |= {f"reason_{reason.value}" for reason in Reason} | {f"method_{point}" for point in METHOD}
    found |= {f"register_{reason.value}" for reason in RegisterReason}
    found |= {f"audit_{status.value}" for status in Status} | {"audit_lag", "basis_external", "basis_house"}
    found |= {f"chart_{width}" for width in ("day", "week", "month")}
    found |= {f"form_{form}" for form in ("subtree", "exact", "below", "network")}
    found |= {f"kind_{kind}" for kind in ("allow", "protect")} | {
        f"cause_{c}" for c in ("date", "pause", "rollback")
    }
    found |= {f"list_kind_{kind}" for kind in ("block", "allow", "check")}
    found |= {f"change_{verb}_{kind}" for verb in ("opened", "closed") for kind in OPENED_KINDS}
    found |= {
        f"change_{what}_{k}"
        for what in ("orders", "exchanges", "lists")
        for k in ("gained", "lost", "changed")
    }
    found |= {f"change_{what}_{k}" for what in ("domains", "allow", "protected") for k in ("gained", "lost")}
    return found | {
        "late_short",
        "in_time_short",
        "change_lists_resized",
        "change_records",
        "changes",
        "audit",
        "method",
    }


def test_every_text_is_used_and_every_use_has_a_text() -> None:
    assert used_keys() == set(ENGLISH)


def test_values_stand_in_their_places_and_are_not_looked_into() -> None:
    texts = Texts("en", {"x": "{a} and {b}"})
    assert texts("x", a="1", b="2") == "1 and 2"
    assert texts("x", a="{b}", b="2") == "{b} and 2"


def test_values_stand_apart_where_lines_run_from_right_to_left() -> None:
    assert texts_of("ar")("term_from", first="2026-11-30").endswith("\u20662026-11-30\u2069")


@pytest.mark.parametrize(("text", "language"), [("de", "de"), ("DE", "de"), ("pt-BR", "pt"), ("en_GB", "en")])
def test_a_language_may_have_a_region(text: str, language: str) -> None:
    assert language_from(text) == language


@pytest.mark.parametrize("text", ["", "xx", "deutsch", "../en"])
def test_an_unknown_language_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="ar, de, en"):
        language_from(text)
