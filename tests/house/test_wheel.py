"""What is installed is complete: the files of a wheel, without the rest of the source tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DASHBOARD = ("resolver.dashboard", "built/*")
"""What is not there without Node.js."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what setuptools takes into a wheel: the modules, and the files that it is told of."""
    folder = tmp_path_factory.mktemp("site")
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = list((ROOT / "resolver").rglob("*.py"))
    for package, patterns in told.items():
        for pattern in patterns:
            found = list((ROOT / package.replace(".", "/")).glob(pattern))
            assert found or (package, pattern) == DASHBOARD, (package, pattern)
            files += found
    for path in files:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)  # What a link leads to, as setuptools does.
    return folder


def run(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resolver", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
    )


@pytest.fixture
def blocklist(tmp_path: Path) -> Path:
    path = tmp_path / "blocklist.yaml"
    path.write_text("version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n")
    return path


@pytest.mark.slow
def test_an_installed_program_finds_what_only_its_catalogue_has(site: Path, blocklist: Path) -> None:
    ended = run(site, "find", "OKEx", "--json", "--blocklist", blocklist)
    assert ended.returncode == 0, ended.stderr
    [found] = [one for one in json.loads(ended.stdout)["found"] if one["id"] == "okx"]
    assert not found["in_blocklist"] and found["matched"].startswith("alias")


@pytest.mark.slow
def test_an_installed_program_is_its_own_and_says_its_version(site: Path) -> None:
    where = "import resolver; print(resolver.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", where],
        capture_output=True,
        text=True,
        check=True,
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert Path(ended.stdout.strip()).is_relative_to(site)


def test_the_catalogue_of_the_package_is_the_shipped_blocklist() -> None:
    link = ROOT / "resolver" / "orders" / "catalogue.yaml"
    assert link.resolve() == ROOT / "blocklist.yaml"


def test_every_file_beside_the_modules_is_shipped() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for package, patterns in told.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    others = {
        path
        for path in (ROOT / "resolver").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others == shipped
