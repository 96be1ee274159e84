"""Compile the modules of the request flow with mypyc, into a folder that `resolver.compiled` finds.

    python scripts/compile_modules.py [--is-current] FOLDER

With `--is-current` only the exit code says whether FOLDER holds a build of these sources.  Needs a C
compiler and Python's headers; to be run in the project's root folder.  FOLDER is replaced only by a whole
build.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from mypyc.build import mypycify
from setuptools import setup

from resolver.compiled import MANIFEST, Unfit, build_tag, fitting_files, source_digest

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


def build(folder: Path) -> None:
    """Compile into `folder`.  Leaves through SystemExit where the compiler fails."""
    sources = [str(path) for path in paths()]
    with tempfile.TemporaryDirectory() as work:
        built = Path(work, "built")
        extensions = mypycify(
            sources, opt_level=OPTIMISATION, debug_level="0", target_dir=str(Path(work, "c"))
        )
        setup(
            name="resolver-compiled",
            packages=[],
            ext_modules=extensions,
            script_args=[
                "-q",
                "build_ext",
                "--build-lib",
                str(built),
                "--build-temp",
                str(Path(work, "objects")),
            ],
        )
        modules = [module_of(path) for path in paths()]
        files = {
            str(path.relative_to(built)).split(".")[0].replace("/", "."): str(path.relative_to(built))
            for path in built.rglob("*.*")
            if path.is_file()
        }
        missing = set(modules) - files.keys()
        if missing:
            raise SystemExit(f"not compiled: {', '.join(sorted(missing))}")
        manifest = {
            "python": build_tag(),
            "sources": {module: source_digest(Path(), module) for module in modules},
            "files": files,
        }
        (built / MANIFEST).write_text(json.dumps(manifest, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(built, folder)


def is_current(folder: Path) -> bool:
    """Whether `folder` holds a build of exactly these sources."""
    try:
        files = fitting_files(folder, Path())
    except Unfit:
        return False
    return {module_of(path) for path in paths()} <= files.keys()


if __name__ == "__main__":
    if sys.argv[1] == "--is-current":
        sys.exit(not is_current(Path(sys.argv[2])))
    build(Path(sys.argv[1]))
