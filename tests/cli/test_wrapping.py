"""Lines and tables on a narrow terminal: whole words, nothing cut, everything said."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from resolver.cli import wrapping
from resolver.cli.wrapping import print_rows, wrapped

HEADERS = ("ORDER", "AUTHORITY", "DUE", "NOT ENFORCED")
ROWS = (
    [
        "nafm-2026-117-with-a-long-id",
        "Financial Markets Authority of somewhere far away",
        "-",
        "1 shared platform",
    ],
    ["house", "The operator", "2026-12-05", "-"],
)


def test_a_long_line_is_wrapped_under_itself_and_no_name_is_broken() -> None:
    name = "a-name-that-nobody-may-break-" * 3 + ".example"
    lines = wrapped(f"  place  {name} and then some more words that fill the line", 60, 8)
    assert name in "".join(lines) and any(name in line for line in lines)
    assert all(len(line) <= 60 or name in line for line in lines)
    assert all(line.startswith(" " * 8) for line in lines[1:])


def test_without_a_terminal_a_line_is_a_line() -> None:
    assert wrapped("word " * 100, None, 4) == ["word " * 100]


@pytest.mark.parametrize("columns", [40, 80, 109, 110, 160, None])
def test_whatever_the_width_ids_stay_whole_and_every_cell_is_said(
    columns: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wrapping, "terminal_columns", lambda: columns)
    monkeypatch.setenv("COLUMNS", str(columns or 200))
    print_rows(HEADERS, ROWS)
    out = capsys.readouterr().out
    words = set(out.split())
    for row in ROWS:
        assert row[0] in words
        assert {word for cell in row for word in cell.split() if word != "-"} <= words
    if columns is not None:
        assert all(len(line.rstrip()) <= columns for line in out.splitlines())


def test_on_a_narrow_terminal_empty_cells_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wrapping, "terminal_columns", lambda: 80)
    print_rows(HEADERS, ROWS, title_cells=2)
    assert capsys.readouterr().out.splitlines()[-2:] == ["house The operator", "  due           2026-12-05"]


def test_letters_of_two_columns_are_counted_as_two_and_none_is_lost() -> None:
    text = "中華人民共和国国家インターネット情報弁公室および関係各省庁連絡会議"
    line = f"Authority      {text} of binance-and-others.example {text}"
    lines = wrapped(line, 60, 15)
    assert all(cell_len(one) <= 60 and one == one.rstrip() for one in lines)
    assert "".join("".join(lines).split()) == "".join(line.split())
    assert all(one.startswith(" " * 15) for one in lines[1:])
    assert any("binance-and-others.example" in one for one in lines)
