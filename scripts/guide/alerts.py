"""The page of all alerts: when each fires, what that means, what to do.

Knows: the file of alert rules, and what `docs/texts/alerts.yaml` adds to it.  Does not know: any alert by
name.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from scripts.guide.places import ALERTS, TEXTS
from scripts.guide.words import anchor, block, code, heading, prose

INTRO = """\
Every rule of `config/prometheus/alerts.yaml`, the worst first. [Watching it](../watching.md#alerts)
says how to load them. The page `/readyz`, the dashboard and `GET /api/v1/problems` tell the same states
without Prometheus.

*Critical*: something is open, or about to be, or nobody gets an answer. *Warning*: look at it today.
"""

_LABEL = re.compile(r"\{\{ \$labels\.([a-z_]+) \}\}")
LEVELS = ("critical", "warning")


def rules() -> list[dict[str, Any]]:
    """The alert rules, as they stand in the file."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def texts() -> dict[str, str]:
    """Alert -> what it means and what to do, in Markdown."""
    read = yaml.safe_load((TEXTS / "alerts.yaml").read_text())
    assert isinstance(read, dict)
    return read


def alerts_page() -> str:
    """Every alert."""
    told, seen = texts(), set[str]()
    parts = [heading(1, "Every alert", id_="page"), INTRO]
    for level in LEVELS:
        parts.append(heading(2, level.capitalize()))
        for rule in rules():
            if rule["labels"]["severity"] == level:
                parts += [_problem_anchor(rule, seen), _entry(rule, told[rule["alert"]])]
    return "\n".join(parts)


def _entry(rule: dict[str, Any], text: str) -> str:
    notes = rule["annotations"]
    waits = (
        f"It fires when this is true for {code(rule['for'])}:"
        if "for" in rule
        else "It fires when this is true:"
    )
    lines = [
        heading(3, code(rule["alert"]), id_=anchor(rule["alert"])),
        f"**{prose(_without_variables(notes['summary']))}.**\n",
        f"{text.strip()}\n",
        f"In short: {_without_variables(notes['action'])}\n",
        f"{waits}\n",
        block(rule["expr"], "promql"),
    ]
    if problem := rule["labels"].get("problem"):
        lines.append(f"In `problems` of the API: {code(problem)}.\n")
    return "\n".join(lines)


def _without_variables(text: str) -> str:
    """What Prometheus would fill in, as a word in capitals: ORDER, N, TIME."""
    text = text.replace("{{ $value | humanizeDuration }}", "TIME").replace("{{ $value }}", "N")
    return _LABEL.sub(lambda found: found[1].upper(), text)


def _problem_anchor(rule: dict[str, Any], seen: set[str]) -> str:
    """The place that the API's links lead to; of two alerts for one problem the first has it."""
    problem = rule["labels"].get("problem", "")
    if not problem or problem in seen:
        return ""
    seen.add(problem)
    return f'<a id="{problem}"></a>\n'
