"""The measurement of suggestions: what counts as right, wrong and missed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import suggestion_data
from benchmarks.suggestion_data import Data, Unreachable
from benchmarks.suggestion_judge import Judge
from benchmarks.suggestions import HALVES, Reading, half_of, measure, report_suggestions
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.suggestions.listed import known_of
from resolver.wire.names import name_from_text, name_to_text

POLICY = """\
version: 1
exchanges:
  binance: {name: Binance, domains: [binance.com]}
  idex: {name: IDEX, domains: [idex.market]}
  gemini: {name: Gemini, domains: [gemini.com]}
  coin: {name: Coin, domains: [coin.example]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Blocklist:
    path = tmp_path / "blocklist.yaml"
    path.write_text(POLICY)
    found, _ = read_blocklist(path, force=True)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "imitated"),
    [
        ("binance-login.example", {"binance"}),
        ("www.mybinance.example", {"binance"}),
        ("binnance.example", {"binance"}),
        ("bíñance.example", {"binance"}),
        ("binаnce.example", {"binance"}),
        ("idexmarket.example", {"idex"}),
        ("idex-exchange.example", {"idex"}),
        ("idexploded.example", set()),
        ("coin-giveaway.example", set()),
        ("myetherwallet.example", set()),
        ("finance.example", set()),
    ],
)
def test_the_judge_says_whom_a_reported_name_imitates(
    name: str, imitated: set[str], policy: Blocklist
) -> None:
    judge = Judge(policy, ["finance.example", "my-finance.example", "finance.test"])
    assert judge.imitated(name_to_text(name_from_text(name))) == imitated


def test_the_halves_keep_names_of_one_owner_together() -> None:
    owners = [f"n{number}.example" for number in range(64)]
    halves = {half_of(name_from_text(owner)) for owner in owners}
    assert halves == set(HALVES)
    for owner in owners:
        assert half_of(name_from_text(f"www.{owner}")) == half_of(name_from_text(owner))


def test_each_name_counts_once_and_as_what_it_is(policy: Blocklist) -> None:
    data = Data(
        {"binance-login.example", "www.binance-login.example", "gemini-login.example", "other.example"},
        {"popular": {"binance-fans.example", "weather.example", "binance.com"}},
    )
    judge = Judge(policy, [])
    total = Reading()
    for half in HALVES:
        reading = measure(data, half, known_of(policy).index(), judge, 0.7)
        for field in ("imitating", "others", "innocent", "found"):
            setattr(total, field, getattr(total, field) + getattr(reading, field))
        total.false += reading.false
        total.missed += reading.missed
    assert (total.imitating, total.others, total.innocent, total.found) == (2, 1, 2, 1)
    assert [line.split()[0] for line in total.false] == ["binance-fans.example"]
    assert [line.split()[0] for line in total.missed] == ["gemini-login.example"]
    assert total.precision == 0.5 and total.recall == 0.5


def test_where_imitations_are_rarer_precision_is_lower() -> None:
    reading = Reading(imitating=100, innocent=10_000, found=80, false=["x"])
    assert reading.precision_at(100) > reading.precision_at(1_000) > 0


def test_without_the_packages_it_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*words: object, **options: object) -> None:
        raise subprocess.CalledProcessError(1, "npm")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert report_suggestions(tmp_path) is False
    assert "suggestions: skipped: " in capsys.readouterr().out
    with pytest.raises(Unreachable):
        suggestion_data.fetch(tmp_path)
