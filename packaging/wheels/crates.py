"""What is linked into the native engine: a list of components (CycloneDX), and the licences it came with.

Knows: `cargo tree` and `cargo metadata`, what the compiler adds of its own, CycloneDX 1.5.  Does not know:
wheels, Python's packages.
Theory: a module of Rust holds its crates, and Rust's standard library with the crates that this is made of;
where zig links, also zig's own runtime: parts of LLVM's compiler-rt and libunwind.
"""

from __future__ import annotations

import html
import importlib.metadata
import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "native/Cargo.toml"
PACKAGE = "resolver-native"
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT")
"""How a file begins that says under what one may use the rest."""


NOT_LINKED = frozenset(
    ("getopts", "proc_macro", "test", "rustc_literal_escaper", "panic_abort", "profiler_builtins", "sysroot")
)
"""Crates of Rust's library that this module has nothing of: for tests, the compiler, other settings."""
RUSTS_OWN = ("alloc", "core", "panic_unwind", "std", "std_detect", "unwind", "rustc_std_workspace")
"""Those that are the library itself."""

STD_NOTICES = "share/doc/rust/COPYRIGHT-library.html"
"""In the toolchain: what its library is made of, with versions and licences."""
STD_LICENCES = ("Apache-2.0", "MIT", "Unicode-3.0", "LLVM-exception")
"""Those of the library's own files: texts below `share/doc/rust/licenses`."""
RUST, ZIG = "rust-std", "zig-runtime"


class Crate(NamedTuple):
    """One crate that is linked into the module."""

    name: str
    version: str
    licence: str
    """As its author wrote it, an SPDX expression by now and then with `/` for OR."""
    folder: Path
    """Its source, with the texts of its licences."""
    kind: str = "cargo"
    """As a package URL calls it; `generic`: it is in no registry of crates."""
    texts: tuple[tuple[str, str], ...] = ()
    """Licences that are no files of `folder`: name and text."""


def crates_of(target: str, environment: dict[str, str]) -> list[Crate]:
    """What is linked into the module for a target of Rust, our own crates left out.

    Raises CalledProcessError.  `cargo tree` knows which features are on, `cargo metadata` where sources lie.
    """
    common = ["--locked", "--manifest-path", MANIFEST]
    words = [
        "cargo",
        "tree",
        *common,
        "--package",
        PACKAGE,
        "--edges",
        "normal,no-proc-macro",
        "--target",
        target,
    ]
    tree = _run([*words, "--prefix", "none", "--format", "{p}"], environment)
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    told = _run(["cargo", "metadata", *common, "--format-version", "1"], environment)
    return sorted(
        Crate(one["name"], one["version"], one["license"] or "", Path(one["manifest_path"]).parent)
        for one in json.loads(told)["packages"]
        if one["source"] and (one["name"], f"v{one['version']}") in linked
    )


def compilers_own(target: str, environment: dict[str, str]) -> list[Crate]:
    """What the compiler and the linker put into the module: Rust's standard library, zig's runtime.

    Raises CalledProcessError.  Versions and texts are there as far as the toolchain brings them along.
    """
    verbose = _run(["rustc", "-vV"], environment)
    [release] = re.findall(r"^release: (\S+)$", verbose, re.MULTILINE)
    sysroot = Path(_run(["rustc", "--print", "sysroot"], environment).strip())
    libraries = Path(_run(["rustc", "--print", "target-libdir", "--target", target], environment).strip())
    linked = {path.stem.removeprefix("lib").rpartition("-")[0] for path in libraries.glob("lib*.rlib")}
    folder = sysroot / "share/doc/rust/licenses"
    texts = [(name, folder / f"{name}.txt") for name in STD_LICENCES]
    kept = tuple((name, path.read_text("utf-8", "replace")) for name, path in texts if path.is_file())
    licence = "(Apache-2.0 OR MIT) AND Unicode-3.0 AND (Apache-2.0 WITH LLVM-exception)"
    notices = sysroot / STD_NOTICES
    wanted = {name for name in linked - NOT_LINKED if not name.startswith(RUSTS_OWN)}
    told = _crates_in(notices.read_text("utf-8", "replace"), wanted) if notices.is_file() else []
    # Of some the page has no word: they are there, under terms of the library's own.
    untold = wanted - {crate.name.replace("-", "_") for crate in told}
    more = [Crate(name, f"rust-{release}", "", Path(), "generic", kept) for name in sorted(untold)]
    return [Crate(RUST, release, licence, Path(), "generic", kept), *told, *more, *_zig()]


def _crates_in(notices: str, linked: set[str]) -> list[Crate]:
    """The crates of Rust's library that are linked, out of the page that comes with it."""
    found = []
    for part in notices.split("<h3>")[1:]:
        head, _, body = part.partition("</h3>")
        name, _, version = head.split()[-1].rpartition("-")
        if name.replace("-", "_") in linked:
            text = html.unescape(re.sub(r"<[^>]*>", "", body)).strip()
            [licence] = re.findall(r"License: (.*)", text)[:1] or [""]
            found.append(Crate(name, version, licence, Path(), "cargo", (("notices", text),)))
    return found


def _zig() -> list[Crate]:
    try:
        about = importlib.metadata.distribution("ziglang")
    except importlib.metadata.PackageNotFoundError:
        return []
    wanted = ("ziglang/LICENSE", "ziglang/lib/libunwind/LICENSE.TXT")
    kept = [(str(path), Path(str(path.locate()))) for path in about.files or () if str(path) in wanted]
    texts = tuple((name, path.read_text("utf-8", "replace")) for name, path in kept if path.is_file())
    licence = "MIT AND (Apache-2.0 WITH LLVM-exception)"
    return [Crate(ZIG, about.version, licence, Path(), "generic", texts)]


def _run(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def components(crates: list[Crate]) -> list[dict[str, Any]]:
    """Components of CycloneDX, one for each crate."""
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:{crate.kind}/{crate.name}@{crate.version}",
            "name": crate.name,
            "version": crate.version,
            "purl": f"pkg:{crate.kind}/{crate.name}@{crate.version}",
            "licenses": [{"expression": expression}]
            if (expression := " ".join(crate.licence.replace("/", " OR ").split()))
            else [],
        }
        for crate in crates
    ]


def bill(crates: list[Crate]) -> bytes:
    """The list as a CycloneDX document, for `dist-info/sboms` (PEP 770)."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": PACKAGE.replace("-", "_")}},
        "components": components(crates),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def licences(crates: list[Crate]) -> bytes:
    """The texts of all licences; each text once, under the crates that it came with."""
    holders: dict[str, list[str]] = {}
    for crate in crates:
        for name, text in crate.texts or _texts_of(crate):
            holders.setdefault(text.strip(), []).append(f"{crate.name} {crate.version} ({name})")
    parts = ["What is linked into the native engine, and the licences it came with.\n"]
    parts += [f"{'=' * 80}\n{chr(10).join(names)}\n\n{text}\n" for text, names in holders.items()]
    return "\n".join(parts).encode()


def _texts_of(crate: Crate) -> list[tuple[str, str]]:
    """The licences that lie in its folder, as a crate from the registry has them."""
    return [
        (path.name, path.read_text("utf-8", "replace"))
        for path in sorted(crate.folder.iterdir())
        if path.is_file() and path.name.upper().startswith(LICENCE_FILES)
    ]
