"""What people decided is remembered: who, when, why, within limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.suggestions import decisions as decisions_module
from resolver.suggestions.decisions import (
    ACCEPTED,
    DISMISSED,
    Decision,
    DecisionsUnusable,
    decide,
    decisions_path,
    read_decisions,
)
from resolver.wire.names import name_from_text

ONE, OTHER, THIRD = map(name_from_text, ("one.example", "other.example", "third.example"))
BY_ANN = Decision(DISMISSED, "ann", 1_767_225_600.0, "a shop", "binance")
BY_BOB = Decision(ACCEPTED, "bob", 1_767_225_700.0, "", "kraken")


def test_decisions_are_read_as_they_were_made(tmp_path: Path) -> None:
    assert decide(tmp_path, ONE, BY_ANN) is None
    assert decide(tmp_path, OTHER, BY_BOB) is None
    assert read_decisions(tmp_path) == {ONE: BY_ANN, OTHER: BY_BOB}


def test_a_decision_is_taken_back(tmp_path: Path) -> None:
    decide(tmp_path, ONE, BY_ANN)
    assert decide(tmp_path, ONE, None) == BY_ANN
    assert read_decisions(tmp_path) == {}


def test_full_it_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions_module, "DECISIONS_MAX", 2)
    for name in (ONE, OTHER, THIRD):
        decide(tmp_path, name, BY_ANN)
    assert list(read_decisions(tmp_path)) == [OTHER, THIRD]


def test_words_of_strangers_come_out_printable(tmp_path: Path) -> None:
    decide(tmp_path, ONE, Decision(DISMISSED, "ann\x1b[31m", 1.0, "a\nb\u202e", "x"))
    read = read_decisions(tmp_path)[ONE]
    assert read.who.isprintable() and read.reason.isprintable()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b'{"decisions": []}',
        b'{"decisions": {"x.example": {}}}',
        b'{"decisions": {"x.example": {"what": "eaten", "who": "", "at": 1, "reason": "", "exchange": ""}}}',
        b'{"decisions": {"a b": {"what": "dismissed", "who": "", "at": 1, "reason": "", "exchange": ""}}}',
    ],
)
def test_a_damaged_file_is_kept_and_said(octets: bytes, tmp_path: Path) -> None:
    decide(tmp_path, ONE, BY_ANN)
    decisions_path(tmp_path).write_bytes(octets)
    with pytest.raises(DecisionsUnusable, match="delete it"):
        decide(tmp_path, OTHER, BY_BOB)
    assert decisions_path(tmp_path).read_bytes() == octets


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    decide(tmp_path, ONE, BY_ANN)
    assert decisions_path(tmp_path).stat().st_mode & 0o777 == 0o600
