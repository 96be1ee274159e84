"""`python -m benchmarks`: measure, keep the raw readings, write the page.

Knows: the command line.  Nothing here passes or fails, but `abuse`: figures are shown beside the bar.

Without arguments every part is run and `docs/benchmarks.md` is written; otherwise the page goes beside
the raw readings.  Parts:
  contest  CPU per query of everyone: plain, EDNS, DO, IPv6
  throughput  queries per second that a plain dnsperf gets from everyone
  waits    the most per second, and the waits at a fixed rate, of everyone
  threads  CPU per query of one thread and of two, on one core and on two
  streams  CPU per query over TCP, TLS and HTTPS, of handshakes, and memory of idle connections
  starts   what 1,000,000 and 10,000,000 names add to our own starts
  reload   a reload under load, both engines
  register a reload of a register of --names records under load, both engines; only when named
  zones    from NOTIFY to a policy in force, a zone of --names names of BIND and NSD; only when named
  lists    load time and memory of everyone alone with --names names; only when named
  gathering  what the pause between turns of a native thread costs and saves; only when named
  records  what query records cost the native engine, sink by sink; only when named
  block_page  what a flood on the block page does to the waits of hits; only when named
  gates    what each step of the Python engine costs; only when named
  suggestions  how well look-alikes are found, on names that others collected; only when named
  abuse    memory and waits before, during and after attacks; exit 1 where one leaves a trace; only when named
  render   the page again from the readings that are there; only when named
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from benchmarks import results
from benchmarks.abuse import QUICK, Lengths, as_documents, measure_abuse
from benchmarks.abuse_catalogue import ATTACKS
from benchmarks.block_page import measure_block_page
from benchmarks.chart import draw
from benchmarks.field import CONTESTANTS, DEFAULT, Commands, Field, running_field, version_of
from benchmarks.figures import LOADS, Figures
from benchmarks.gathering import gathering_table, measure_gathering
from benchmarks.markdown import label_of, with_versions
from benchmarks.measure import server_cores
from benchmarks.packages import commands_inside
from benchmarks.page import CHART, CHART_TITLE, page, panels
from benchmarks.records import RATES, SINKS, measure_records
from benchmarks.reload import LOADS_UNDER, REGISTER, measure_reloads
from benchmarks.side_by_side import (
    QUERIES_PER_S,
    THREADS_FIELD,
    VARIANTS,
    Length,
    measure_all_waits,
    measure_cpu,
    measure_throughput,
)
from benchmarks.starts import measure_lists, measure_starts
from benchmarks.stream_bars import stream_bar_lines
from benchmarks.stream_loads import SHAPES
from benchmarks.streams import measure_streams
from benchmarks.workload import Workload
from benchmarks.zones import measure_zones, zones_table

PARTS = ("contest", "throughput", "waits", "threads", "streams", "starts", "reload")
PARTS_WITHOUT_A_PAGE = {
    "register",
    "zones",
    "gathering",
    "records",
    "block_page",
    "gates",
    "suggestions",
    "abuse",
}
"""What they read is printed."""
PARTS_WHEN_NAMED = ("lists", *sorted(PARTS_WITHOUT_A_PAGE), "render")
ENGINES = ("native", "python")
VARIANTS_OF_CONTEST = ("plain", "edns", "do", "ipv6")
NAMES_MANY = 10_000_000


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with a word where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[], help=f"of: {', '.join(PARTS + PARTS_WHEN_NAMED)}")
    parser.add_argument("--quick", action="store_true", help="ten minutes instead of an hour")
    parser.add_argument("--contestants", default=",".join(DEFAULT), help=f"of: {', '.join(CONTESTANTS)}")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="one more peer, or with NAME@WHICH another program of one beside the usual one",
    )
    parser.add_argument(
        "--packages",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="unpacked packages of another release: see benchmarks.packages",
    )
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--errors", choices=["", "A", "B"], default="", help="half to list, of suggestions")
    parser.add_argument(
        "--engine", choices=[*ENGINES, "both"], default="both", help="of abuse and block_page"
    )
    parser.add_argument("--attacks", default=",".join(ATTACKS), help=f"of abuse: {', '.join(ATTACKS)}")
    parser.add_argument(
        "--variants", default=",".join(VARIANTS_OF_CONTEST), help=f"of: {', '.join(VARIANTS)}"
    )
    parser.add_argument("--names", type=int, default=1_000_000, help="length of the list")
    parser.add_argument("--seconds", type=float, help="of each reading")
    parser.add_argument("--repeats", type=int, help="of each reading")
    parser.add_argument("--rate", type=int, default=QUERIES_PER_S, help="at which waits are read")
    parser.add_argument(
        "--start-minutes", type=float, default=3.0, help="a peer that takes longer is skipped"
    )
    parser.add_argument("--shapes", default=",".join(SHAPES), help="of loads, for `streams`")
    parser.add_argument(
        "--under",
        default=",".join(LOADS_UNDER),
        help=f"loads of `reload` and `register`, of: {', '.join(LOADS_UNDER)}",
    )
    parser.add_argument("--sinks", default=",".join(SINKS), help="of query records, for `records`")
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="per second, for `records`")
    parser.add_argument("--directory", type=Path, help="for lists and settings; kept when given")
    parser.add_argument("--out", type=Path, default=results.OUT, help="for the raw readings")
    parser.add_argument(
        "--page", type=Path, help="folder of the page; docs for a whole run and render, else that of --out"
    )
    arguments = parser.parse_args(words)
    if any("=" not in named for named in arguments.peer):
        parser.error("--peer takes NAME=PATH")
    commands = _commands(parser, arguments)
    wanted = [*arguments.contestants.split(","), *(name for name in commands if name not in DEFAULT)]
    for what, given, known in (
        ("parts", arguments.parts, PARTS + PARTS_WHEN_NAMED),
        ("contestants", [name.partition("@")[0] for name in wanted], tuple(CONTESTANTS)),
        ("loads", arguments.loads.split(","), LOADS),
        ("variants", arguments.variants.split(","), tuple(VARIANTS)),
        ("attacks", arguments.attacks.split(","), tuple(ATTACKS)),
        ("sinks", arguments.sinks.split(","), SINKS),
        ("shapes", arguments.shapes.split(","), SHAPES),
        ("under", arguments.under.split(","), LOADS_UNDER),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown:
            parser.error(f"unknown {what}: {', '.join(unknown)}; there are: {', '.join(known)}")
    arguments.commands, arguments.contestants = commands, list(dict.fromkeys(wanted))
    arguments.loads, arguments.variants = arguments.loads.split(","), arguments.variants.split(",")
    arguments.sinks = arguments.sinks.split(",")
    arguments.shapes = arguments.shapes.split(",")
    arguments.under = arguments.under.split(",")
    arguments.rates = [int(rate) for rate in arguments.rates.split(",")]
    # Only what is whole goes to the page that is shipped.
    is_whole = arguments.parts in ([], ["render"]) and not arguments.quick
    arguments.parts = arguments.parts or list(PARTS)
    if arguments.page is None:
        arguments.page = results.ROOT / "docs" if is_whole else arguments.out
    return arguments


def _commands(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Commands:
    """Words that run each peer which is not, or not only, the one on PATH."""
    found: Commands = {}
    for folder in arguments.packages:
        inside = commands_inside(folder)
        if not inside:
            parser.error(f"--packages {folder}: none of the peers is unpacked there")
        which = re.sub(r"[^\w.-]", "-", folder.resolve().name)
        found |= {f"{name}@{which}": words for name, words in inside.items()}
    for named in arguments.peer:
        name, _, path = named.partition("=")
        found[name] = (path,)
    return found


def lengths(arguments: argparse.Namespace) -> dict[str, Length]:
    """How long and how often each variant and each other part is read."""
    quick = arguments.quick

    def length(seconds: float, repeats: int, quick_seconds: float, quick_repeats: int) -> Length:
        usual = Length(quick_seconds, quick_repeats) if quick else Length(seconds, repeats)
        return Length(arguments.seconds or usual.seconds, arguments.repeats or usual.repeats)

    rare = length(2.0, 3, 0.8, 1)
    return {
        "plain": length(3.0, 5, 1.2, 3),
        "edns": rare,
        "do": rare,
        "ipv6": rare,
        "threads": length(3.0, 5, 1.0, 3),
        "throughput": length(3.0, 5, 0.8, 1),
        "waits": length(3.0, 3, 0.8, 1),
        "records": length(4.0, 5, 2.0, 1),
        "block_page": length(10.0, 5, 3.0, 1),
        "gathering": length(3.0, 9, 1.0, 3),
        "streams": length(3.0, 3, 1.0, 1),
        "starts": Length(0, arguments.repeats or (1 if quick else 3)),
        "reload": length(8.0, 5, 3.0, 2),
    }


def main() -> None:
    """Parse the arguments and run the parts that are wanted."""
    arguments = parse_arguments()
    # Ended from outside, it still stops every server it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    # Debian keeps servers where an ordinary user's PATH does not look.
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        directory = (arguments.directory or Path(temporary)).resolve()
        is_fine = run_parts(directory, arguments)
    if not set(arguments.parts) <= PARTS_WITHOUT_A_PAGE:
        write_page(arguments.out, arguments.page)
    if not is_fine:
        sys.exit(1)


def run_parts(directory: Path, arguments: argparse.Namespace) -> bool:
    """Every part that is wanted, each saved as soon as it is read; False: an attack has left a trace."""
    parts, length = arguments.parts, lengths(arguments)
    if {"contest", "throughput", "waits"} & set(parts):
        _field_parts(directory, arguments, length)
    if "threads" in parts:
        with _field(directory / "threads", arguments, THREADS_FIELD) as running:
            readings = measure_cpu(running, arguments.loads, {"threads": length["threads"]})
            _save_field(arguments, "threads", running, readings)
    if "streams" in parts:
        _streams(directory / "streams", arguments, length["streams"])
    if "starts" in parts:
        _starts(directory, arguments, length["starts"])
    if "reload" in parts:
        readings, absent = measure_reloads(
            directory, _engines(arguments), arguments.names, length["reload"], arguments.under
        )
        results.save(arguments.out, "reload", {"absent": absent, "readings": readings})
    if "register" in parts:
        readings, absent = measure_reloads(
            directory, _engines(arguments), arguments.names, length["reload"], arguments.under, REGISTER
        )
        results.save(arguments.out, "register", {"absent": absent, "readings": readings})
    if "zones" in parts:
        readings, absent = measure_zones(
            directory, _engines(arguments), arguments.names, length["starts"].repeats
        )
        results.save(
            arguments.out, "zones", {"names": arguments.names, "absent": absent, "readings": readings}
        )
        print(zones_table(readings))
    if "lists" in parts:
        readings, absent = measure_lists(
            directory,
            arguments.contestants,
            arguments.names,
            arguments.start_minutes * 60,
            arguments.commands,
        )
        results.save(
            arguments.out, "lists", {"names": arguments.names, "absent": absent, "readings": readings}
        )
    if "gathering" in parts:
        document = measure_gathering(directory, arguments.loads, arguments.names, length["gathering"])
        results.save(arguments.out, "gathering", document)
        print(gathering_table(document["readings"]))
    if "records" in parts:
        readings = measure_records(
            directory, arguments.names, length["records"], arguments.sinks, arguments.rates
        )
        results.save(arguments.out, "records", {"names": arguments.names, "readings": readings})
    if "block_page" in parts:
        readings = measure_block_page(directory, _wanted_engines(arguments), length["block_page"])
        results.save(arguments.out, "block_page", {"readings": readings})
    if "gates" in parts:
        # Imported late: it needs the rooms of the Python engine, which no other part looks into.
        from benchmarks.gates import report_gates

        report_gates(directory, arguments.names)
    if "suggestions" in parts:
        from benchmarks.suggestions import report_suggestions

        report_suggestions(directory, errors=arguments.errors)
    return "abuse" not in parts or _abuse(directory, arguments)


def _abuse(directory: Path, arguments: argparse.Namespace) -> bool:
    engines = _wanted_engines(arguments)
    lengths = QUICK if arguments.quick else Lengths()
    readings = measure_abuse(directory, engines, arguments.attacks.split(","), lengths)
    results.save(arguments.out, "abuse", {"readings": as_documents(readings)})
    return not any(reading.failures for reading in readings)


def _wanted_engines(arguments: argparse.Namespace) -> list[str]:
    return [engine for engine in ENGINES if arguments.engine in (engine, "both")]


def _engines(arguments: argparse.Namespace) -> list[str]:
    return [engine for engine in ENGINES if engine in arguments.contestants]


def _field(
    directory: Path, arguments: argparse.Namespace, names: tuple[tuple[str, tuple[int, ...]], ...]
) -> AbstractContextManager[Field]:
    return running_field(
        directory,
        names,
        Workload(directory, arguments.names),
        commands=arguments.commands,
        start_s_max=arguments.start_minutes * 60,
    )


def _field_parts(directory: Path, arguments: argparse.Namespace, length: dict[str, Length]) -> None:
    names = tuple((name, server_cores(1)) for name in arguments.contestants)
    with _field(directory / "field", arguments, names) as running:
        if "contest" in arguments.parts:
            wanted = {variant: length[variant] for variant in arguments.variants if variant != "threads"}
            _save_field(arguments, "contest", running, measure_cpu(running, arguments.loads, wanted))
        if "throughput" in arguments.parts:
            readings = measure_throughput(running, arguments.loads, length["throughput"])
            _save_field(arguments, "throughput", running, readings)
        if "waits" in arguments.parts:
            readings = measure_all_waits(
                running, arguments.loads, length["waits"], arguments.rate, directory / "field"
            )
            _save_field(arguments, "waits", running, readings)


def _save_field(
    arguments: argparse.Namespace, part: str, running: Field, readings: list[dict[str, object]]
) -> None:
    document = {
        "names": arguments.names,
        "rate": arguments.rate,
        "versions": {key: version_of(key.split()[0], arguments.commands) for key in running.entrants},
        "started": {
            key: {"load_s": entrant.load_s, "memory_mb": entrant.memory_mb}
            for key, entrant in running.entrants.items()
        },
        "absent": running.absent,
        "readings": readings,
    }
    results.save(arguments.out, part, document)


def _streams(directory: Path, arguments: argparse.Namespace, length: Length) -> None:
    document = measure_streams(
        directory,
        [name for name in arguments.contestants if name != "echo"],
        arguments.names,
        length,
        commands=arguments.commands,
        start_s_max=arguments.start_minutes * 60,
        shapes=arguments.shapes,
    )
    results.save(arguments.out, "streams", document)
    for line in stream_bar_lines(Figures(results.load(arguments.out))):
        print(f"{line.what}: {line.measured or 'not measured'} (bar {line.limit}): {line.verdict()}")


def _starts(directory: Path, arguments: argparse.Namespace, length: Length) -> None:
    readings, absent = measure_starts(directory, _engines(arguments), arguments.names, length.repeats)
    if not arguments.quick and arguments.names < NAMES_MANY:
        many, _ = measure_starts(directory, _engines(arguments), NAMES_MANY, 1)
        readings += many
    results.save(arguments.out, "starts", {"absent": absent, "readings": readings})


def write_page(out: Path, folder: Path) -> None:
    """The page and its chart, from the readings in `out`."""
    figures = Figures(results.load(out))
    folder.mkdir(parents=True, exist_ok=True)
    called = with_versions(CONTESTANTS, figures.versions())
    labels = {key: label_of(key, called) for key in figures.contestants("contest")}
    (folder / "benchmarks.md").write_text(page(figures, CONTESTANTS))
    (folder / CHART).write_text(draw(CHART_TITLE, panels(figures), labels))
    with suppress(ValueError):
        folder = folder.relative_to(Path.cwd())
    print(f"{folder / 'benchmarks.md'} and {CHART} written")


if __name__ == "__main__":
    main()
