"""The script that builds the dashboard: what is there already stays where it is of these sources."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.tools import ROOT

NODE = """#!/bin/sh
mkdir -p ../resolver/dashboard/built && echo page >../resolver/dashboard/built/index.html && echo dashboard built
"""


class Tree:
    """A checkout with a dashboard's sources, and the few programs that the script finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        self.programs = folder / "programs"
        self.built = self.folder / "resolver/dashboard/built"
        for path in (self.folder / "scripts", self.folder / "web", self.programs):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "scripts/build-web.sh", self.folder / "scripts")
        (self.folder / "web/package-lock.json").write_text("{}")
        for name in ("sh", "find", "sort", "cksum", "cat", "rm", "mkdir", "timeout", "tail"):
            found = shutil.which(name)
            assert found is not None
            (self.programs / name).symlink_to(found)

    def build(self) -> str:
        words = ["sh", "scripts/build-web.sh"]
        environment = {"PATH": str(self.programs)}
        told = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return told.stdout

    def with_node(self) -> None:
        for name, text in (("node", NODE), ("npm", "#!/bin/sh\nmkdir -p node_modules\n")):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def without_node(self) -> None:
        for name in ("node", "npm"):
            (self.programs / name).unlink(missing_ok=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_dashboard_that_was_brought_along_stays_without_node(tree: Tree) -> None:
    tree.with_node()
    assert tree.build() == "dashboard built\n"
    tree.without_node()
    # An sdist has neither packages nor their stamp.
    shutil.rmtree(tree.folder / "web/node_modules")
    os.utime(tree.folder / "web/package-lock.json", (0, 0))
    assert tree.build() == ""
    assert (tree.built / "index.html").read_text() == "page\n"


def test_one_of_other_sources_goes_where_none_can_be_built(tree: Tree) -> None:
    tree.with_node()
    tree.build()
    (tree.folder / "web/main.tsx").write_text("changed")
    tree.without_node()
    assert tree.build() == "the dashboard is left out: no Node.js on PATH\n"
    assert not tree.built.exists()


def test_it_is_built_again_when_its_sources_changed(tree: Tree) -> None:
    tree.with_node()
    tree.build()
    assert tree.build() == ""
    (tree.folder / "web/main.tsx").write_text("changed")
    assert tree.build() == "dashboard built\n"


def test_without_node_nothing_is_there_and_nothing_fails(tree: Tree) -> None:
    assert tree.build() == "the dashboard is left out: no Node.js on PATH\n"
