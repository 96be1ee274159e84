"""The bill of materials and the licences of what is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resolver import __version__
from tests.packaging.tools import ROOT, backend, tool

INVENTORY, CRATES, DASHBOARD = tool("inventory"), backend("crates"), backend("dashboard")


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
    bundled = DASHBOARD.about_dashboard(built(tmp_path / "built-dashboard", ("preact", "11.2.0")))
    (own / "sboms" / "dashboard.cdx.json").write_bytes(bundled["sboms/dashboard.cdx.json"])
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
        "pkg:npm/preact@11.2.0": [{"expression": "MIT"}],
    }


def test_debians_packages_and_the_libraries_of_the_dashboard_are_listed_too(
    site: Path, tmp_path: Path
) -> None:
    status = tmp_path / "root" / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libc6\nVersion: 2.36\nArchitecture: amd64\nDescription: C library\n of GNU: it\n\n"
    )
    made = bill(site, tmp_path, "--root", str(tmp_path / "root"))
    found = {part["purl"] for part in made["components"]}
    assert {"pkg:deb/debian/libc6@2.36?arch=amd64", "pkg:npm/preact@11.2.0"} <= found


def built(folder: Path, *libraries: tuple[str, str]) -> Path:
    folder.mkdir()
    listed = [{"name": name, "version": version, "license": "MIT"} for name, version in libraries]
    (folder / "libraries.json").write_text(json.dumps(listed))
    (folder / "licences.txt").write_text("The MIT License, of them all.")
    return folder


def test_what_the_dashboard_is_bundled_of_is_told_in_the_wheel(tmp_path: Path) -> None:
    about = DASHBOARD.about_dashboard(built(tmp_path / "built", ("@a/b", "1.0"), ("preact", "11.2.0")))
    listed = json.loads(about["sboms/dashboard.cdx.json"])["components"]
    assert [part["purl"] for part in listed] == ["pkg:npm/%40a/b@1.0", "pkg:npm/preact@11.2.0"]
    assert [part["licenses"] for part in listed] == [[{"expression": "MIT"}]] * 2
    assert about["licenses/DASHBOARD"] == b"The MIT License, of them all."
    assert DASHBOARD.about_dashboard(tmp_path / "none") == {}


NOTICES = """<h1>Notices</h1><h3>\U0001f4e6 gimli-0.32.3</h3><p>License: MIT OR Apache-2.0</p><pre>Copyright &lt;x&gt;</pre>
<h3>\U0001f4e6 windows-sys-0.60.2</h3><p>License: MIT</p>"""


def test_what_the_compiler_puts_in_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doc, libraries = tmp_path / "share/doc/rust", tmp_path / "lib"
    (doc / "licenses").mkdir(parents=True)
    libraries.mkdir()
    (doc / "COPYRIGHT-library.html").write_text(NOTICES)
    (doc / "licenses" / "MIT.txt").write_text("MIT, of Rust")
    for name in ("std", "core", "gimli", "memchr", "getopts", "rustc_std_workspace_core"):
        (libraries / f"lib{name}-0123456789abcdef.rlib").write_text("")
    told = {
        "-vV": "rustc 1.95.0\nrelease: 1.95.0\n",
        "sysroot": f"{tmp_path}\n",
        "target-libdir": f"{libraries}\n",
    }
    monkeypatch.setattr(CRATES, "_run", lambda words, _: told[words[2] if len(words) > 2 else words[1]])
    found = CRATES.compilers_own("x86_64-unknown-linux-gnu", {})
    assert [(one.name, one.version) for one in found if one.name != "zig-runtime"] == [
        ("rust-std", "1.95.0"),
        ("gimli", "0.32.3"),
        ("memchr", "rust-1.95.0"),
    ]
    text = CRATES.licences(found).decode()
    assert "rust-std 1.95.0 (MIT)\nmemchr rust-1.95.0 (MIT)\n\nMIT, of Rust" in text
    assert "Copyright <x>" in text and "windows" not in text
    purls = [part["purl"] for part in CRATES.components(found)]
    assert purls[:3] == [
        "pkg:generic/rust-std@1.95.0",
        "pkg:cargo/gimli@0.32.3",
        "pkg:generic/memchr@rust-1.95.0",
    ]


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
