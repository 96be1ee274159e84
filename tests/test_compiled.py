"""A build of compiled modules is taken whole, and only for the sources it was made of."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resolver import compiled
from resolver.compiled import MANIFEST, Unfit, build_tag, digest_of, fitting_files, source_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two modules' sources."""
    root = tmp_path / "root"
    (root / "package").mkdir(parents=True)
    (root / "package/__init__.py").write_text("")
    (root / "package/first.py").write_text("FIRST = 1\n")
    (root / "package/second.py").write_text("SECOND = 2\n")
    return root


@pytest.fixture
def folder(tmp_path: Path, root: Path) -> Path:
    """A build of them; Python takes any file with the right ending for a module until it loads it."""
    folder = tmp_path / "build"
    folder.mkdir()
    modules = ("package.first", "package.second")
    files = {module: folder / f"{module}.so" for module in (*modules, "shared")}
    for module, path in files.items():
        path.write_text(module)
    manifest = {
        "python": build_tag(),
        "sources": {module: digest_of(source_of(root, module)) for module in ("package", *modules)},
        "files": {module: [path.name, digest_of(path)] for module, path in files.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def change(folder: Path, edit: Callable[[Any], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_build_of_these_sources_is_taken_with_its_library(folder: Path, root: Path) -> None:
    assert fitting_files(folder, root) == {
        "package.first": folder / "package.first.so",
        "package.second": folder / "package.second.so",
        "shared": folder / "shared.so",
    }


def test_one_edited_source_turns_the_whole_build_down(folder: Path, root: Path) -> None:
    (root / "package/second.py").write_text("SECOND = 3\n")
    with pytest.raises(Unfit, match=r"package\.second has changed"):
        fitting_files(folder, root)


def test_a_build_for_another_python_is_turned_down(folder: Path, root: Path) -> None:
    change(folder, lambda manifest: manifest.update(python="of another age"))
    with pytest.raises(Unfit, match="compiled for of another age"):
        fitting_files(folder, root)


def test_a_build_that_lacks_a_file_is_turned_down(folder: Path, root: Path) -> None:
    (folder / "shared.so").unlink()
    with pytest.raises(Unfit, match=r"shared\.so"):
        fitting_files(folder, root)


def test_a_damaged_file_turns_the_build_down_before_it_is_loaded(folder: Path, root: Path) -> None:
    (folder / "shared.so").write_text("half of")
    with pytest.raises(Unfit, match=r"shared\.so is damaged"):
        fitting_files(folder, root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"python": 1}',
        '"',
        "null",
        '{"python": "x", "sources": [], "files": {}}',
        "\0",
        "[" * 200_000,
    ],
)
def test_an_odd_manifest_is_turned_down(text: str, folder: Path, root: Path) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(Unfit):
        fitting_files(folder, root)


@pytest.mark.parametrize("key", ["sources", "files"])
@pytest.mark.parametrize("value", [[], 1, None, {"package.first": 7}])
def test_odd_parts_of_a_manifest_are_turned_down(key: str, value: Any, folder: Path, root: Path) -> None:
    change(folder, lambda manifest: manifest.update({key: value}))
    with pytest.raises(Unfit):
        fitting_files(folder, root)


def test_a_source_that_is_gone_turns_the_build_down(folder: Path, root: Path) -> None:
    (root / "package/first.py").unlink()
    with pytest.raises(Unfit, match="cannot be read"):
        fitting_files(folder, root)


@pytest.fixture
def import_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `use` changes is as before when the test is over."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(compiled, "_why_not", "")


def test_without_a_build_the_sources_run(
    import_state: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "build_folder", lambda: tmp_path / "nothing")
    before = list(sys.meta_path)
    compiled.use()
    assert sys.meta_path == before
    assert not compiled.is_in_use()
    assert compiled.describe() == "Python modules: interpreted (they are not compiled)"


def test_what_a_build_holds_is_found_before_anything_else(
    import_state: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "elsewhere.py"
    found.write_text("WHERE = 'in the build'\n")
    monkeypatch.setattr(compiled, "find", lambda: {"json.tool": found})
    sys.modules.pop("json.tool", None)
    compiled.use()
    assert importlib.import_module("json.tool").WHERE == "in the build"
    assert importlib.import_module("json.decoder").JSONDecoder


def test_a_library_that_cannot_be_loaded_leaves_the_sources(
    import_state: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / f"x{compiled.LIBRARY_SUFFIX}.py"
    library.write_text("raise ImportError('for another C library')\n")
    monkeypatch.setattr(compiled, "find", lambda: {f"x{compiled.LIBRARY_SUFFIX}": library})
    before = list(sys.meta_path)
    compiled.use()
    assert sys.meta_path == before
    assert compiled.describe() == "Python modules: interpreted (for another C library)"
