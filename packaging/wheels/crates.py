"""The crates in the native engine: a list of components (CycloneDX), and the licences they came with.

Knows: `cargo tree` and `cargo metadata`, CycloneDX 1.5.  Does not know: wheels, Python's packages.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "native/Cargo.toml"
PACKAGE = "resolver-native"
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT")
"""How a file begins that says under what one may use the rest."""


class Crate(NamedTuple):
    """One crate that is linked into the module."""

    name: str
    version: str
    licence: str
    """As its author wrote it, an SPDX expression by now and then with `/` for OR."""
    folder: Path
    """Its source, with the texts of its licences."""


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


def _run(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def components(crates: list[Crate]) -> list[dict[str, Any]]:
    """Components of CycloneDX, one for each crate."""
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:cargo/{crate.name}@{crate.version}",
            "name": crate.name,
            "version": crate.version,
            "purl": f"pkg:cargo/{crate.name}@{crate.version}",
            "licenses": [{"expression": crate.licence.replace("/", " OR ")}] if crate.licence else [],
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
        for path in sorted(crate.folder.iterdir()):
            if path.is_file() and path.name.upper().startswith(LICENCE_FILES):
                text = path.read_text("utf-8", "replace").strip()
                holders.setdefault(text, []).append(f"{crate.name} {crate.version} ({path.name})")
    parts = ["What is linked into the native engine, and the licences it came with.\n"]
    parts += [f"{'=' * 80}\n{chr(10).join(names)}\n\n{text}\n" for text, names in holders.items()]
    return "\n".join(parts).encode()
