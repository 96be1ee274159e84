"""Pauses of filtering in reports: each form and each language tells when, why, and what of orders."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from resolver.report.catalogue import LANGUAGES, texts_of
from resolver.report.collecting import collect
from resolver.report.facts import Paused, Report
from resolver.report.rendering import Format, rendered
from resolver.report.sources import HistorySource
from resolver.report.statement import Signing
from tests.report.support import NOW, POLICY, ZONE, generation, report, sources
from tests.support.for_each import for_each

HOUSE = Paused(NOW - 7_200, NOW - 3_600, "the bank's <portal> fails", False)
ALL = Paused(NOW - 600, NOW, "fire", True)


def text(made: Report, form: Format = "markdown", language: str = "en") -> str:
    signing = Signing("ab" * 32, "report", "operator.pub")
    return rendered(made, form, texts_of(language), ZONE, signing).decode()


@pytest.mark.parametrize("form", ["markdown", "html", "csv", "json"])
def test_report_tells_of_a_pause_with_its_reason(form: Format) -> None:
    said = text(replace(report(), pauses=(HOUSE,)), form)
    assert "portal" in said and (form != "html" or "<portal>" not in said)
    if form == "json":
        [pause] = (
            json.loads(said)["report"]["pauses"]
            if "report" in json.loads(said)
            else json.loads(said)["pauses"]
        )
        assert pause == {
            "from": "2026-11-30T10:00:00+01:00",
            "to": "2026-11-30T11:00:00+01:00",
            "reason": "the bank's <portal> fails",
            "including_orders": False,
        }


def test_report_says_whether_orders_of_authorities_stayed_in_force() -> None:
    said = text(replace(report(), pauses=(HOUSE, ALL)))
    assert said.count("What authorities ordered stayed in force.") == 1
    assert said.count("What authorities ordered was not enforced either.") == 1


@for_each("language", LANGUAGES)
def test_pause_is_told_in_every_language(language: str) -> None:
    texts = texts_of(language)
    assert texts("pause_all") in text(replace(report(), pauses=(ALL,)), "markdown", language)


def test_report_of_an_authoritys_order_has_the_pauses_in_which_it_was_not_enforced() -> None:
    pause = {
        "id": "01", "began_at": NOW - 900, "until": NOW - 300, "reason": "why", "including_orders": False,
        "exchanges": [], "exchanges_count": 0, "lists": [], "lists_count": 0,
    }  # fmt: skip
    wider = pause | {"id": "02", "including_orders": True}
    entries = [
        replace(generation(number, NOW - 900, None, POLICY), changes={"pause": one})
        for number, one in ((1, pause), (2, wider))
    ]

    def found(order: str) -> list[bool]:
        made = replace(sources(), only_order=order, history=HistorySource(entries))
        return [one.including_orders for one in collect(made, NOW).pauses]

    assert found("") == [False, True] == found("house")
    assert found("fma-2026-17") == [True]
