"""What `pip install` gets: a pure wheel, and one of the same name with the native engine inside.

`FUZZ_PROFILE=long` builds both as a packager would, and installs the platform's where there is no compiler.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from resolver import __version__
from tests.fuzz.rig import IS_LONG
from tests.packaging.tools import ROOT, backend, files_of_the_repository, tool

GRAFTING, WHEELS, SOURCES = backend("grafting"), backend("wheels"), backend("sources")
FINDING = tool("wheel_of_source")

TAGS = "cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as target:
        for each, text in files.items():
            target.writestr(each, text)
    return path


@pytest.fixture
def grafted(tmp_path: Path) -> zipfile.ZipFile:
    about, theirs = "exchange_resolver-1.2.dist-info", "resolver_native-1.2.dist-info"
    pure = wheel(
        tmp_path,
        "exchange_resolver-1.2-py3-none-any.whl",
        {
            "resolver/__init__.py": "",
            f"{about}/METADATA": "Name: exchange-resolver\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n",
            f"{about}/top_level.txt": "resolver\n",
            f"{about}/RECORD": "resolver/__init__.py,,\n",
        },
    )
    (tmp_path / "module").mkdir()
    module = wheel(
        tmp_path / "module",
        f"resolver_native-1.2-{TAGS}.whl",
        {
            "resolver_native/__init__.py": "",
            "resolver_native/resolver_native.abi3.so": "ELF",
            f"{theirs}/METADATA": "Name: resolver-native\n",
            f"{theirs}/RECORD": "",
        },
    )
    return zipfile.ZipFile(GRAFTING.graft(pure, module, {"sboms/crates.json": b"{}"}))


def test_the_wheel_with_the_engine_has_the_name_of_the_pure_one_and_the_tags_of_the_module(
    grafted: zipfile.ZipFile,
) -> None:
    assert Path(str(grafted.filename)).name == f"exchange_resolver-1.2-{TAGS}.whl"
    told = grafted.read("exchange_resolver-1.2.dist-info/WHEEL").decode().splitlines()
    assert [line for line in told if line.startswith("Tag: ")] == [
        "Tag: cp311-abi3-manylinux_2_17_x86_64",
        "Tag: cp311-abi3-manylinux2014_x86_64",
    ]
    assert "Root-Is-Purelib: false" in told and "Root-Is-Purelib: true" not in told


def test_it_is_one_distribution_and_records_every_file(grafted: zipfile.ZipFile) -> None:
    names = grafted.namelist()
    assert {name.split("/")[0] for name in names} == {
        "resolver",
        "resolver_native",
        "exchange_resolver-1.2.dist-info",
    }
    assert "exchange_resolver-1.2.dist-info/sboms/crates.json" in names
    assert_recorded(grafted)


def assert_recorded(made: zipfile.ZipFile) -> None:
    """RECORD stands last and has the hash and the length of every other file."""
    names = made.namelist()
    assert names[-1].endswith(".dist-info/RECORD") and len(set(names)) == len(names)
    rows = list(csv.reader(io.StringIO(made.read(names[-1]).decode())))
    assert [path for path, _, _ in rows] == names
    for path, digest, length in rows[:-1]:
        octets = made.read(path)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()
        assert (digest, length) == (f"sha256={hashed}", str(len(octets)))


def test_further_files_are_laid_into_a_wheel_and_recorded(grafted: zipfile.ZipFile) -> None:
    path = Path(str(grafted.filename))
    GRAFTING.lay_in(path, {"licenses/DASHBOARD": b"MIT"})
    with zipfile.ZipFile(path) as again:
        assert again.read("exchange_resolver-1.2.dist-info/licenses/DASHBOARD") == b"MIT"
        assert set(grafted.namelist()) < set(again.namelist())
        assert_recorded(again)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    root = tmp_path / "sources"
    for path in ("resolver/a.py", "resolver/built/x.js", "native/core/src/lib.rs", "native/target/x.rs"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    for path in ("packaging/wheels/wheels.py", "pyproject.toml", "README.md", "LICENSE"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def made_of(sources: Path, folder: Path) -> Path:
    """A wheel as the build makes it."""
    folder.mkdir(exist_ok=True)
    packed = {path: (sources / path).read_text() for path in ("resolver/a.py", "resolver/built/x.js")}
    about = {f"exchange_resolver-1.2.dist-info/{SOURCES.RECORD}": SOURCES.digest(sources) + "\n"}
    return wheel(folder, f"exchange_resolver-1.2-{TAGS}.whl", packed | about)


def test_a_wheel_of_these_sources_is_taken(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_of(sources, tmp_path / "dist")
    (sources / "native/target/x.rs").write_text("what a build leaves")
    (sources / "resolver/__pycache__").mkdir()
    (sources / "resolver/__pycache__/a.pyc").write_text("")
    assert FINDING.main(tmp_path / "dist", "x86_64", sources) == 0
    assert capsys.readouterr().out == f"{made}\n"
    assert FINDING.main(tmp_path / "dist", "aarch64", sources) == 1


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("resolver/a.py", "changed", "resolver/a.py is another"),
        ("resolver/new.py", "new", "resolver/new.py is not in it"),
        ("resolver/a.py", None, "resolver/a.py is in it, and not here"),
        ("native/core/src/lib.rs", "changed", "its engine was built of other sources"),
        ("native/core/src/new.rs", "new", "its engine was built of other sources"),
        ("config/grafana/new.json", "new", "its engine was built of other sources"),
        ("pyproject.toml", "changed", "its engine was built of other sources"),
    ],
)
def test_a_wheel_of_other_sources_is_not_taken_and_said_why(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, text: str | None, why: str
) -> None:
    made_of(sources, tmp_path / "dist")
    if text is None:
        (sources / path).unlink()
    else:
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).write_text(text)
    assert FINDING.main(tmp_path / "dist", "x86_64", sources) == 1
    told = capsys.readouterr()
    assert told.out == "" and f"is not of these sources: {why}" in told.err


def test_a_file_that_is_no_wheel_is_not_taken(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_of(sources, tmp_path / "dist")
    made.write_text("half")
    assert FINDING.main(tmp_path / "dist", "x86_64", sources) == 1
    assert "File is not a zip file" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["deb/build.sh", "container/make-rootfs.sh"])
def test_packages_are_made_of_the_wheel_of_these_sources(script: str) -> None:
    text = (ROOT / "packaging" / script).read_text()
    assert 'wheel=$(packaging/wheel.sh "$venv" "$machine")' in text and "ls dist" not in text
    assert "ls dist" not in (ROOT / "Makefile").read_text()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test lays the only programs that are found."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_without_rust_nothing_of_its_tools_is_asked_for(tools: Path) -> None:
    assert not any("maturin" in text for text in WHEELS.get_requires_for_build_wheel(None))
    program(tools / "cargo", "exit 0")
    assert any("maturin" in text for text in WHEELS.get_requires_for_build_wheel(None))
    assert not any("maturin" in text for text in WHEELS.get_requires_for_build_wheel({"engine": "python"}))


def test_a_word_that_means_no_engine_is_refused() -> None:
    with pytest.raises(SystemExit, match="must be auto, native or python"):
        WHEELS.get_requires_for_build_wheel({"engine": "fast"})


def fake_pure(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """`build_wheel` of setuptools, in no time."""

    def build(directory: str, *_: object) -> str:
        (Path(directory) / "pure.whl").write_text("")
        return "pure.whl"

    monkeypatch.setattr(WHEELS.build_meta, "build_wheel", build)
    monkeypatch.setattr(WHEELS, "about_dashboard", lambda _: {})


def test_where_rust_lacks_the_target_it_says_so_and_gives_the_pure_wheel(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_pure(monkeypatch, tmp_path)
    program(tools / "cargo", "exit 0")
    program(tools / "rustc", f"echo {tmp_path}/none")
    target = {"target": "aarch64-unknown-linux-gnu"}
    assert WHEELS.build_wheel(str(tmp_path), target) == "pure.whl"
    assert "the Rust toolchain has no aarch64-unknown-linux-gnu (rustup target add" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="native engine not built: the Rust toolchain has no aarch64"):
        WHEELS.build_wheel(str(tmp_path), target | {"engine": "native"})
    assert not (tmp_path / "pure.whl").exists(), "no wheel without an engine where one was demanded"


def test_without_rust_a_demanded_engine_is_refused_by_name(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_pure(monkeypatch, tmp_path)
    with pytest.raises(SystemExit, match="no Rust toolchain"):
        WHEELS.build_wheel(str(tmp_path), {"engine": "native"})


MUST_HOLD = {
    "resolver/cli/app.py",
    "resolver/orders/catalogue.yaml",
    "resolver/report/texts/en.json",
    "resolver/block_page/page.css",
    "resolver/block_page/texts/de.toml",
    f"exchange_resolver-{__version__}.dist-info/licenses/LICENSE",
    f"exchange_resolver-{__version__}.dist-info/entry_points.txt",
}
"""Some of each kind; the whole package is compared besides."""


FOR_MONITORING = files_of_the_repository("config/prometheus", "config/grafana")
"""Alert rules and Grafana's files, which `pip install` lays below `share/exchange-resolver`."""


