"""How soon a connection is begun where others came to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.forwarding.openings import FREE, OPENING_MAX, OPENING_PAUSE_S_MAX, OPENING_PAUSE_S_MIN, Openings
from resolver.forwarding.upstream import DOWN_AFTER_FAILURES

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "vectors/openings.yaml").read_text()
)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_connections_are_begun_as_the_vectors_say(case: dict[str, Any]) -> None:
    openings = Openings()
    for step in case["steps"]:
        now = step[0] / 1000
        match step[1:]:
            case ["nothing", began]:
                openings.fail(began / 1000, now)
            case ["something"]:
                openings.come_to_something()
            case ["begin", opening, may]:
                assert openings.allow(opening, now) is may, step
            case unknown:
                raise AssertionError(unknown)


def test_the_vectors_speak_of_these_numbers() -> None:
    assert (FREE, OPENING_MAX, OPENING_PAUSE_S_MIN, OPENING_PAUSE_S_MAX) == (3, 2, 0.05, 0.1)


def test_an_upstream_is_down_before_connections_to_it_are_held_back_for_long() -> None:
    assert FREE >= DOWN_AFTER_FAILURES
