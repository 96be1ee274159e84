"""The built guide: whole, with links that lead somewhere, and nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from resolver.observe.problem import GUIDE_PAGE, KINDS
from scripts.guide.places import ROOT

pytestmark = pytest.mark.slow

LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)="([^"]+)"|<link\b[^>]*\bhref="([^"]+)\""""
)


def build(source: Path, built: Path) -> subprocess.CompletedProcess[str]:
    """Build what stands at `source` as `make guide` does: not quietly, for then MkDocs counts no warnings."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(built)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(source)}
    return subprocess.run(
        words, cwd=source, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("guide") / "site"
    ended = build(ROOT, built)
    assert ended.returncode == 0 and "WARNING" not in ended.stderr, ended.stdout + ended.stderr
    return built


def test_every_page_of_the_menu_is_built(site: Path) -> None:
    words = re.findall(r"^ +- ([\w/.-]+\.md)$|^  - ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    pages = [one or other for one, other in words]
    assert len(pages) > 45
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        text = page.read_text()
        loaded = [one or other for one, other in LOADED.findall(text)]
        assert loaded and [place for place in loaded if re.match(r"(?:[a-z]+:)?//", place)] == [], page
        # The theme's script would fetch a program for such a block.
        assert 'class="mermaid"' not in text


def test_a_page_that_loads_something_is_seen() -> None:
    assert LOADED.findall('<script src="https://cdn.example/x.js"></script>') == [
        ("https://cdn.example/x.js", "")
    ]
    assert LOADED.findall('<link rel="x" href="//fonts.example/y">') == [("", "//fonts.example/y")]


def test_the_links_of_the_api_lead_to_the_page_of_alerts(site: Path) -> None:
    text = (site / GUIDE_PAGE).read_text()
    assert [key for key in KINDS if f'id="{key}"' not in text] == []


@pytest.mark.parametrize("link", ["nowhere.md", "limits.md#nowhere"])
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    for place in ("scripts/guide", "docs", "resolver", "config/prometheus", "tests/golden"):
        shutil.copytree(ROOT / place, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for place in ("scripts/__init__.py", "mkdocs.yml", "blocklist.yaml"):
        shutil.copyfile(ROOT / place, tmp_path / place)
    for place in ("SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / place, tmp_path / place)
    with (tmp_path / "docs" / "guide" / "index.md").open("a") as page:
        page.write(f"\n[broken]({link})\n")
    ended = build(tmp_path, tmp_path / "site")
    assert ended.returncode != 0 and "nowhere" in ended.stdout + ended.stderr


def test_the_settings_of_the_build_ask_for_nothing_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert settings["plugins"] == ["search"] and "repo_url" not in settings
    assert settings["validation"]["links"]["anchors"] == "warn"
