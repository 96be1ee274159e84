"""The bar of streams: what this product asks of itself beside peers and echoes.

Knows: every figure's limit, the readings of `streams`.  Does not know: how they are taken or shown.
dnsdist means the faster of those that took part, in each reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bars import BarLine
from benchmarks.figures import Figures, middle
from benchmarks.stream_field import ECHO, ECHO_GATHERING, OVER_TLS
from benchmarks.stream_loads import QUERY_SHAPES

PART = "streams"
LOADS = ("hot", "block")
NAMES = {"tcp": "TCP", "tls": "DoT", "https": "DoH"}
DNSDIST_RATIO = {
    ("tcp", "pipelined"): 0.5,
    ("tcp", "single"): 0.65,
    ("tcp", "gathered"): 0.2,
    ("tls", "pipelined"): 0.5,
    ("tls", "single"): 0.55,
    ("tls", "gathered"): 0.2,
    ("https", "pipelined"): 0.85,
    ("https", "single"): 0.85,
}
"""Most CPU per query of the native engine, as a multiple of dnsdist's."""
ECHO_RATIO = 1.35
"""Most CPU of the native engine, as a multiple of the bare stream echo's that does not gather."""
ECHO_SHAPES = ("pipelined", "single", "new", "again")
HANDSHAKE_RATIO = 0.5
"""Most CPU of a full handshake, as a multiple of dnsdist's."""
GROUP = "X25519MLKEM768"
IDLE_KB = {"tls": 8.0, "https": 16.0}
BESIDE_RATIO = 1.5
"""Most p99 of hits over UDP beside handshakes, as a multiple of it alone."""
MISS_ADDED_US = 8.0
"""Most CPU that a miss takes more over an upstream that speaks TLS than over UDP."""
PYTHON_DOT_RATIO = 1.5
"""Most CPU per query of the Python engine over DoT, as a multiple of dnsdist's."""
PYTHON_DOH_US = 250.0
NOT_PEERS = (ECHO, ECHO_GATHERING, "native", "python")


def stream_bar_lines(figures: Figures) -> list[BarLine]:
    """Every claim, in the order of the page; none where streams were not read."""
    if not figures.readings(PART):
        return []
    return [
        *_query_lines(figures),
        *_connection_lines(figures),
        *_other_lines(figures),
        *_python_lines(figures),
    ]


def stream_us(figures: Figures, name: str, transport: str, shape: str, load: str) -> float | None:
    """CPU per query or connection (of `idle` kB), median."""
    found = figures.readings(PART, contestant=name, transport=transport, shape=shape, load=load)
    return middle(one["cpu_us"] for one in found)


def peers_of(figures: Figures) -> list[str]:
    """Servers of other makers that were read."""
    return [
        name for name in figures.contestants(PART) if name not in NOT_PEERS and not name.endswith(OVER_TLS)
    ]


def cheapest(
    figures: Figures, transport: str, shape: str, load: str, kind: str = ""
) -> tuple[str, float] | None:
    """The peer that takes least, of all or of one kind whichever version, and how much."""
    costs = [
        (cost, name)
        for name in peers_of(figures)
        if kind in ("", name.partition("@")[0])
        and (cost := stream_us(figures, name, transport, shape, load)) is not None
    ]
    return min(costs)[::-1] if costs else None


def _beside(
    figures: Figures, what: str, limit: float, ours: float | None, theirs: tuple[str, float] | None
) -> BarLine:
    """Ours as a multiple of somebody's, who is named."""
    if ours is None or theirs is None or not theirs[1]:
        return BarLine(what, f"≤ {limit:.2f} ×", "", None)
    ratio = ours / theirs[1]
    called = theirs[0] if theirs[0] in NOT_PEERS else figures.called(theirs[0])
    measured = f"{ratio:.2f} × ({ours:.1f} beside {theirs[1]:.1f}, {called})"
    return BarLine(what, f"≤ {limit:.2f} ×", measured, ratio <= limit)


def _echo(figures: Figures, transport: str, shape: str) -> tuple[str, float] | None:
    cost = stream_us(figures, ECHO, transport, shape, "hot")
    if cost is None:
        # The echo answers everything alike, so it is read with one load where two are.
        cost = stream_us(figures, ECHO, transport, shape, "block")
    return None if cost is None else (ECHO, cost)


