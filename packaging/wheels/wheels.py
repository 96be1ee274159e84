"""The build backend: sdist and pure wheel by setuptools, and a wheel of the same name with the native engine.

Knows: the hooks of PEP 517 and 660, which wheels to make, maturin's command line.  Does not know: how two
wheels become one (grafting).
Theory: the native engine is one module for all Pythons from 3.11 on (abi3), so a platform has one wheel.  It
is compiled with zig as linker and C compiler, against a glibc older than the machine's; maturin then checks
that the module asks for nothing newer.
Settings, `python -m build -C engine=native -C target=aarch64-unknown-linux-gnu`:
  engine  auto: the pure wheel, and the platform's where Rust is found (default); python; native
  target  a target of Rust; default: this machine's, with the GNU C library
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from crates import bill, compilers_own, crates_of, licences
from dashboard import about_dashboard
from grafting import graft, lay_in
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)
from sources import RECORD, digest

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, str] | None
"""What `-C KEY=VALUE` gave."""

BUILDER = ["maturin>=1.7,<2", "ziglang>=0.13"]
"""What compiles the module; needed only where it is compiled."""

COMPATIBILITY = {"gnu": "manylinux_2_17", "musl": "musllinux_1_2"}
"""C library of a target -> the oldest systems its wheel runs on: glibc 2.17 (2012) is what Rust needs."""


class NoNativeEngine(Exception):
    """The platform wheel cannot be made; the text says why."""


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Hook of PEP 517: what the build needs beside `build-system.requires`."""
    needed: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    return needed + BUILDER if _wants_native(config_settings) and _cargo() else needed


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Hook of PEP 517: build the wheels into `wheel_directory`; the name of the one to install here.

    With `engine=auto` that is the platform's where it could be made; the pure one stands beside it.
    """
    _forget_earlier_builds()
    pure: str = build_meta.build_wheel(wheel_directory, None, metadata_directory)
    lay_in(Path(wheel_directory) / pure, about_dashboard(Path("resolver/dashboard/built")))
    if not _wants_native(config_settings):
        return pure
    must = _setting(config_settings, "engine") == "native"
    path = Path(wheel_directory) / pure
    try:
        native = _build_native(path, config_settings)
    except NoNativeEngine as error:
        if must:
            path.unlink()
            raise SystemExit(f"native engine not built: {error}") from None
        print(f"native engine left out: {error}", file=sys.stderr)
        return pure
    if must:
        path.unlink()
    return native


def _forget_earlier_builds() -> None:
    """setuptools packs whatever lies in `build/lib`: also modules that are gone from the sources since."""
    for left in (Path("build/lib"), *Path("build").glob("bdist.*")):
        shutil.rmtree(left, ignore_errors=True)


def _build_native(pure: Path, settings: Settings) -> str:
    """Compile the module and lay it into a copy of `pure`; that wheel's name.  Raises NoNativeEngine."""
    target = _setting(settings, "target") or f"{platform.machine()}-unknown-linux-gnu"
    cargo = _cargo()
    if cargo is None:
        raise NoNativeEngine("no Rust toolchain (cargo) on PATH or in ~/.cargo/bin")
    environment = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], str(cargo.parent)])}
    _demand_target(target, environment)
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "maturin", "build", "--release", "--locked", "--strip", "--zig"]
        words += ["--target", target, "--compatibility", COMPATIBILITY[target.rpartition("-")[2]]]
        words += ["--out", folder, "--manifest-path", "native/binding/Cargo.toml"]
        if subprocess.run(words, env=environment, check=False).returncode != 0:
            raise NoNativeEngine("maturin could not build it")
        [module] = Path(folder).glob("*.whl")
        crates = [*crates_of(target, environment), *compilers_own(target, environment)]
        about = {
            "sboms/native-engine.cdx.json": bill(crates),
            "licenses/NATIVE-ENGINE": licences(crates),
            RECORD: f"{digest(Path.cwd())}\n".encode(),
        }
        return graft(pure, module, about).name


def _demand_target(target: str, environment: dict[str, str]) -> None:
    """Raises NoNativeEngine where the toolchain has no standard library for the target."""
    if target.rpartition("-")[2] not in COMPATIBILITY:
        raise NoNativeEngine(f"{target} is no target with a C library of {', '.join(COMPATIBILITY)}")
    words = ["rustc", "--print", "target-libdir", "--target", target]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise NoNativeEngine(f"Rust knows no target {target}")
    if not list(Path(told.stdout.strip()).glob("libstd-*")):
        raise NoNativeEngine(f"the Rust toolchain has no {target} (rustup target add {target})")


def _wants_native(settings: Settings) -> bool:
    engine = _setting(settings, "engine") or "auto"
    if engine not in ("auto", "native", "python"):
        raise SystemExit(f"-C engine={engine}: must be auto, native or python")
    return engine != "python"


def _setting(settings: Settings, key: str) -> str | None:
    return (settings or {}).get(key)


def _cargo() -> Path | None:
    """Where cargo is, as `scripts/build-native.sh` looks for it."""
    usual = Path.home() / ".cargo" / "bin"
    found = shutil.which("cargo", path=os.pathsep.join([os.environ.get("PATH", ""), str(usual)]))
    return Path(found) if found else None
