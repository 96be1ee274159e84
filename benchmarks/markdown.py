"""How figures are written in Markdown: tables, numbers, what people call a contestant.

Knows: Markdown, labels and versions.  Does not know: what a figure means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.contestants import Contestant
from benchmarks.figures import short_version


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    aligned = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, aligned, *rows))


def number(value: float | None, digits: int = 1) -> str:
    """A figure in a cell; a dash where it was not read."""
    return "–" if value is None else f"{value:,.{digits}f}"


def with_versions(
    contestants: Mapping[str, Contestant], versions: Mapping[str, str]
) -> dict[str, Contestant]:
    """The contestants as a page calls them: with their versions, and with those that run in two versions."""
    called = dict(contestants)
    for key, version in versions.items():
        name = key.partition("@")[0]
        if version and name in contestants:
            label = f"{contestants[name].label} {short_version(version)}"
            called[key] = replace(contestants[name], label=label)
    return called


def label_of(key: str, contestants: Mapping[str, Contestant]) -> str:
    """What people call a contestant, with how it runs where that is not as usual."""
    name, _, how = key.partition(" ")
    usual, _, which = name.partition("@")
    if name in contestants:
        label = contestants[name].label
    else:
        # One of another version that did not come up far enough to say which.
        label = f"{contestants[usual].label}, {which}" if which and usual in contestants else name
    threads, _, where = how.removeprefix("x").partition(" ")
    return f"{label}, {threads} threads {where}".strip() if how else label
