"""A page of metrics is read back; what is none is an error in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.observe.exposition import read_counts
from resolver.observe.metrics import render
from resolver.observe.tally import Hit
from tests.observe.test_metric_table import FULL

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.prom"


def test_hits_and_queries_are_what_the_server_counted() -> None:
    counts = read_counts(render(FULL).decode())
    assert counts.hits == {
        Hit("exchange", "acme", "nxdomain", "enforce"): 7,
        Hit("exchange", "zenith", "sinkhole", "shadow"): 0,
        Hit("list", "ads", "nxdomain", "enforce"): 2,
        Hit("list", "trackers", "nodata", "shadow"): 0,
    }
    assert counts.queries == 21
    assert counts.started_at > 1e9


def test_a_page_without_the_process_does_not_tell_the_start() -> None:
    assert read_counts(GOLDEN.read_text()).started_at == 0.0


def test_labels_are_made_printable() -> None:
    line = 'resolver_exchange_hits_total{exchange="a\\n\x1b[31m",action="x",mode="y"} 4\n'
    [hit] = read_counts(GOLDEN.read_text() + line).hits.keys() - read_counts(GOLDEN.read_text()).hits.keys()
    assert hit.label == "a\\n\\x1b[31m"


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html>not found</html>",
        "up 1\n",
        'resolver_queries_total{transport="udp"',
        "resolver_queries_total x\n",
        'resolver_queries_total 1\nresolver_exchange_hits_total{exchange="a"} 1\n',
        "resolver_queries_total NaN\n",
        "resolver_queries_total +Inf\n",
        "\x00\xff{}",
    ],
)
def test_what_is_no_page_of_this_program_is_said_to_be_none(page: str) -> None:
    with pytest.raises(ValueError, match="not a page of metrics"):
        read_counts(page)
