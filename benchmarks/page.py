"""The page of figures as Markdown: a summary, tables, who took part, how to repeat it, what to doubt.

Knows: the figures and the bars, how a table is written.  Does not know: how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.bars import BarLine, bar_lines
from benchmarks.chart import Panel
from benchmarks.contestants import Contestant
from benchmarks.figures import ECHO_CALM_MS, LOADS, NOT_PEERS, Figures
from benchmarks.markdown import label_of, number, table, with_versions
from benchmarks.measure import STOLEN_SHARE_MAX, TRIES_MAX
from benchmarks.side_by_side import QUERIES_PER_S
from benchmarks.stream_page import stream_section
from benchmarks.summary import summary

CHART = "benchmarks.svg"
LOAD_TITLES = {
    "hot": "hot: 10,000 names, all cached",
    "block": "block: names of the list",
    "mix": "mix: 80 % cached, 15 % blocked, 5 % new",
    "miss": "miss: names never asked before",
}
VARIANTS = {"edns": "With EDNS", "do": "With EDNS and DO", "ipv6": "Over IPv6"}
THREADS_SHARED = " On two cores the second thread shares its own with the load generator."
CHART_TITLE = "CPU microseconds per query"


def panels(figures: Figures) -> list[Panel]:
    """What the chart shows."""
    shown = []
    for load in LOADS:
        values = {key: figures.cpu_us("plain", key, load) for key in figures.contestants("contest")}
        known = {key: value for key, value in values.items() if value is not None}
        if known:
            shown.append(Panel(LOAD_TITLES[load], known))
    return shown


def page(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    """The whole page."""
    called = with_versions(contestants, figures.versions())
    lines = bar_lines(figures)
    parts = [
        _head(figures),
        summary(figures, lines, called),
        _cpu(figures, called),
        _throughput(figures, called),
        _bars(lines),
        _variants(figures, called),
        _most(figures, called),
        _waits(figures, called),
        stream_section(figures, called),
        _lists(figures, called),
        _reloads(figures, called),
        _field(figures, called),
        _repeat(),
        _appendix(figures),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _head(figures: Figures) -> str:
    machines = {
        tuple(document["machine"].get(key, "") for key in ("CPU", "cores", "kernel", "system"))
        for document in figures.parts.values()
    }
    facts = [
        f"{key} {value}"
        for key, value in next(iter(figures.parts.values()), {}).get("machine", {}).items()
        if key not in ("load before",)
    ]
    text = [
        "# Benchmarks",
        "Written by `make bench`; do not edit. The figure is **CPU microseconds per query** of the server's"
        " processes: it holds when the load generator is the slower of the two. Server on one core, load"
        " generator and upstream on another, over loopback, medians of interleaved runs. The bare echo"
        " answers every datagram with itself: what the kernel takes from any UDP server on this machine.",
    ]
    text.append("Taken on: " + ", ".join(facts) + "." if facts else "Nothing has been measured yet.")
    if len(machines) > 1:
        text.append("**The parts of this page were not taken on the same machine.**")
    return "\n\n".join(text)


def _appendix(figures: Figures) -> str:
    """How often everything was read, with which sources, and which readings a reader should doubt."""
    parts = []
    rounds = [f"{part} {times}" for part, times in figures.rounds().items()]
    if rounds:
        parts.append(f"Rounds: {', '.join(rounds)}.")
    ours = {part: document["machine"].get("this resolver", "") for part, document in figures.parts.items()}
    others = [f"{part} of {which}" for part, which in ours.items() if which != next(iter(ours.values()))]
    if others:
        parts.append(f"Parts that were taken with another state of this resolver: {', '.join(others)}.")
    odd = figures.odd()
    if odd:
        parts.append("Doubtful readings, kept in the figures:\n\n" + "\n".join(f"- {each}" for each in odd))
    return "## Appendix: readings\n\n" + "\n\n".join(parts) if parts else ""


def _cpu(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    keys = figures.contestants("contest")
    if not keys:
        return ""
    document = figures.parts["contest"]
    rows = []
    for key in keys:
        up = document["started"].get(key, {})
        is_echo = key == "echo"
        rows.append(
            [
                label_of(key, contestants),
                *(number(figures.cpu_us("plain", key, load)) for load in LOADS),
                "" if is_echo else number(up.get("memory_mb"), 0),
                "" if is_echo else number(up.get("load_s")),
            ]
        )
    spreads = [
        spread for key in keys for load in LOADS if (spread := figures.spread("plain", key, load)) is not None
    ]
    widest = f" The widest spread of one figure's repeats was {max(spreads):.0%}." if spreads else ""
    widest += (
        f" Readings of which a hypervisor took over {STOLEN_SHARE_MAX:.0%} for others were taken again, up to"
        f" {TRIES_MAX - 1} times."
    )
    return (
        f"## CPU per query\n\n![CPU microseconds per query, by load and contestant]({CHART})\n\n"
        + table(("µs per query", *LOADS, "MB", "load s"), rows)
        + f"\n\nList of {document['names']:,} names; `MB` and `load s` at the first refused and the first"
        f" forwarded answer.{widest}"
    )


def _throughput(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    rows = [
        [label_of(key, contestants), *(number(figures.throughput(key, load), 0) for load in LOADS)]
        for key in figures.contestants("throughput")
    ]
    if not rows:
        return ""
    return (
        "## What a plain dnsperf gets\n\nQueries per second that `dnsperf -s 127.0.0.1 -p PORT -d FILE` gets"
        " answered: one socket, 100 queries outstanding, the next one sent when an answer comes. It runs on"
        " the core of the load generator, and often it is the slower of the two.\n\n"
        + table(("queries/s", *LOADS), rows)
    )


def _bars(lines: Sequence[BarLine]) -> str:
    rows = [[line.what, line.limit, line.measured or "–", line.verdict()] for line in lines]
    return "## The bar\n\nRatios are medians of the ratios within each repeat.\n\n" + table(
        ("what", "bar", "measured", "verdict"), rows
    )


def _variants(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    parts = []
    for variant, title in VARIANTS.items():
        rows = []
        for key in figures.contestants("contest"):
            costs = [number(figures.cpu_us(variant, key, load)) for load in LOADS]
            if set(costs) != {"–"}:
                rows.append([label_of(key, contestants), *costs])
        if rows:
            parts.append(f"{title}:\n\n" + table(("µs per query", *LOADS), rows))
    rows = [
        [
            label_of(key, contestants),
            *(number(figures.cpu_us("threads", key, load, "threads")) for load in LOADS),
        ]
        for key in figures.contestants("threads")
    ]
    if rows:
        cores = figures.parts["threads"]["machine"].get("cores", "?")
        shared = THREADS_SHARED if cores == "2" else ""
        parts.append(
            "One thread and two, 32 sending sockets. Two threads take the same queries in more batches, each"
            f" of which costs two system calls and a wake-up.{shared}\n\n"
            + table(("µs per query", *LOADS), rows)
        )
    return "## EDNS, DO, IPv6, threads\n\n" + "\n\n".join(parts) if parts else ""


def _most(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    rows = []
    for key in figures.contestants("waits"):
        cells = []
        for load in LOADS:
            most, busy = (figures.waits("most", key, load, field) for field in ("queries_per_s", "busy"))
            # Where the server rested, something else was the limit, and it could have answered more.
            more = "≥ " if most is not None and busy is not None and busy < 0.95 else ""
            cells.append(more + number(most, 0))
        rows.append([label_of(key, contestants), *cells])
    if not rows:
        return ""
    return (
        "## The most one thread answers\n\nQueries per second with 300 outstanding; ≥ where the server was"
        " less than 95 % busy, so that its CPU was not the limit: the load generator was, or pauses.\n\n"
        + table(("queries/s", *LOADS), rows)
    )


def _waits(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    keys = figures.contestants("waits")
    if not keys:
        return ""
    rate = figures.parts["waits"]["rate"]
    rows = [
        [
            label_of(key, contestants),
            *(
                " / ".join(
                    number(figures.waits("rate", key, load, field), 0)
                    for field in ("p50_us", "p99_us", "p999_us")
                )
                for load in LOADS
            ),
        ]
        for key in keys
    ]
    return (
        f"## Waits at {rate:,} queries per second\n\np50 / p99 / p99.9 in microseconds, from the sending to"
        " the kernel's stamp on the answer; no query waits for another one's answer. A dash: more were lost"
        " than the share allows.\n\n" + table(("µs", *LOADS), rows)
    )


def _lists(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    parts = []
    sizes = sorted({one["names"] for one in figures.readings("starts")})
    rows = []
    for engine in ("native", "python"):
        for names in sizes:
            if figures.start(engine, names, "long", "first", "seconds") is None:
                continue
            for image in ("first", "found"):
                long = (
                    figures.start(engine, names, "long", image, field) for field in ("seconds", "memory_mb")
                )
                added = (figures.added(engine, names, image, field) for field in ("seconds", "memory_mb"))
                cells = [
                    number(value, digits) for value, digits in zip((*long, *added), (2, 0, 2, 0), strict=True)
                ]
                start = "builds its image" if image == "first" else "finds its image"
                rows.append([f"{label_of(engine, contestants)}, {names:,} names, {start}", *cells])
    if rows:
        heads = ("start", "s", "MB", "s added by the list", "MB added")
        parts.append(table(heads, rows))
    lists = figures.parts.get("lists", {})
    rows = [
        [label_of(one["contestant"], contestants), number(one["load_s"]), number(one["memory_mb"], 0)]
        for one in figures.readings("lists")
    ]
    rows += [[label_of(key, contestants), why, ""] for key, why in lists.get("absent", {}).items()]
    if rows:
        parts.append(
            f"Everyone alone with {lists['names']:,} names, to the first refused and forwarded answer:\n\n"
            + table(("", "load s", "MB"), rows)
        )
    return "## Long lists\n\n" + "\n\n".join(parts) if parts else ""


def _reloads(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    rows = [
        [
            label_of(one["engine"], contestants),
            number(one["rate"], 0),
            *(
                f"{number(one[who]['own_worst_us'] / 1e3)} ({number(one[who]['worst_us'] / 1e3)})"
                for who in ("echo before", "rest", "reloading", "echo after")
            ),
            str(one["reloading"]["lost"]),
            number(one["reload_s"]),
            f"{one['stolen']:.1%}",
        ]
        for one in figures.readings("reload")
    ]
    if not rows:
        return ""
    names = figures.readings("reload")[0]["names"]
    heads = ("", "queries/s", "echo", "at rest", "reloading", "echo after", "lost", "reload s", "stolen")
    return (
        f"## A reload under load\n\nA list of {names:,} names is replaced under load: {QUERIES_PER_S:,}"
        " queries a second, and half of the most that the engine answers. The worst wait in milliseconds,"
        " each repeat, without those around which the host of the machine let others run (in brackets: with"
        " them); the echo is asked before, and afterwards as long as the reload took. *Stolen*: part of the"
        " machine's time that its host gave to others. Where the echo itself once waited over"
        f" {ECHO_CALM_MS:g} ms, nothing is judged.\n\n" + table(heads, rows)
    )


def _field(figures: Figures, contestants: Mapping[str, Contestant]) -> str:
    versions = figures.parts.get("contest", {}).get("versions", {})
    rows = [
        [label_of(key, contestants), versions.get(key, ""), contestants[key].assumes]
        for key in figures.contestants("contest")
        if key in contestants
    ]
    absent = [f"{label_of(key, contestants)} ({why})" for key, why in figures.absent().items()]
    text = "## Who took part\n\n"
    text += table(("", "version", "set up with"), rows).replace("---:", "---") if rows else "Nobody yet."
    if absent:
        text += "\n\nNot in this run: " + ", ".join(absent) + "."
    peers = [key for key in figures.contestants("contest") if key not in NOT_PEERS]
    if peers:
        text += "\n\nEvery one has one thread, no log, no DNSSEC validation, and a cache that holds the run."
    return text


def _repeat() -> str:
    return """\
