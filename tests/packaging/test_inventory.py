"""The bill of materials and the licences of what is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resolver import __version__
from tests.packaging.tools import ROOT, backend, tool

INVENTORY, CRATES = tool("inventory"), backend("crates")


def distribution(folder: Path, name: str, version: str, metadata: str = "", **files: str) -> Path:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}\n")
    for path, text in files.items():
        (about / path).parent.mkdir(parents=True, exist_ok=True)
        (about / path).write_text(text)
    return about


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    native = CRATES.bill([CRATES.Crate("rustls", "0.23.1", "Apache-2.0/MIT", tmp_path)]).decode()
    own = distribution(folder, "exchange_resolver", __version__, "Requires-Dist: acme>=1")
    (own / "sboms").mkdir()
    (own / "sboms" / "native-engine.cdx.json").write_text(native)
    distribution(
        folder,
        "Acme_Lib",
        "1.2",
        "License-Expression: MIT\nRequires-Dist: old-thing; python_version < '3.12'",
        LICENSE="Do what you like.",
    )
    distribution(folder, "acme", "1.0", "Classifier: License :: OSI Approved :: BSD License")
    return folder


def bill(site: Path, tmp_path: Path, *words: str) -> dict[str, Any]:
    target = tmp_path / "sbom.json"
    assert INVENTORY.main([str(site), "--sbom", str(target), *words]) == 0
    made: dict[str, Any] = json.loads(target.read_text())
    return made


def test_every_library_is_listed_once_with_its_version_and_licence(site: Path, tmp_path: Path) -> None:
    made = bill(site, tmp_path)
    assert made["metadata"]["component"]["version"] == __version__
    assert {part["purl"]: part["licenses"] for part in made["components"]} == {
        "pkg:pypi/acme-lib@1.2": [{"expression": "MIT"}],
        "pkg:pypi/acme@1.0": [{"license": {"name": "BSD License"}}],
        "pkg:cargo/rustls@0.23.1": [{"expression": "Apache-2.0 OR MIT"}],
    }


def test_debians_packages_and_the_libraries_of_the_dashboard_are_listed_too(
    site: Path, tmp_path: Path
) -> None:
    status = tmp_path / "root" / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libc6\nVersion: 2.36\nArchitecture: amd64\nDescription: C library\n of GNU: it\n\n"
    )
    lock = tmp_path / "lock.json"
    packages = {
        "": {},
        "node_modules/preact": {"version": "11.2.0", "license": "MIT"},
        "node_modules/typescript": {"version": "7.0.2", "dev": True},
    }
    lock.write_text(json.dumps({"packages": packages}))
    made = bill(site, tmp_path, "--root", str(tmp_path / "root"), "--lock", str(lock))
    found = {part["purl"] for part in made["components"]}
    assert {"pkg:deb/debian/libc6@2.36?arch=amd64", "pkg:npm/preact@11.2.0"} <= found
    assert not any("typescript" in purl for purl in found)


def test_what_a_library_needs_with_one_python_only_is_missed_there_and_nowhere_else(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert INVENTORY.main([str(site), "--pythons", "3.13"]) == 0
    assert INVENTORY.main([str(site), "--pythons", "3.13", "3.11"]) == 1
    assert capsys.readouterr().err == "Python 3.11: Acme_Lib needs old-thing, which is not there\n"


def test_licence_texts_come_along_and_are_told_in_debians_form(site: Path, tmp_path: Path) -> None:
    texts, told = tmp_path / "texts", tmp_path / "copyright"
    assert INVENTORY.main([str(site), "--licences", str(texts), "--copyright", str(told)]) == 0
    assert "Acme_Lib 1.2 (LICENSE)\n\nDo what you like.\n" in texts.read_text()
    assert "\n  pkg:pypi/acme-lib@1.2: MIT\n" in told.read_text()
    assert told.read_text().startswith("Format: https://www.debian.org/doc/packaging-manuals/copyright")


def test_a_licence_of_two_crates_stands_once_under_both_names(tmp_path: Path) -> None:
    crates = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "LICENSE-MIT").write_text("MIT\n")
        crates.append(CRATES.Crate(name, "1.0", "MIT", tmp_path / name))
    text = CRATES.licences(crates).decode()
    assert text.count("\nMIT\n") == 1
    assert "one 1.0 (LICENSE-MIT)\ntwo 1.0 (LICENSE-MIT)\n" in text


def test_what_is_shipped_is_every_dependency_and_no_tool_of_tests() -> None:
    shipped = tool("shipped").shipped()
    assert {"cryptography", "hypercorn", "pydantic-core"} <= set(shipped)
    assert not {"pytest", "mypy", "hypothesis", "setuptools", "build"} & set(shipped)
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert set(shipped) - set(pins) == set(), "everything that is shipped is pinned"
