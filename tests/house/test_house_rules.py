"""Size limits of the house: what does not fit on a screen has two jobs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "resolver"
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70


def test_no_file_is_too_long() -> None:
    lengths = {str(path): path.read_text().count("\n") for path in PACKAGE.rglob("*.py")}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


@pytest.mark.slow
def test_no_function_has_two_jobs() -> None:
    too_long = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
    assert too_long == []


@pytest.mark.slow
def test_every_file_says_what_it_is_for() -> None:
    silent = []
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        if source.strip() and ast.get_docstring(ast.parse(source)) is None:
            silent.append(str(path))
    assert silent == []
