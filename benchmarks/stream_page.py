"""The page's part on streams, as Markdown.

Knows: the readings of `streams`, their bar, how a table is written.  Does not know: how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contestants import Contestant
from benchmarks.figures import Figures
from benchmarks.markdown import label_of, number, table
from benchmarks.stream_bars import LOADS, NAMES, PART, stream_bar_lines, stream_us
from benchmarks.stream_field import ECHO, ECHO_GATHERING, OVER_TLS
from benchmarks.stream_loads import QUERY_SHAPES

LABELS = {ECHO: "bare stream echo", ECHO_GATHERING: "the same, gathering 50 µs"}
LOAD_TITLES = {"hot": "Hits", "block": "Blocked names"}


def stream_section(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    """Tables of queries, connections and misses, then the bar; empty where streams were not read."""
    if not figures.readings(PART):
        return ""
    names = [name for name in figures.contestants(PART) if not name.endswith(OVER_TLS)]
    parts = [
        "## DNS over TCP, TLS and HTTPS",
        "CPU microseconds of the server per query: *pipelined* has 16 connections with 100 queries"
        " outstanding (HTTPS: 16 streams each), *single* 50 connections with one each, *gathered* 16"
        " connections and 16 queries in each write. The bare echo answers everything with one record: epoll"
        " and rustls, for HTTPS tokio, rustls and hyper.",
        *(_queries(figures, contestants, names, load) for load in LOADS),
        _connections(figures, contestants, names),
        _misses(figures, contestants),
        _bars(figures),
    ]
    return "\n\n".join(part for part in parts if part)


def _label(name: str, contestants: Mapping[str, Contestant]) -> str:
    return LABELS.get(name) or label_of(name, contestants)


def _queries(figures: Figures, contestants: Mapping[str, Contestant], names: list[str], load: str) -> str:
    rows = []
    for name in names:
        cells = [
            number(stream_us(figures, name, transport, shape, load), 2)
            for transport in NAMES
            for shape in QUERY_SHAPES
        ]
        if set(cells) != {"–"}:
            rows.append([_label(name, contestants), *cells])
    heads = [f"{name} {shape}" for name in NAMES.values() for shape in QUERY_SHAPES]
    return f"{LOAD_TITLES[load]}:\n\n" + table((f"µs per query, {load}", *heads), rows) if rows else ""


def _connections(figures: Figures, contestants: Mapping[str, Contestant], names: list[str]) -> str:
    rows = []
    for name in names:
        cells = [number(stream_us(figures, name, "tcp", "new", "hot"), 0)]
        for transport in ("tls", "https"):
            cells += [
                number(stream_us(figures, name, transport, shape, "hot"), 0) for shape in ("new", "again")
            ]
            cells.append(number(stream_us(figures, name, transport, "idle", "hot"), 1))
        beside = [
            number(_median(figures, name, field), digits)
            for field, digits in (("alone_us", 0), ("beside_us", 0), ("ratio", 2))
        ]
        if set(cells) != {"–"}:
            rows.append([_label(name, contestants), *cells, " / ".join(beside)])
    heads = ["TCP new µs"]
    for name in ("DoT", "DoH"):
        heads += [f"{name} new µs", f"{name} again µs", f"{name} idle kB"]
    return (
        "CPU of a connection that asks once, with a full handshake (X25519MLKEM768 offered first) and with a"
        " ticket; memory of an idle one; p99 in microseconds of hits over UDP at 10,000 queries a second"
        " alone, beside 1,000 full handshakes a second, and the second as a multiple of the first:\n\n"
        + table(("", *heads, "p99 alone / beside / ratio"), rows)
    )


def _median(figures: Figures, name: str, field: str) -> float | None:
    found = figures.readings(PART, contestant=name, shape="beside")
    return figures.median_of(field, name, PART, shape="beside") if found else None


def _misses(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    rows = []
    for name in figures.contestants(PART):
        over_udp = stream_us(figures, name, "udp", "miss", "miss")
        over_tls = stream_us(figures, f"{name}{OVER_TLS}", "udp", "miss", "miss")
        if over_udp is not None and over_tls is not None:
            added = number(over_tls - over_udp)
            rows.append([_label(name, contestants), number(over_udp), number(over_tls), added])
    if not rows:
        return ""
    heads = ("µs per miss", "upstream over UDP", "over TLS", "more")
    return "Names never asked before, asked over UDP:\n\n" + table(heads, rows)


def _bars(figures: Figures) -> str:
    rows = [
        [line.what, line.limit, line.measured or "–", line.verdict()] for line in stream_bar_lines(figures)
    ]
    return "### The bar of streams\n\n" + table(("what", "bar", "measured", "verdict"), rows)
