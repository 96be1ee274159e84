"""`check` and `apply` say what ends soon, and that nothing is blocked: both open as a deleted line does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.cli.apply import apply_blocklist
from resolver.cli.check import check_files

NOW = datetime(2036, 11, 30, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an order that ends in 20 days, and one that ends in two months."""
    monkeypatch.setattr("time.time", lambda: NOW)
    (tmp_path / "blocklist.yaml").write_text(
        "version: 1\norders:\n"
        "  soon: {authority: A, title: T, until: 2036-12-20}\n"
        "  late: {authority: A, title: T, until: 2037-01-30}\n"
        "exchanges:\n"
        "  acme: {name: Acme, order: soon, domains: [acme.example, acme.test]}\n"
        "  zenith: {name: Zenith, order: late, domains: [zenith.example]}\n"
    )
    config = tmp_path / "resolver.yaml"
    config.write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
    return config


def test_check_says_what_ends_within_thirty_days_and_it_is_no_warning(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_files(config, None, strict=True, as_json=False) == 0
    [said] = [line for line in capsys.readouterr().out.splitlines() if "ends: order" in line]
    assert said == (
        "in 20 days, on 2036-12-20: ends: order soon; not blocked any more: 1 exchange, 2 domains: acme"
    )
    assert check_files(config, None, strict=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["ends"] == [said]


@pytest.mark.parametrize("words", ["mode: disabled", "mode: shadow", "from: 2036-12-24", "until: 2036-11-01"])
def test_check_and_apply_warn_of_a_policy_that_blocks_nothing_now(
    config: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    blocklist = config.parent / "blocklist.yaml"
    text = "version: 1\norders:\n  o: {authority: A, title: T, WORDS}\nexchanges:\n"
    blocklist.write_text(
        text.replace("WORDS", words) + "  acme: {name: Acme, order: o, domains: [acme.example]}\n"
    )
    said = f"{blocklist}: warning: blocks nothing now"
    assert check_files(config, None, strict=False, as_json=False) == 0
    assert said in capsys.readouterr().err
    assert apply_blocklist(config, force=False, reason=None) == 0
    assert said in capsys.readouterr().err


def test_a_policy_that_blocks_something_is_not_said_to_block_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_files(config, None, strict=False, as_json=False) == 0
    assert "blocks nothing" not in capsys.readouterr().err


def test_apply_says_it_before_it_notes_anything(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply_blocklist(config, force=False, reason=None) == 0
    told = capsys.readouterr().out
    assert "ends: order soon; not blocked any more: 1 exchange, 2 domains: acme" in told
    assert "order late" not in told.split("changes since")[0]
