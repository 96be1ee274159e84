"""A report as Chromium shows and prints it: pages, heads, no word lost, nothing that runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from resolver.report.catalogue import texts_of
from resolver.report.facts import Report
from resolver.report.rendering import rendered
from tests.report.support import HOSTILE, POLICY, ZONE, report
from tests.report.test_hostile_texts import full_of

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "pdftotext")]

NAMES = 300
MANY = POLICY.replace(
    "    domains: [newcoin.example,",
    "    domains: [" + "".join(f"n{n}.test, " for n in range(NAMES)) + "newcoin.example,",
)
"""An order of many pages."""


def chromium(*words: str) -> subprocess.CompletedProcess[str]:
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
    ]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False)


def page_of(made: Report, folder: Path, language: str = "en") -> str:
    path = folder / "report.html"
    path.write_bytes(rendered(made, "html", texts_of(language), ZONE, None))
    return path.as_uri()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The text of each page of the PDF of a long report."""
    folder = tmp_path_factory.mktemp("printed")
    pdf = folder / "report.pdf"
    result = chromium("--no-pdf-header-footer", f"--print-to-pdf={pdf}", page_of(report(MANY), folder))
    assert pdf.exists(), result.stderr
    text = subprocess.run(
        ["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    ).stdout
    return text.split("\f")[:-1]


def test_every_page_but_the_cover_has_its_number(printed: list[str]) -> None:
    assert len(printed) > 8
    assert "Page 1" not in printed[0]
    for number, page in enumerate(printed[1:], 2):
        assert f"Page {number} / {len(printed)}" in page


def test_no_page_is_blank(printed: list[str]) -> None:
    for page in printed:
        assert len(page.split()) > 40, page


def with_names(printed: list[str]) -> list[str]:
    """The pages with the table of names of the first order: those before the next order begins."""
    end = next(n for n, page in enumerate(printed) if n > 1 and "Interim injunction" in page)
    return [page for page in printed[:end] if re.search(r"\bn\d+\.test\b", page)]


def test_the_head_of_an_order_stands_on_each_of_its_pages(printed: list[str]) -> None:
    assert len(with_names(printed)) > 5
    for page in with_names(printed):
        assert page.lstrip().startswith("Order fma-2026-17 · Financial Markets Authority · FMA 2026/17")


def test_the_head_of_a_table_stands_on_each_of_its_pages(printed: list[str]) -> None:
    for page in with_names(printed):
        assert re.search(r"Name\s+Covers\s+Exchange\s+State\s+Rule", page)


def test_each_order_begins_on_a_page_of_its_own(printed: list[str]) -> None:
    for title in ("Order on unlicensed trading platforms", "Interim injunction", "House rules"):
        (page,) = [page for page in printed[1:] if title in page]
        assert page.index(title) < 250


def test_no_name_is_lost_on_paper(printed: list[str]) -> None:
    found = re.findall(r"\bn(\d+)\.test\b", "".join(with_names(printed)))
    assert list(map(int, found)) == list(range(NAMES))


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[1], HOSTILE[2]], ids=range(3))
def test_hostile_texts_run_nothing_in_a_browser(text: str, tmp_path: Path) -> None:
    result = chromium("--dump-dom", "--virtual-time-budget=2000", page_of(full_of(text), tmp_path))
    assert "<main>" in result.stdout
    assert not re.search(r"<(script|img)\b", result.stdout)
    assert "Content Security Policy" not in result.stderr


@pytest.mark.parametrize("language", ["en", "ja", "ar"])
def test_the_style_sheet_passes_its_own_policy(language: str, tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    result = chromium(
        "--window-size=1100,2000", f"--screenshot={picture}", page_of(report(), tmp_path, language)
    )
    assert picture.stat().st_size > 20_000, result.stderr
    assert "Content Security Policy" not in result.stderr


def test_the_policy_is_one_that_a_browser_enforces(tmp_path: Path) -> None:
    path = Path(page_of(report(), tmp_path).removeprefix("file://"))
    said = path.read_text("utf-8")
    path.write_text(
        said.replace("<main>", "<main><script>document.title='RAN'</script><p style='color:red'>x</p>"),
        "utf-8",
    )
    result = chromium("--dump-dom", path.as_uri())
    assert "<title>RAN</title>" not in result.stdout
    assert "Content Security Policy" in result.stderr