def _query_lines(figures: Figures) -> Iterator[BarLine]:
    for transport, name in NAMES.items():
        for shape in QUERY_SHAPES:
            for load in LOADS:
                ours = stream_us(figures, "native", transport, shape, load)
                what = f"native, {name} {shape}, {load}"
                if limit := DNSDIST_RATIO.get((transport, shape)):
                    theirs = cheapest(figures, transport, shape, load, "dnsdist")
                    yield _beside(figures, f"{what}: times dnsdist's CPU", limit, ours, theirs)
                if shape in ECHO_SHAPES:
                    echo = _echo(figures, transport, shape)
                    yield _beside(figures, f"{what}: times the echo's CPU", ECHO_RATIO, ours, echo)
                yield _below_all(figures, what, ours, cheapest(figures, transport, shape, load))


def _below_all(figures: Figures, what: str, ours: float | None, theirs: tuple[str, float] | None) -> BarLine:
    line = _beside(figures, f"{what}: times the best peer's CPU", 1.0, ours, theirs)
    return replace(line, limit="< 1")


def _connection_lines(figures: Figures) -> Iterator[BarLine]:
    for transport in ("tls", "https"):
        for shape in ("new", "again"):
            what = f"native, {NAMES[transport]} {shape}"
            ours = stream_us(figures, "native", transport, shape, "hot")
            if shape == "new":
                theirs = cheapest(figures, transport, shape, "hot", "dnsdist")
                line = _beside(figures, f"{what}: times dnsdist's CPU", HANDSHAKE_RATIO, ours, theirs)
                yield replace(line, what=f"{line.what} ({_groups(figures, transport)})")
            echo = _echo(figures, transport, shape)
            yield _beside(figures, f"{what}: times the echo's CPU", ECHO_RATIO, ours, echo)
            yield _below_all(figures, what, ours, cheapest(figures, transport, shape, "hot"))
        idle_kb = stream_us(figures, "native", transport, "idle", "hot")
        measured = "" if idle_kb is None else f"{idle_kb:.1f} kB"
        limit = IDLE_KB[transport]
        met = None if idle_kb is None else idle_kb <= limit
        yield BarLine(f"native, an idle {NAMES[transport]} connection", f"≤ {limit:g} kB", measured, met)


def _groups(figures: Figures, transport: str) -> str:
    """With which key exchange our handshakes were made."""
    found = figures.readings(PART, contestant="native", transport=transport, shape="new")
    names = {words.split()[-1] for one in found for words in one.get("handshakes", {})}
    return ", ".join(sorted(names)) or GROUP


def _other_lines(figures: Figures) -> Iterator[BarLine]:
    ratio, echo = (
        middle(one["ratio"] for one in figures.readings(PART, contestant=name, shape="beside"))
        for name in ("native", ECHO)
    )
    control = "" if echo is None else f" (echo {echo:.2f} ×)"
    measured = "" if ratio is None else f"{ratio:.2f} ×{control}"
    met = None if ratio is None else ratio <= BESIDE_RATIO
    what = "native, p99 of UDP hits beside 1,000 handshakes/s: times itself alone"
    yield BarLine(what, f"≤ {BESIDE_RATIO} ×", measured, met)
    plain, over_tls, unbound = (
        stream_us(figures, name, "udp", "miss", "miss")
        for name in ("native", f"native{OVER_TLS}", f"unbound{OVER_TLS}")
    )
    added = None if plain is None or over_tls is None else over_tls - plain
    yield BarLine(
        "native, a miss over a TLS upstream: more than over UDP",
        f"≤ {MISS_ADDED_US:g} µs",
        "" if added is None else f"{added:.1f} µs",
        None if added is None else added <= MISS_ADDED_US,
    )
    theirs = None if unbound is None else ("unbound", unbound)
    yield _below_all(figures, "native, a miss over a TLS upstream, Unbound over the same", over_tls, theirs)


def _python_lines(figures: Figures) -> Iterator[BarLine]:
    for load in LOADS:
        for shape in ("pipelined", "single"):
            ours = stream_us(figures, "python", "tls", shape, load)
            theirs = cheapest(figures, "tls", shape, load, "dnsdist")
            what = f"python, DoT {shape}, {load}: times dnsdist's CPU"
            yield _beside(figures, what, PYTHON_DOT_RATIO, ours, theirs)
            cost = stream_us(figures, "python", "https", shape, load)
            yield BarLine(
                f"python, DoH {shape}, {load}",
                f"≤ {PYTHON_DOH_US:g} µs",
                "" if cost is None else f"{cost:.0f} µs",
                None if cost is None else cost <= PYTHON_DOH_US,
            )
