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
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = "resolver_compiled"
"""The folder of site-packages with the build: made by `scripts/compile_modules.py`."""

MANIFEST = "manifest.json"
"""In that folder: `python` (`build_tag`), `sources` {module: SHA-256}, `files` {module: its file there}."""

PROBE = "resolver.service"
"""A module that every build has."""


class Unfit(Exception):
    """There is no build, or not one of these sources; the text says which."""


def use() -> None:
    """Take the compiled modules from now on.  Raises Unfit.  Call before any of them is imported."""
    sys.meta_path.insert(0, _Finder(find()))


def find() -> dict[str, Path]:
    """The files of this installation's build, by module.  Raises Unfit."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise Unfit("the modules are not compiled")
    return fitting_files(Path(folders[0]), Path(__file__).parent.parent)


def is_in_use() -> bool:
    """Whether this process runs compiled modules."""
    module = sys.modules.get(PROBE)
    return isinstance(getattr(module, "__loader__", None), importlib.machinery.ExtensionFileLoader)


def fitting_files(folder: Path, root: Path) -> dict[str, Path]:
    """The files of the build in `folder` by module, if made of the sources under `root`.  Raises Unfit."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        built_for, sources, files = manifest["python"], manifest["sources"], manifest["files"]
        if built_for != build_tag():
            raise Unfit(f"the modules are compiled for {built_for}, this is {build_tag()}")
        for module, digest in sources.items():
            if source_digest(root, module) != digest:
                raise Unfit(f"{module} has changed since the modules were compiled")
        found = {module: folder / file for module, file in files.items()}
        for file in found.values():
            if not file.is_file():
                raise Unfit(f"the compiled modules lack {file.name}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unfit(f"the compiled modules cannot be read: {error}") from None
    return found


def build_tag() -> str:
    """The Python that a build must be made for: implementation, version and platform."""
    return f"{importlib.machinery.EXTENSION_SUFFIXES[0]} {sys.hexversion:x}"


def source_digest(root: Path, module: str) -> str:
    """SHA-256 of a module's source, in hexadecimal.  Raises OSError."""
    return hashlib.sha256((root / module.replace(".", "/")).with_suffix(".py").read_bytes()).hexdigest()


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
