"""`python -m benchmarks`: every measurement, one after the other, as text.

Knows: the command line.  Nothing here passes or fails: figures are printed beside the bar.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.side_by_side import run_contest, table
from benchmarks.workload import LOADS

PARTS = ("contest", "starts", "reload", "gates")


def main() -> None:
    """Parse the arguments and run the parts that are wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help=f"any of: {', '.join(PARTS)}; default: all")
    parser.add_argument("--peers", default="echo,unbound,ours", help=f"of: {', '.join(CONTESTANTS)}")
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--names", type=int, default=1_000_000, help="length of the list")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of each load, each contestant, each repeat"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dnsperf", default="", help="more flags for dnsperf, such as '-e -D'")
    parser.add_argument("--directory", type=Path, help="where the files go; kept when given")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # Debian keeps servers where an ordinary user's PATH does not look.
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        directory = (arguments.directory or Path(temporary)).resolve()
        for part in arguments.parts or PARTS:
            print(f"== {part}", flush=True)
            _run(part, directory, arguments)


def _run(part: str, directory: Path, arguments: argparse.Namespace) -> None:
    # Imported late: each part needs other programs and other rooms of the package.
    if part == "contest":
        loads = tuple(arguments.loads.split(","))
        contest = run_contest(
            directory,
            arguments.peers.split(","),
            loads=loads,
            blocked_count=arguments.names,
            seconds=arguments.seconds,
            repeats=arguments.repeats,
            flags=arguments.dnsperf.split(),
        )
        print(table(contest, loads))
    elif part == "starts":
        from benchmarks.starts import report_starts

        report_starts(directory, arguments.names, arguments.repeats)
    elif part == "reload":
        from benchmarks.reload import report_reload

        report_reload(directory, arguments.names, arguments.repeats)
    else:
        from benchmarks.gates import report_gates

        report_gates(directory, arguments.names)


if __name__ == "__main__":
    main()
