"""Who reads wall time: the list in ARCHITECTURE.md, read from the source text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "resolver"

WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
OF_NOW_WITHOUT_ARGUMENT = {"time.gmtime": 0, "time.localtime": 0, "time.ctime": 0, "time.strftime": 1}
"""Functions that read the clock when they are called with no more arguments than this."""


def reads_wall_time(node: ast.AST) -> bool:
    """Whether this piece of source does, or hands on what does."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "time"
    if isinstance(node, ast.Attribute):
        return ".".join(ast.unparse(node).split(".")[-2:]) in WALL_CLOCKS
    if isinstance(node, ast.Call):
        most = OF_NOW_WITHOUT_ARGUMENT.get(ast.unparse(node.func))
        return most is not None and len(node.args) <= most
    return False


def readings(source: str) -> list[ast.AST]:
    return [node for node in ast.walk(ast.parse(source)) if reads_wall_time(node)]


@pytest.mark.slow
def test_only_those_named_in_the_architecture_read_wall_time() -> None:
    readers = {
        path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py") if readings(path.read_text())
    }
    section = (ROOT / "ARCHITECTURE.md").read_text().split("\n## Time\n")[1].split("\n## ")[0]
    assert readers == set(re.findall(r"`(resolver/[\w/]+\.py)`", section))


@pytest.mark.parametrize(
    "source",
    [
        "import time\nnow = time.time()",
        "import time\ndef f(wall=time.time): ...",
        "from time import time",
        "from datetime import datetime, UTC\nnow = datetime.now(UTC)",
        "import datetime\nnow = datetime.datetime.now()",
        "import time\ntime.gmtime()",
        "import time\ntime.strftime('%Y')",
    ],
)
def test_a_reading_is_seen(source: str) -> None:
    assert readings(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "import time\nnow = time.monotonic()",
        "import time\ntime.strftime('%Y', time.gmtime(wall))",
        "from datetime import datetime, UTC\ndatetime.fromtimestamp(wall, UTC)",
    ],
)
def test_other_uses_of_the_modules_are_none(source: str) -> None:
    assert readings(source) == []
