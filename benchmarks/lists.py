"""What lists cost: time and memory to compile them, size of the image, growth of the serving process.

    python -m benchmarks.lists compile [--count 1000000] [--format domains ...]
    python -m benchmarks.lists reload [--count 100000] [--rounds 20]
    python -m benchmarks.lists read FILE ...        # lists from elsewhere: what is made of each

`compile` runs the child process of a reload, as the server does, on lists it makes up itself.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from resolver.lists.reader import ListLimits, ListReader
from resolver.policy.table import open_table

LINES = {
    "domains": "{}\n",
    "hosts": "0.0.0.0 {}\n",
    "wildcard": "*.{}\n",
    "adblock": "||{}^\n",
    "dnsmasq": "address=/{}/\n",
    "rpz": "{} CNAME .\n*.{} CNAME .\n",
    "rpz-comments": "{} CNAME . ; why it is listed\n",
    "rpz-absolute": "{}.rpz.example. 300 IN CNAME .\n",
    "rpz-addresses": "{} A 192.0.2.1\n",
    "domains-comments": "{} # why it is listed\n",
}
RPZ_HEAD = "$TTL 300\n$ORIGIN rpz.example.\n@ SOA localhost. root.localhost. 1 3600 600 86400 300\n"


COMPILER = "resolver.publishing.compiler"
"""The module whose main is the compile child."""


def make_names(count: int, seed: int = 1) -> Iterator[str]:
    """Names as real lists have them: two to four labels, 18 characters on average."""
    dice = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
    tops = ["com", "net", "org", "info", "xyz", "online", "co.uk", "ru", "top", "de"]
    for number in range(count):
        label = "".join(dice.choices(letters, k=dice.randint(3, 9))).strip("-") or "x"
        below = dice.choice(["", "", "www.", "ads.", "cdn-1.track."])
        yield f"{below}{label}{number:x}.{dice.choice(tops)}"


def write_list(path: Path, list_format: str, count: int) -> None:
    """A list of `count` names."""
    line = LINES[list_format]
    with path.open("w", encoding="ascii") as file:
        if list_format.startswith("rpz"):
            file.write(RPZ_HEAD)
        file.writelines(line.format(name, name) for name in make_names(count))


def write_blocklist(folder: Path, list_format: str) -> Path:
    """A blocklist of that one list."""
    path = folder / "blocklist.yaml"
    entry = {"name": "big", "path": "list.txt", "size_mb_max": 4096, "entries_max": 100_000_000}
    entry["format"] = list_format.partition("-")[0]
    path.write_text(f"version: 1\nexchanges: {{}}\nlists: {json.dumps([entry])}\n", encoding="utf-8")
    return path


def resident_octets() -> int:
    """Of this process, mapped images included."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def compile_formats(formats: list[str], count: int) -> None:
    """Print one line a format."""
    print(
        f"{'format':18}{'names':>12}{'child s':>9}{'CPU s':>7}{'peak MB':>9}"
        f"{'image MB':>10}{'octets/name':>13}"
    )
    for list_format in formats:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_list(folder / "list.txt", list_format, count)
            blocklist = write_blocklist(folder, list_format)
            words = [sys.executable, "-m", COMPILER, str(blocklist), "--out", str(folder)]
            began = time.monotonic()
            with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                result = json.loads(child.stdout.read())
                _, _, usage = os.wait4(child.pid, 0)
            took = time.monotonic() - began
            if result["image"] is None:
                print(list_format, result["problems"])
                continue
            size = Path(result["image"]).stat().st_size
            before = resident_octets()
            table = open_table(Path(result["image"]), 0.0, 0.0, 1)
            grown = resident_octets() - before
            names = result["counts"]["list_names"]
            print(
                f"{list_format:18}{names:>12,}{took:>9.2f}{usage.ru_utime + usage.ru_stime:>7.2f}"
                f"{usage.ru_maxrss / 1024:>9.0f}{size / 1e6:>10.1f}{grown / count:>13.1f}"
            )
            del table


def reload_often(count: int, rounds: int) -> None:
    """Print the process's memory after each reload, old tables let go of as the server does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocklist = write_blocklist(folder, "domains")
        table = None
        for number in range(rounds + 1):
            with (folder / "list.txt").open("w", encoding="ascii") as file:
                file.writelines(f"{text}\n" for text in make_names(count, seed=number))
            words = [sys.executable, "-m", COMPILER, str(blocklist), "--out", str(folder)]
            output = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
            image = Path(json.loads(output)["image"])
            table = open_table(image, 0.0, 0.0, number)
            image.unlink()
            gc.collect()
            print(f"reload {number:3}: {resident_octets() / 1e6:.1f} MB", flush=True)
        del table


def read_files(paths: list[Path]) -> None:
    """Print what is made of lists from elsewhere."""
    for path in paths:
        began = time.monotonic()
        reader = ListReader(path.read_bytes(), path.name, "auto", ListLimits(error_budget_percent=100))
        rules: Counter[str] = Counter()
        names: set[tuple[object, ...]] = set()
        for batch in reader.batches():
            rules[f"{batch.said.effect} {batch.said.form}"] += len(batch.names)
            names.update((batch.said.effect, batch.said.form, one) for one in batch.names)
        took = time.monotonic() - began
        print(
            f"{path}: {reader.format}, {sum(rules.values()):,} rules, {len(names):,} different, {took:.2f} s"
        )
        print(f"    {dict(rules)}  networks {len(reader.networks)}")
        print(f"    bad lines {reader.notes.bad_line_count}, skipped {dict(reader.notes.skipped)}")
        for problem in reader.problems()[:3]:
            print(f"    {problem}")


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("compile")
    command.add_argument("--count", type=int, default=1_000_000)
    command.add_argument("--format", nargs="+", choices=LINES, default=list(LINES))
    command = commands.add_parser("reload")
    command.add_argument("--count", type=int, default=100_000)
    command.add_argument("--rounds", type=int, default=20)
    command = commands.add_parser("read")
    command.add_argument("file", nargs="+", type=Path)
    options = parser.parse_args()
    if options.command == "compile":
        compile_formats(options.format, options.count)
    elif options.command == "reload":
        reload_often(options.count, options.rounds)
    else:
        read_files(options.file)


if __name__ == "__main__":
    main()
