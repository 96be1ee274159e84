"""Compile the modules of the request flow with mypyc, into a folder that `resolver.compiled` finds.

    python scripts/compile_modules.py [--is-current] FOLDER

With `--is-current` only the exit code says whether FOLDER holds a build of these sources.  Needs a C
compiler and Python's headers; to be run in the project's root folder.  FOLDER is replaced only by a whole
build.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import tempfile
from modulefinder import ModuleFinder
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from resolver.compiled import MANIFEST, Unfit, build_tag, digest_of, fitting_files, source_of

ROOMS = ("wire", "cache", "forwarding", "local")
"""Every module of these rooms, and of the rest those that a query passes."""

MODULES = (
    "access",
    "memo",
    "outcome",
    "redirect",
    "replies",
    "service",
    "storing",
    "waiting",
    "listeners/mmsg",
    "listeners/reporter",
    "listeners/udp",
    "observe/tally",
    "policy/answer",
    "policy/image",
    "policy/name_table",
    "policy/rules",
    "policy/table",
    "policy/verdict",
)

LEFT_OUT = {"cache/native_cache"}
"""Of the rooms: speaks for another compiled module."""

OPTIMISATION = "1"
"""gcc's level: 3 takes twice as long to build and answers no faster."""


def paths() -> list[Path]:
    """The sources to compile, relative to the root."""
    names = set(MODULES)
    for room in ROOMS:
        names |= {f"{room}/{path.stem}" for path in Path("resolver", room).glob("*.py")}
    return sorted(
        Path("resolver", f"{name}.py") for name in names - LEFT_OUT if not name.endswith("/__init__")
    )


def module_of(path: Path) -> str:
    """The dotted name of a source."""
    return str(path.with_suffix("")).replace("/", ".")


def ingredients() -> list[str]:
    """What goes into the build: the modules compiled, and all they import, for their types are built in."""
    finder = ModuleFinder(path=[str(Path.cwd())])
    for path in paths():
        finder.import_hook(module_of(path))
    return sorted(name for name in finder.modules if name.split(".")[0] == "resolver")


def recipe() -> str:
    """What else the build depends on: this script, and the compiler's version."""
    return f"{digest_of(Path(__file__))} mypyc {importlib.metadata.version('mypy')}"


def is_current(folder: Path) -> bool:
    """Whether `folder` holds a build of exactly these sources, by this recipe."""
    try:
        fitting_files(folder, Path.cwd())
        return bool(json.loads((folder / MANIFEST).read_text()).get("recipe") == recipe())
    except (Unfit, importlib.metadata.PackageNotFoundError):
        return False


def build(folder: Path) -> None:
    """Compile into `folder`.  Leaves through SystemExit where the compiler fails."""
    # Only here: to see that a build is current must not need a compiler.
    from mypyc.build import mypycify
    from setuptools import setup

    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work:
        extensions = mypycify(
            [str(path) for path in paths()],
            opt_level=OPTIMISATION,
            debug_level="0",
            target_dir=str(Path(work, "c")),
        )
        setup(
            name="resolver-compiled",
            packages=[],
            ext_modules=extensions,
            script_args=[
                "-q",
                "build_ext",
                "--build-lib",
                str(new),
                "--build-temp",
                str(Path(work, "objects")),
            ],
        )
    built = sorted(path.relative_to(new) for path in new.rglob("*") if path.is_file())
    files = {".".join((*path.parent.parts, path.name.split(".")[0])): path for path in built}
    missing = {module_of(path) for path in paths()} - files.keys()
    if missing:
        raise SystemExit(f"not compiled: {', '.join(sorted(missing))}")
    manifest = {
        "python": build_tag(),
        "recipe": recipe(),
        "sources": {module: digest_of(source_of(Path.cwd(), module)) for module in ingredients()},
        "files": {module: [str(path), digest_of(new / path)] for module, path in files.items()},
    }
    (new / MANIFEST).write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


if __name__ == "__main__":
    if sys.argv[1] == "--is-current":
        sys.exit(not is_current(Path(sys.argv[2])))
    build(Path(sys.argv[1]))
