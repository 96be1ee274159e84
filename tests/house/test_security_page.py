"""The maximums that SECURITY.md names are those that the program has."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

from resolver.config.settings import Settings
from tests.support.for_each import for_each

PAGE = (Path(__file__).parents[2] / "SECURITY.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| ([\d,.]+)[^|]*? \| `(.+?)` \|$", PAGE, re.MULTILINE)


def value_of(place: str) -> float:
    if place.startswith("resolver."):
        module, _, name = place.rpartition(".")
        return float(getattr(importlib.import_module(module), name))
    return float(reduce(getattr, place.split("."), Settings()))  # type: ignore[arg-type]


def test_the_table_is_read() -> None:
    assert len(ROWS) > 25


@for_each(("what", "stated", "place"), ROWS)
def test_a_stated_maximum_is_the_one_in_force(what: str, stated: str, place: str) -> None:
    assert float(stated.replace(",", "")) == value_of(place), what


def test_every_limit_of_the_settings_is_stated() -> None:
    stated = {place for _, _, place in ROWS}
    assert {f"limits.{name}" for name in type(Settings().limits).model_fields} - stated == set()


def test_the_page_says_how_to_report_a_hole() -> None:
    assert "## How to report a hole" in PAGE and "not in a public issue" in PAGE
