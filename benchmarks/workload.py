"""Names and queries: a list of blocked names, names that exist, and the four loads asked of everyone.

Knows: made-up names under three wildcard zones, dnsperf's input format.  Does not know: any server.

`hot`    10,000 names, asked again and again: all cached.
`block`  names of the list, and names under them.
`mix`    80 % of the hot names (log-uniform popularity), 15 % blocked, 5 % never asked before.
`miss`   names never asked before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

LOADS = ("hot", "block", "mix", "miss")
LOADS_REPEATED = ("hot", "block")
"""Loads whose names may be asked again."""
TOP_LABELS = ("com", "net", "org")
"""Wildcard zones of the upstream; nothing leaves the machine."""
TTL_S = 86_400
"""Of what the upstream answers: a day, so that nothing that is cached runs out before the last round."""
HOT_NAMES = 10_000
ALLOWED_NAMES = 200_000
QUERIES = 200_000
"""Lines of a file that dnsperf repeats."""
FRESH_QUERIES_PER_S = 200_000
"""Lines for each second of a load whose names must not come twice: more than one core asks or answers."""

_ONSETS = (
    *(c + v for c, v in zip("bcdfghjklmnprstvwxyz", "aoaeioauoiuaoaeuoaeo", strict=True)),
    "tra",
    "ble",
    "shi",
)
_CODAS = (
    "ba",
    "cor",
    "dan",
    "fel",
    "gim",
    "hop",
    "jut",
    "kal",
    "lom",
    "mix",
    "nut",
    "pan",
    "rik",
    "sol",
    "tex",
)


def _names(source: random.Random) -> Iterator[str]:
    words = [onset + coda for onset in _ONSETS for coda in _CODAS]
    while True:
        digits = str(source.randint(0, 99)) if source.random() < 0.3 else ""
        parts = source.choice(words) + source.choice(words) + digits + source.choice(words)
        yield f"{parts}.{source.choice(TOP_LABELS)}"


def _make_up_names(list_path: Path, allowed_path: Path, blocked_count: int) -> None:
    names = _names(random.Random(7))
    blocked: dict[str, None] = {}
    while len(blocked) < blocked_count:
        blocked[next(names)] = None
    allowed: dict[str, None] = {}
    while len(allowed) < ALLOWED_NAMES:
        name = next(names)
        if name not in blocked:
            allowed[name] = None
    for path, these in ((list_path, blocked), (allowed_path, allowed)):
        with path.open("w") as file:
            file.writelines(f"{name}\n" for name in these)


class Workload:
    """The files of one run; the names are the same in every run of the same size."""

    def __init__(self, directory: Path, blocked_count: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.list_path = directory / f"blocked-{blocked_count}.txt"
        allowed_path = directory / f"allowed-{blocked_count}.txt"
        # Ten million names take a minute to make up: a directory that is kept keeps them.
        if not allowed_path.exists():
            _make_up_names(self.list_path, allowed_path, blocked_count)
        self.blocked = self.list_path.read_text().split()
        self.allowed = allowed_path.read_text().split()
        self.hot = [f"www.{name}" for name in self.allowed[:HOT_NAMES]]
        self._fresh = random.Random(time.time_ns())

    def queries(self, load: str, seconds: float = 2.0) -> Path:
        """A file of queries for `load`; `mix` and `miss` are new at every call, and last `seconds`."""
        path = self.directory / f"queries-{load}-{len(self.blocked)}.txt"
        if load in LOADS_REPEATED and path.exists():
            return path
        source, fresh_count = random.Random(11), int(FRESH_QUERIES_PER_S * seconds)
        if load == "hot":
            names: Iterator[str] = iter(source.choices(self.hot, k=QUERIES))
        elif load == "block":
            names = (
                source.choice(("", "www.", "api.")) + name for name in source.choices(self.blocked, k=QUERIES)
            )
        elif load == "mix":
            names = self._mix(fresh_count)
        else:
            names = (self._never_asked() for _ in range(fresh_count))
        path.write_text("".join(f"{name} A\n" for name in names))
        return path

    def warm_up(self) -> Path:
        """Each hot name once, so that everyone has them cached."""
        path = self.directory / "queries-warm.txt"
        path.write_text("".join(f"{name} A\n" for name in self.hot))
        return path

    def _never_asked(self) -> str:
        return f"r{self._fresh.getrandbits(48):x}.{self._fresh.choice(self.allowed)}"

    def _mix(self, count: int) -> Iterator[str]:
        source = self._fresh
        for _ in range(count):
            kind = source.random()
            if kind < 0.80:
                yield self.hot[int(HOT_NAMES ** source.random()) - 1]
            elif kind < 0.95:
                yield f"www.{source.choice(self.blocked)}"
            else:
                yield self._never_asked()