def assert_complete(made: zipfile.ZipFile) -> None:
    """It has every module, all that stands beside them, and nothing of tests or of the build."""
    names = set(made.namelist())
    assert names >= MUST_HOLD
    modules = {path for path in files_of_the_repository("resolver") if not path.endswith(".gitkeep")}
    assert modules - names == set()
    built = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "resolver/dashboard/built").rglob("*")
        if path.is_file()
    }
    assert built - names == set(), "the dashboard, where `make web` made it"
    strays = {name.split("/")[0] for name in names} - {"resolver", "resolver_native"}
    assert strays == {f"exchange_resolver-{__version__}.{what}" for what in ("dist-info", "data")}
    shared = f"exchange_resolver-{__version__}.data/data/share/exchange-resolver/"
    told = {name.removeprefix(shared): made.read(name) for name in names if ".data/" in name}
    assert told == {path.removeprefix("config/"): (ROOT / path).read_bytes() for path in FOR_MONITORING}
    assert_recorded(made)


@pytest.mark.slow
def test_the_pure_wheel_holds_the_whole_program_and_nothing_else(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in files_of_the_repository(
        "resolver", "config", "packaging/wheels", "pyproject.toml", "README.md", "LICENSE"
    ):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tree / path)
    if (ROOT / "resolver/dashboard/built").exists():
        shutil.copytree(ROOT / "resolver/dashboard/built", tree / "resolver/dashboard/built")
    # A build of before, with a module that is gone since.
    (tree / "build/lib/resolver").mkdir(parents=True)
    (tree / "build/lib/resolver/gone.py").write_text("")
    code = f"import wheels; print(wheels.build_wheel({str(tmp_path)!r}, {{'engine': 'python'}}))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "packaging/wheels")},
        capture_output=True,
        text=True,
        check=True,
    )
    name = told.stdout.splitlines()[-1]
    assert name == f"exchange_resolver-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name) as made:
        assert_complete(made)
        assert not any(each.startswith("resolver_native/") for each in made.namelist())
        assert "resolver/gone.py" not in made.namelist()
        about = f"exchange_resolver-{__version__}.dist-info"
        has_dashboard = (ROOT / "resolver/dashboard/built/libraries.json").exists()
        assert (f"{about}/sboms/dashboard.cdx.json" in made.namelist()) == has_dashboard


