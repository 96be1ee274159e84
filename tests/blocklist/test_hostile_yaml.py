"""Hostile files are refused within 2 s of CPU and 200 MB, measured in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

MB = 1 << 20
MEMORY_OCTETS_MAX = 200 * MB
CPU_S_MAX = 2.0

READER = textwrap.dedent(
    """
    import resource, sys, time
    from pathlib import Path
    from resolver.blocklist.reader import read_blocklist
    from resolver.config.settings import load_settings

    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), int(sys.argv[3])))
    started = time.process_time()
    value, problems = (read_blocklist if sys.argv[1] == "blocklist" else load_settings)(Path(sys.argv[2]))
    print(time.process_time() - started)
    print(value is None)
    print(problems[0])
    """
)


def sparse(path: Path, octets: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(octets)


def bomb() -> bytes:
    """Nine levels of nine aliases: 400 million values, were they ever followed."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines).encode()


HOSTILE: dict[str, tuple[Callable[[], bytes] | int, str]] = {
    "300 MB": (300, "too large"),
    "60 MB of NUL": (60, "NUL"),
    "alias bomb": (bomb, "anchors"),
    "a million aliases": (lambda: b"a:\n" + b"- *x\n" * 1_000_000, "aliases"),
    "flow nesting": (lambda: b"[\n" * 100_000, "levels deep"),
    "flow nesting in one line": (lambda: b"[" * 100_000, "line is longer"),
    "flow nesting in one short line": (lambda: b"[" * 60_000, "levels deep"),
    "flow mappings": (lambda: b"{a:\n" * 100_000, "levels deep"),
    "block nesting": (lambda: b"- " * 32_000, "levels deep"),
    "block nesting in one line": (lambda: b"- " * 100_000, "line is longer"),
    "explicit keys": (lambda: b"? " * 32_000, "a key must be"),
    "block mappings": (lambda: b"".join(b" " * n + b"a:\n" for n in range(2_000)), "levels deep"),
    "a NUL at the end": (lambda: b"a: 1\n" * 1_000_000 + b"\0", "NUL"),
    "invalid UTF-8 at the end": (lambda: b"# x\n" * 15_000_000 + b"\xff", "not UTF-8"),
    "a million duplicate keys": (lambda: b"a: 1\n" * 1_000_000, "duplicate"),
    "a line of 1 MB": (lambda: b"a: " + b"x" * MB, "line is longer"),
    "one folded value of 60 MB": (lambda: b"a: x\n" + b"  xxxxxxx\n" * 6_000_000, "here is longer than"),
    "one quoted value of 60 MB": (lambda: b'a: "x\n' + b"  xxxxxxx\n" * 6_000_000, "here is longer than"),
    "one literal value of 60 MB": (lambda: b"a: |\n" + b"  xxxxxxx\n" * 6_000_000, "here is longer than"),
    "60 MB of comment": (lambda: b"# xxxxxxx\n" * 6_000_000, "here is longer than"),
    "lines of apostrophes and an open quote": (
        lambda: (b"- " + b"x'" * 4_000 + b"\n") * 200 + b"- 'x\n",
        "is not closed",
    ),
    "a line of quotes": (lambda: b"a: [" + b"'x'," * 16_000, "not readable"),
    "many lines of quotes, the last one open": (lambda: b"- 'x'\n" * 200_000 + b"- 'x\n", "is not closed"),
    "many lines, and an open quote": (lambda: b"- x\n" * 200_000 + b"- 'x\n", "is not closed"),
    "two documents": (lambda: b"a: 1\n---\nb: 1\n", "second document"),
    "tags": (lambda: b"a: !!python/object/apply:os.system ['true']\n", "tags"),
}


@pytest.mark.timed
@pytest.mark.parametrize(
    ("kind", "case"),
    [
        *(pytest.param("blocklist", case, marks=pytest.mark.slow) for case in HOSTILE),
        # One reader serves both files; these show that settings go through it.
        *(("settings", case) for case in ("300 MB", "alias bomb", "flow nesting", "a NUL at the end")),
    ],
)
def test_hostile_file_is_refused_in_time_and_memory(kind: str, case: str, tmp_path: Path) -> None:
    content, part = HOSTILE[case]
    path = tmp_path / "hostile.yaml"
    if isinstance(content, int):
        sparse(path, content * MB)
    else:
        path.write_bytes(content())
    run = subprocess.run(
        [sys.executable, "-c", READER, kind, str(path), str(MEMORY_OCTETS_MAX)],
        capture_output=True, text=True, timeout=60, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    cpu_s, refused, first = run.stdout.splitlines()
    assert refused == "True"
    assert part in first
    assert first.startswith(str(path))
    assert float(cpu_s) < CPU_S_MAX


@pytest.mark.slow
def test_the_memory_limit_of_these_tests_bites(tmp_path: Path) -> None:
    path = tmp_path / "fine.yaml"
    path.write_text("version: 1\nexchanges: {}\n")
    run = subprocess.run(
        [sys.executable, "-c", READER.replace("started =", "bytes(2**28); started =", 1), "blocklist", str(path),
         str(MEMORY_OCTETS_MAX)],
        capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "MemoryError" in run.stderr
