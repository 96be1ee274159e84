"""What `/readyz` may remark on is a closed set: each topic has a series, and a line in the guide."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from resolver.observe.facts import REMARK_TOPICS

ROOT = Path(__file__).parents[2]


def topics_in(source: str) -> Iterator[str]:
    """Topics that a module of the server speaks of: keys of what `remarks` gives, and `remark("...", ...)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name in ("remarks", "_remarks"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Dict):
                    yield from (str(key.value) for key in inner.keys if isinstance(key, ast.Constant))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "remark":
            yield from (str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant))


def test_every_topic_that_the_server_remarks_on_is_known_and_no_other() -> None:
    found = {
        topic for path in (ROOT / "resolver" / "server").glob("*.py") for topic in topics_in(path.read_text())
    }
    assert sorted(found) == list(REMARK_TOPICS)


def test_a_topic_is_seen_in_both_forms() -> None:
    source = "def remarks(self):\n    return {'a': x, **y}\ndef f():\n    health.remark('b', why)\n"
    assert list(topics_in(source)) == ["a", "b"]


def test_the_guide_explains_every_topic() -> None:
    page = (ROOT / "docs" / "guide" / "watching.md").read_text()
    table = page.partition("## Remarks of /readyz")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(topic for cell in first_cells for topic in re.findall(r"`(\w+)`", cell)) == list(
        REMARK_TOPICS
    )
