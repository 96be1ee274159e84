"""The page of all metrics.

Knows: the table of metrics, and what `docs/texts/metrics.yaml` adds to it.  Does not know: any metric by
name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from resolver.observe.metric_table import METRICS, Metric
from resolver.observe.tally import DROP_REASONS
from scripts.guide.places import TEXTS
from scripts.guide.words import anchor, code, heading, prose, table

INTRO = """\
`/metrics` has all of these. No metric has a label with a domain or a client. Every series whose
labels come from a closed set (reasons, results, states, sources) is there at 0 from the start, so the
first event is an increase. The numbers count from the start of the process unless a metric says
otherwise. [Watching it](../watching.md) says how Prometheus reads them; [Alerts](alerts.md) says which of
them to be told of. """


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics that belong together."""

    title: str
    text: str
    metrics: tuple[Metric, ...]


def texts() -> dict[str, Any]:
    """What people have written: `sections`, `notes`, `drops`."""
    read = yaml.safe_load((TEXTS / "metrics.yaml").read_text())
    assert isinstance(read, dict)
    return read


def sections(told: Mapping[str, Any]) -> Iterator[Section]:
    """The metrics in the order of the page.  What no section has is in none: a test says so."""
    left = list(METRICS)
    for one in told["sections"]:
        mine = [metric for metric in left if metric.name.startswith(tuple(one["prefixes"]))]
        left = [metric for metric in left if metric not in mine]
        yield Section(one["title"], one.get("text", ""), tuple(mine))


def metrics_page() -> str:
    """Every metric, and every reason of a drop."""
    told = texts()
    parts = [heading(1, "Every metric", id_="page"), INTRO]
    for section in sections(told):
        parts += [heading(2, section.title), section.text]
        parts += [_entry(metric, told["notes"].get(metric.name, "")) for metric in section.metrics]
    rows = [(code(reason), told["drops"][reason]) for reason in DROP_REASONS]
    parts += [
        heading(2, "Reasons of drops"),
        "The label `reason` of `resolver_dropped_total`. A query that is dropped gets no answer.\n",
        table(("reason", "what happened"), rows),
    ]
    return "\n".join(parts)


def _entry(metric: Metric, note: str) -> str:
    labels = f", by {', '.join(code(label) for label in metric.labels)}" if metric.labels else ""
    lines = [heading(3, code(metric.name), id_=anchor(metric.name))]
    lines.append(f"{metric.type.capitalize()}{labels}. {prose(metric.help)}{' ' + note if note else ''}\n")
    return "\n".join(lines)
