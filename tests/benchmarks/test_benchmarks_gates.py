"""The table of what each gate costs can be made, and every step does its work."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import gates


@pytest.mark.slow
def test_every_gate_has_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gates, "QUERIES", 200)
    monkeypatch.setattr(gates, "ROUNDS", 1)
    gates.report_gates(tmp_path, 1000)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 17
    assert all(row.endswith(" µs") for row in rows)
