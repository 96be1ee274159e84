"""Facts -> the text that Prometheus reads.

Knows: Prometheus' library and the forms that it writes.  Does not know: any metric (`metric_table`), who
scrapes, how anything was counted.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics

from resolver.observe.facts import Facts
from resolver.observe.metric_table import METRICS, Metric
from resolver.observe.negotiation import Form, chosen_form, takes_gzip
from resolver.observe.series import Times

GZIP_LEVEL: Final = 5
"""A page of 320 exchanges becomes a fifteenth in a millisecond; higher levels take longer for little."""


@dataclass(slots=True, frozen=True)
class Page:
    """What a scraper gets."""

    octets: bytes
    headers: dict[str, str]


def render(facts: Facts, form: Form = Form.TEXT) -> bytes:
    """All metrics of a server and of its process.  Takes milliseconds; any thread may call it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(facts))
    ProcessCollector(registry=registry)
    if form is Form.TEXT:
        return generate_latest(registry)
    return cast(bytes, openmetrics.generate_latest(registry))  # type: ignore[no-untyped-call]


def page_for(facts: Facts, *, accept: str, accept_encoding: str) -> Page:
    """All metrics in the form that the headers of a request ask for.  Takes milliseconds, like `render`."""
    form = chosen_form(accept)
    octets = render(facts, form)
    headers = {"content-type": form.value, "vary": "Accept, Accept-Encoding"}
    if takes_gzip(accept_encoding):
        # No time in it: equal pages are equal octets.
        octets = gzip.compress(octets, GZIP_LEVEL, mtime=0)
        headers["content-encoding"] = "gzip"
    return Page(octets, headers)


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