## How to repeat it

    make bench                                         # all of it, an hour; leave the machine alone
    .venv/bin/python -m benchmarks --quick             # ten minutes; the page goes to benchmarks/out
    .venv/bin/python -m benchmarks contest --contestants echo,native,unbound --loads hot,block
    .venv/bin/python -m benchmarks lists --names 10000000 --start-minutes 10
    .venv/bin/python -m benchmarks contest --peer coredns=PATH --peer blocky=PATH --peer adguardhome=PATH
    .venv/bin/python -m benchmarks.packages trixie     # Debian 13's peers, into a folder of that name
    .venv/bin/python -m benchmarks --packages trixie   # all of it, with them beside the installed ones
    .venv/bin/python -m benchmarks streams             # DNS over TCP, TLS and HTTPS, and its bar
    .venv/bin/python -m benchmarks gathering           # the pause of decision 0006: with it and without
    .venv/bin/python -m benchmarks render              # docs/benchmarks.md again, from benchmarks/out

`make peers` installs the peers on Debian, as root. Raw readings are kept in `benchmarks/out`, one file for
each part; a run of one part replaces that part of the page there. Only a whole run and `render` write to
`docs`. `python -m benchmarks gates` prints what each step of the Python engine costs.
`--peer unbound@new=PATH` adds another Unbound beside the usual one. Programs of a folder named with
`--packages` run with that folder as their root, so with the libraries that are there."""
