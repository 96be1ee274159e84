"""Tells whether a wheel is one of these sources: what is packed must be what lies here.

Knows: which files make the program and its engine.  Does not know: how a wheel is built, git.
Theory: the program's files are in the wheel as they are, so they are compared.  What is compiled is known by
a number over its sources, which the build writes into the wheel.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "resolver"
RECORD = "engine-sources.sha256"
"""The file of `.dist-info` that has the number."""

BUILT_OF = (
    "native",
    "packaging/wheels",
    "config/prometheus",
    "config/grafana",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
"""What makes everything in a wheel but the program's own files."""

NOT_SOURCES = frozenset((".pyc", ".pyo", ".so", ".image"))
NO_SOURCES_IN = frozenset(("__pycache__", "target"))


def files_below(root: Path, part: str) -> Iterator[Path]:
    """The sources of a file or folder below `root`, in order."""
    start = root / part
    found = [start] if start.is_file() else sorted(start.rglob("*"))
    for path in found:
        inner = path.relative_to(root)
        if path.is_file() and path.suffix not in NOT_SOURCES and path.name != ".gitkeep":
            if not NO_SOURCES_IN.intersection(inner.parts):
                yield path


def digest(root: Path) -> str:
    """The number of all that the engine and the wheel's metadata are built of."""
    total = hashlib.sha256()
    for part in BUILT_OF:
        for path in files_below(root, part):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{content} {path.relative_to(root).as_posix()}\n".encode())
    return total.hexdigest()


def differences(wheel: Path, root: Path) -> list[str]:
    """Why this wheel is not of the sources in `root`, a line each; none: it is.

    Raises OSError and BadZipFile.
    """
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        found = [name for name in names if name.endswith(f".dist-info/{RECORD}")]
        told = packed.read(found[0]).decode().strip() if found else ""
        inside = {name: packed.read(name) for name in names if name.startswith(f"{PACKAGE}/")}
    here = {path.relative_to(root).as_posix(): path for path in files_below(root, PACKAGE)}
    reasons = [f"{name} is in it, and not here" for name in sorted(inside.keys() - here.keys())]
    reasons += [f"{name} is not in it" for name in sorted(here.keys() - inside.keys())]
    common = sorted(here.keys() & inside.keys())
    reasons += [f"{name} is another" for name in common if inside[name] != here[name].read_bytes()]
    if told != digest(root):
        reasons.append(
            "its engine was built of other sources" if told else "it does not say what it was built of"
        )
    return reasons
