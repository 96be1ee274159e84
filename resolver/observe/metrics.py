"""Facts -> the text that Prometheus reads.

Knows: Prometheus' library and its text format.  Does not know: any metric (`metric_table`), who scrapes,
how anything was counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from resolver.observe.facts import Facts
from resolver.observe.metric_table import METRICS, Metric
from resolver.observe.series import Times

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The classic text format: every Prometheus reads it, and promtool checks it."""


def render(facts: Facts) -> bytes:
    """All metrics of a server and of its process.  Takes milliseconds; any thread may call it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(facts))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector:
    """Facts, as the library wants to be given metrics."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def describe(self) -> Iterable[Family]:
        """Nothing to check for clashes: each registry has only this collector and the process's."""
        return ()

    def collect(self) -> Iterable[Family]:
        """All families, in the order of the table."""
        for metric in METRICS:
            if not metric.of_native or self._facts.native is not None:
                yield family_of(metric, self._facts)


def family_of(metric: Metric, facts: Facts) -> Family:
    """One metric with all its series."""
    family = _FAMILIES[metric.type](metric.name, metric.help, labels=metric.labels)
    for labels, value in metric.read(facts):
        if isinstance(value, Times):
            family.add_metric(labels, _cumulative(value), value.seconds)
        else:
            family.add_metric(labels, value)
    return cast(Family, family)


_FAMILIES: Final[dict[str, type[Any]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _cumulative(times: Times) -> list[tuple[str, float]]:
    """Prometheus' buckets: each counts everything up to its bound."""
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, times.bounds), "+Inf"), times.buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows
