"""`import`: what a register would do, told before it is a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resolver.cli.importing import import_register

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "registers"
NCASP = GOLDEN / "NCASP-2026-01-29.csv"
CASPS = GOLDEN / "CASPS-2026-01-30.csv"
CATALOGUE = ROOT / "blocklist.yaml"


def told(
    capsys: pytest.CaptureFixture[str], file: Path, kind: str, code: int, blocklist: Path = CATALOGUE
) -> dict[str, Any]:
    assert import_register(file, kind, config=None, blocklist=blocklist, as_json=True) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_real_register_is_accounted_for_row_by_row(capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(capsys, NCASP, "esma-ncasp", 1)
    assert answer["records"] == answer["records_whole"] == 101
    assert answer["entries"] == answer["enforced"] + sum(answer["not_enforced"].values()) == 135
    assert answer["not_enforced"]["duplicate"] == 1 and answer["mode"] == "shadow"
    assert answer["authorities"]["Commissione Nazionale per le Societa e la Borsa (CONSOB)"] == 99
    [overlap] = answer["overlaps"]
    assert (overlap["name"], overlap["exchange"], overlap["line"]) == ("www.mexc.com", "mexc", 101)
    open_above = {entry["name"] for entry in answer["open_above"]}
    assert "www.niufo.co" in open_above and "www.mexc.com" not in open_above
    assert len(open_above) == answer["open_above_count"] == 18


def test_people_get_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_register(NCASP, "register/esma-ncasp", config=None, blocklist=CATALOGUE, as_json=False) == 1
    page = capsys.readouterr().out
    assert "101 records read: 101 as a whole, 0 in part, 0 not enforced" in page
    assert "134 enforced (in shadow: this register only warns)" in page
    assert "line 85, record DFG789 2025-10-22: 'https://dfg789.it': duplicate" in page


def test_all_enforced_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "adm.txt").write_text("a.example.com\nb.example.com\n")
    answer = told(capsys, tmp_path / "adm.txt", "it-adm", 0)
    assert answer["enforced"] == 2 and answer["left_out"] == []


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        (b"a.example.com\n\xff.example.com\n", "it-adm", "utf-8"),
        (b"a.example.com", "it-adm", "cut off"),
        (b"a.example.com\n", "it-amd", "did you mean 'it-adm'"),
    ],
)
def test_a_refused_register_is_bad_input_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, kind: str, what: str
) -> None:
    (tmp_path / "adm.txt").write_bytes(content)
    [problem] = told(capsys, tmp_path / "adm.txt", kind, 2)["problems"]
    assert what in problem["message"] and (problem["line"] or kind == "it-amd")


def test_a_file_that_is_not_there_and_a_broken_blocklist_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No such file" in told(capsys, tmp_path / "no", "it-adm", 2)["problems"][0]["message"]
    (tmp_path / "b.yaml").write_text("version: 2\n")
    assert told(capsys, NCASP, "esma-ncasp", 2, tmp_path / "b.yaml")["problems"]


def test_a_register_of_who_is_authorised_shows_whom_the_blocklist_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = told(capsys, CASPS, "esma-casps", 1)
    assert answer["records"] == 148
    assert any("www.kraken.com is blocked by exchange kraken" in entry["text"] for entry in answer["blocked"])
    (tmp_path / "b.yaml").write_text("version: 1\nexchanges: {a: {name: A, domains: [a.example.com]}}\n")
    assert told(capsys, CASPS, "esma-casps", 0, tmp_path / "b.yaml")["blocked"] == []


def test_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.yaml").write_text("version: 1\nexchanges: {a: {name: A, domains: [a.example.com]}}\n")
    told(capsys, NCASP, "esma-ncasp", 1, tmp_path / "b.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["b.yaml"]
