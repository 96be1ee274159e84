"""`check` and `apply` say what ends soon: an end of tomorrow opens as much as a deleted line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.cli.apply import apply_blocklist
from resolver.cli.check import check_files


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an order that ends in 20 days, and one that ends in two months."""
    monkeypatch.setattr("time.time", lambda: NOW)
    (tmp_path / "blocklist.yaml").write_text(
        "version: 1\norders:\n"
        "  soon: {authority: A, title: T, until: 2026-12-20}\n"
        "  late: {authority: A, title: T, until: 2027-01-30}\n"
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
        "in 20 days, on 2026-12-20: ends: order soon; not blocked any more: 1 exchange, 2 domains: acme"
    )
    assert check_files(config, None, strict=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["ends"] == [said]


def test_apply_says_it_before_it_notes_anything(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply_blocklist(config, force=False, reason=None) == 0
    told = capsys.readouterr().out
    assert "ends: order soon; not blocked any more: 1 exchange, 2 domains: acme" in told
    assert "order late" not in told.split("changes since")[0]
