"""Loads the programs of `packaging/`, which are no package."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def _load(folder: str, name: str) -> ModuleType:
    path = str(ROOT / "packaging" / folder)
    sys.path.insert(0, path)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(path)


def backend(name: str) -> ModuleType:
    """A module of the build backend."""
    return _load("wheels", name)


def tool(name: str) -> ModuleType:
    """A module of `packaging/tools`."""
    return _load("tools", name)


def files_of_the_repository(*parts: str) -> list[str]:
    """Paths of the files that git has below these, links as what they lead to."""
    words = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", *parts]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    return [path.decode() for path in told.stdout.split(b"\0") if path]