def assert_told(whole: zipfile.ZipFile) -> None:
    """Every crate that the module's own messages name is in its list, and has a licence text."""
    about = f"exchange_resolver-{__version__}.dist-info"
    bill = json.loads(whole.read(f"{about}/sboms/native-engine.cdx.json"))
    listed = {f"{part['name']}-{part['version']}" for part in bill["components"]}
    texts = whole.read(f"{about}/licenses/NATIVE-ENGINE").decode()
    module = whole.read("resolver_native/resolver_native.abi3.so")
    # Panics tell where they come from: .../registry/src/INDEX/NAME-VERSION/src/file.rs
    found = {name.decode() for name in re.findall(rb"registry/src/[^/]+/([A-Za-z0-9_.+-]+)/", module)}
    assert len(found) > 10 and found - listed == set()
    names = {part["name"] for part in bill["components"]}
    assert names >= {
        "rustls",
        "tokio",
        "aws-lc-sys",
        "aws-lc-rs",
        "pyo3",
        "rust-std",
        "hashbrown",
        "zig-runtime",
    }
    untold = [part for part in bill["components"] if f"{part['name']} {part['version']} (" not in texts]
    assert untold == []


@pytest.mark.slow
@pytest.mark.skipif(not IS_LONG, reason="builds everything: make long")
@pytest.mark.timeout(3600)
def test_all_that_pip_installs_is_built_and_the_wheel_gives_the_native_engine_without_a_compiler(
    tmp_path: Path,
) -> None:
    if shutil.which("cargo") is None and not (Path.home() / ".cargo/bin/cargo").exists():
        pytest.skip("no Rust toolchain")
    words = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(words, env={**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}, check=True)
    made = {path.name.removeprefix(f"exchange_resolver-{__version__}") for path in tmp_path.iterdir()}
    [native] = [one for one in made if one.startswith("-cp311-abi3-") and "manylinux_2_17_" in one]
    assert made - {native} == {".tar.gz", "-py3-none-any.whl"}
    path = tmp_path / f"exchange_resolver-{__version__}{native}"
    with zipfile.ZipFile(path) as whole:
        assert_complete(whole)
        names = whole.namelist()
        assert "resolver_native/resolver_native.abi3.so" in names
        assert_told(whole)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "empty"], check=True)
    python = str(tmp_path / "empty" / "bin" / "python")
    bare = {"PATH": str(tmp_path / "empty" / "bin"), "HOME": str(tmp_path)}
    for each in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE"):
        if each in os.environ:
            bare[each] = os.environ[each]
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(path)], env=bare, cwd=tmp_path, check=True)
    told = subprocess.run(
        [python, "-P", "-m", "resolver.server.engine"],
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "engine: native\n"
