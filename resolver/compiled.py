"""The modules of the request flow as machine code, in place of their sources where they fit.

Knows: where a build lies, what it was made from, how Python finds modules.  Does not know: what
the modules do.
Theory: a build is taken whole or not at all.  Its modules know the layout of one another's objects,
and a source that was edited must never lie hidden behind an old build: a manifest tells the digest of
every source, and one difference turns the build down.  Only the program itself calls `use`; whoever
imports the package otherwise, as tests and child processes do, gets the sources.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = "resolver_compiled"
"""The folder of site-packages with the build: made by `scripts/compile_modules.py`."""

MANIFEST = "manifest.json"
"""In that folder, by module: `sources` SHA-256 of what went into the build, `files` [name in the folder,
SHA-256]; `python` (`build_tag`) and `recipe`, which only the builder reads."""

LIBRARY_SUFFIX = "__mypyc"
"""Ends the name of the module that has the code; those of the sources' names only point into it."""

PROBE = "resolver.service"
"""A module that every build has."""

_why_not = "nobody asked for a build"


class Unfit(Exception):
    """There is no build, or not one of these sources; the text says which."""


def use() -> None:
    """Take the compiled modules from now on, if they fit.  Call before any of them is imported."""
    global _why_not
    finder = None
    try:
        files = find()
        finder = _Finder(files)
        sys.meta_path.insert(0, finder)
        for module in files:
            if module.endswith(LIBRARY_SUFFIX):
                importlib.import_module(module)
    except (Unfit, ImportError) as error:
        _why_not = str(error)
        if finder is not None:
            sys.meta_path.remove(finder)


def is_in_use() -> bool:
    """Whether this process runs compiled modules."""
    module = sys.modules.get(PROBE)
    return isinstance(getattr(module, "__loader__", None), importlib.machinery.ExtensionFileLoader)


def describe() -> str:
    """One line for people: what runs, and why not the other."""
    return "Python modules: " + ("compiled" if is_in_use() else f"interpreted ({_why_not})")


def build_folder() -> Path:
    """Where the build of this environment lies."""
    return Path(sysconfig.get_path("platlib"), PACKAGE)


def find() -> dict[str, Path]:
    """The files of this environment's build, by module.  Raises Unfit."""
    return fitting_files(build_folder(), Path(__file__).parent.parent)


def fitting_files(folder: Path, root: Path) -> dict[str, Path]:
    """The files of the build in `folder` by module, if whole and made of the sources under `root`.

    Raises Unfit.
    """
    if not folder.is_dir():
        raise Unfit("they are not compiled")
    found = {}
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["python"] != build_tag():
            raise Unfit(f"they are compiled for {manifest['python']}, this is {build_tag()}")
        for module, digest in manifest["sources"].items():
            if digest_of(source_of(root, module)) != digest:
                raise Unfit(f"{module} has changed since they were compiled")
        for module, (name, digest) in manifest["files"].items():
            found[module] = folder / name
            if digest_of(found[module]) != digest:
                raise Unfit(f"the compiled file {name} is damaged")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unfit(f"the build cannot be read: {error}") from None
    return found


def build_tag() -> str:
    """The Python that a build must be made for: implementation, version and platform."""
    return f"{importlib.machinery.EXTENSION_SUFFIXES[0]} {sys.hexversion:x}"


def source_of(root: Path, module: str) -> Path:
    """The file of a module or package under `root`."""
    path = root / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.  Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of a build before Python looks for their sources."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        file = self._files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)
