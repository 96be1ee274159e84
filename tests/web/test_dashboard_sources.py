"""The dashboard's sources: pinned packages, no addresses, types and unit tests; what it says in which languages."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from resolver.languages import LANGUAGES
from resolver.observe.problem import KINDS

WEB = Path(__file__).parents[2] / "web"
INSTALLED = WEB / "node_modules" / "esbuild" / "package.json"


def packages() -> dict[str, dict[str, object]]:
    lock: dict[str, dict[str, dict[str, object]]] = json.loads((WEB / "package-lock.json").read_text())
    return lock["packages"]


def test_every_package_is_pinned_by_version_and_hash() -> None:
    wanted = json.loads((WEB / "package.json").read_text())
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values()), versions
    for name, package in packages().items():
        if name:
            assert str(package["integrity"]).startswith("sha512-"), name


def test_no_package_says_where_it_comes_from() -> None:
    assert [name for name, package in packages().items() if "resolved" in package] == []
    assert "registry" not in (WEB / ".npmrc").read_text().replace("lockfile-registry", "")


def test_nothing_becomes_markup_or_program() -> None:
    """The policy forbids it as well; here it is said to who writes."""
    ways = re.compile(
        r"dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    )
    for path in (*(WEB / "src").rglob("*.ts"), *(WEB / "src").rglob("*.tsx")):
        assert ways.findall(path.read_text()) == [], path


def test_no_source_names_another_host() -> None:
    for path in (WEB / "src").rglob("*"):
        if path.suffix in (".ts", ".tsx", ".css", ".html"):
            assert re.findall(r"https?://(?!www\.w3\.org/)", path.read_text()) == [], path


def test_languages_are_called_as_everywhere_here() -> None:
    text = (WEB / "src/lib/texts.ts").read_text()
    said = dict(re.findall(r"^  (\w\w): '([^']+)',$", text, re.MULTILINE))
    assert len(said) == 12
    assert said == {code: LANGUAGES[code].name for code in said}
    [codes] = re.findall(r"RIGHT_TO_LEFT: ReadonlySet<string> = new Set\(\[(.*?)\]\)", text)
    assert set(re.findall(r"\w\w", codes)) == {code for code in said if LANGUAGES[code].is_right_to_left}


def test_problems_are_called_by_ids_that_there_are() -> None:
    for path in (WEB / "src/texts").glob("*.json"):
        said = {
            key.removeprefix("problem_") for key in json.loads(path.read_text()) if key.startswith("problem_")
        }
        assert said - KINDS.keys() == set()
        # English is the server's own.
        assert said == (set() if path.stem == "en" else KINDS.keys()), path


def test_no_text_is_left_over() -> None:
    sources = "".join(path.read_text() for path in (WEB / "src").rglob("*.ts*"))
    made_up = tuple(re.findall(r"(?:say|word)\(`([a-z_]+)\$\{", sources))
    texts = json.loads((WEB / "src/texts/en.json").read_text())
    assert [
        key
        for key in texts
        if f"'{key}'" not in sources and f'"{key}"' not in sources and not key.startswith(made_up)
    ] == []


@pytest.mark.slow
@pytest.mark.needs("node")
@pytest.mark.skipif(not INSTALLED.exists(), reason="the dashboard's packages are not installed (make web)")
def test_its_own_tests_pass() -> None:
    done = subprocess.run(["node", "test.mjs"], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"^# pass [1-9]\d", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.needs("node")
@pytest.mark.skipif(
    not (WEB / "node_modules" / "typescript").exists(), reason="TypeScript is not installed (make peers)"
)
def test_its_types_hold() -> None:
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "--noEmit"],
        cwd=WEB,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
