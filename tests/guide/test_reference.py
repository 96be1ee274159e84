"""The guide has a text for every key, metric, alert and command, and its examples are true."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.blocklist.keys import blocklist_schema
from resolver.blocklist.reader import read_blocklist
from resolver.certificates.making import make_pair
from resolver.config.settings import load_settings, settings_schema
from resolver.observe.metric_table import METRICS
from resolver.observe.problem import GUIDE_PAGE, KINDS
from resolver.observe.tally import DROP_REASONS
from scripts.guide import alerts, metrics
from scripts.guide.commands import commands
from scripts.guide.keys import NO_DEFAULT, allowed, example_of, keys_of
from scripts.guide.pages import made_pages
from scripts.guide.places import EXAMPLES, GUIDE, TEXTS

FILES = {"resolver.yaml": settings_schema(), "blocklist.yaml": blocklist_schema()}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return made_pages()


@pytest.mark.parametrize("file", FILES)
def test_every_key_says_what_it_means_and_takes_and_has_an_example(file: str) -> None:
    tree = yaml.safe_load((EXAMPLES / file).read_text())
    keys = list(keys_of(FILES[file]))
    assert len(keys) > 90
    assert [key.name for key in keys if not key.text] == []
    assert [key.name for key in keys if example_of(key, tree) is NO_DEFAULT] == []
    # A name in the form of the file: read piece by piece, its forms stand in its text.
    assert {key.name for key in keys if not allowed(key.schema)} <= {"allow[].name"}


@pytest.mark.parametrize("file", FILES)
def test_no_example_has_a_key_that_there_is_not(file: str) -> None:
    known = {key.path for key in keys_of(FILES[file])}
    assert [
        path for path in paths_of(yaml.safe_load((EXAMPLES / file).read_text())) if not fits(path, known)
    ] == []


def paths_of(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(tree, dict):
        return [found for key, value in tree.items() for found in paths_of(value, (*path, str(key)))]
    if isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        return [
            found for value in tree if isinstance(value, dict) for found in paths_of(value, (*path, "[]"))
        ]
    return [path]


def fits(path: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    """Whether a key is known, or lies within the value of one that is described as a whole."""
    for length in range(len(path), 0, -1):
        for one in known:
            if len(one) == length and all(a in (b, "*") for a, b in zip(one, path, strict=False)):
                inner = any(len(other) > length and other[:length] == one for other in known)
                return length == len(path) or not inner
    return False


def test_a_key_that_nobody_knows_is_seen() -> None:
    known = {key.path for key in keys_of(FILES["resolver.yaml"])}
    assert fits(("cache", "size_mb"), known) and fits(("upstreams", "forward", "corp.example"), known)
    assert not fits(("cache", "size"), known) and not fits(("nothing",), known)


def test_the_example_of_all_settings_loads(tmp_path: Path) -> None:
    text = (EXAMPLES / "resolver.yaml").read_text()
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(make_pair(["dns.example"], [], 1_800_000_000.0)[0])
    text = text.replace("/etc/exchange-resolver/authorities.pem", str(authorities))
    settings, problems = load_settings(tmp_path / "resolver.yaml", octets=text.encode())
    assert settings is not None and problems == []


def test_the_example_of_all_of_the_blocklist_loads() -> None:
    blocklist, problems = read_blocklist(EXAMPLES / "blocklist.yaml")
    assert blocklist is not None
    # It has an action that its order does not prescribe, to show both, and REFUSED, which needs a warning.
    assert [problem.message.partition(":")[0] for problem in problems] == [
        "exchanges.newcoin.action",
        "lists.ads.action",
    ]


def test_every_metric_belongs_to_one_section_and_no_note_speaks_of_another() -> None:
    told = metrics.texts()
    shown = [metric.name for section in metrics.sections(told) for metric in section.metrics]
    assert sorted(shown) == sorted(metric.name for metric in METRICS)
    assert set(told["notes"]) - set(shown) == set()


def test_every_reason_of_a_drop_is_explained_and_no_other() -> None:
    assert set(metrics.texts()["drops"]) == set(DROP_REASONS)


def test_every_alert_says_what_to_do_and_no_text_speaks_of_another() -> None:
    told = alerts.texts()
    assert set(told) == {rule["alert"] for rule in alerts.rules()}
    assert [name for name, text in told.items() if len(text.split()) < 12] == []
    assert {rule["labels"]["severity"] for rule in alerts.rules()} == set(alerts.LEVELS)


def test_nothing_that_prometheus_fills_in_stands_on_the_page_of_alerts(made: dict[str, str]) -> None:
    page = made["reference/alerts.md"]
    assert "{{" not in page and "$labels" not in page
    assert "**Order ORDER is overdue" in page and "order show ORDER" in page


def test_no_path_of_the_api_says_the_same_twice(made: dict[str, str]) -> None:
    lines = [line for line in made["reference/api.md"].split("\n") if line]
    assert not [here for here, below in itertools.pairwise(lines) if below.startswith(here)]


def test_every_problem_has_an_alert_of_its_level_and_a_place_in_the_guide(made: dict[str, str]) -> None:
    severities = {"error": "critical", "warning": "warning"}
    asked = {(key, severities[kind.level]) for key, kind in KINDS.items()}
    told = {
        (rule["labels"]["problem"], rule["labels"]["severity"])
        for rule in alerts.rules()
        if "problem" in rule["labels"]
    }
    assert told == asked
    page = made[GUIDE_PAGE.replace(".html", ".md")]
    assert [key for key in KINDS if page.count(f'<a id="{key}"></a>') != 1] == []


def test_every_command_and_option_has_a_help_text() -> None:
    found = list(commands())
    assert len(found) > 25
    assert [command.name for command in found if not command.text] == []
    assert [(command.name, name) for command in found for name, text in command.parameters if not text] == []


def test_the_pages_have_what_they_are_made_of(made: dict[str, str]) -> None:
    assert "### `listen.dns` {#listen-dns}" in made["reference/settings.md"]
    assert "### `exchanges.*.domains` {#exchanges-domains}" in made["reference/blocklist.md"]
    assert "### `resolver_ready` {#resolver-ready}" in made["reference/metrics.md"]
    assert "## `exchange-resolver order import` {#order-import}" in made["reference/commands.md"]
    assert all(f"### `{rule['alert']}`" in made["reference/alerts.md"] for rule in alerts.rules())


@pytest.mark.parametrize("page", ["settings", "blocklist", "metrics", "alerts", "commands", "api"])
def test_no_anchor_stands_twice_on_a_made_page(page: str, made: dict[str, str]) -> None:
    anchors = re.findall(r"\{#([\w-]+)\}$", made[f"reference/{page}.md"], re.MULTILINE)
    assert anchors and len(set(anchors)) == len(anchors)


def test_every_metric_and_alert_that_a_page_names_exists() -> None:
    families = {metric.name.removesuffix("_total") for metric in METRICS}
    names = {rule["alert"] for rule in alerts.rules()}
    for page in GUIDE.glob("*.md"):
        text = page.read_text()
        named = {
            name.removesuffix("_total") for name in re.findall(r"\bresolver_(?!native\b)[a-z_]+[a-z]", text)
        }
        assert named - families == set(), page
        assert set(re.findall(r"\bResolver[A-Z]\w+", text)) - names == set(), page


COMMAND = re.compile(
    r"^\s*(?:\S*/)?exchange-resolver ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)(.*)$", re.MULTILINE
)


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    known = {
        command.name: {word for name, _ in command.parameters for word in re.findall(r"--?[\w-]+", name)}
        for command in commands()
    }
    wrong: list[tuple[str, ...]] = []
    for page in GUIDE.glob("*.md"):
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            for words, rest in COMMAND.findall(block.replace("\\\n", " ")):
                name = words if words in known else words.split()[0]
                options = re.findall(r"(?<=\s)--[a-z][\w-]*", rest.partition("  #")[0])
                if name not in known:
                    wrong.append((page.name, words))
                wrong += [
                    (page.name, name, option) for option in options if option not in known.get(name, ())
                ]
    assert wrong == []


def test_every_setting_that_a_page_names_exists() -> None:
    known = {".".join(key.path) for schema in FILES.values() for key in keys_of(schema)}
    known = {name.replace(".[]", "").replace(".*", "") for name in known} | {"blocklist.yaml"}
    sections = {name.partition(".")[0] for name in known}
    named = {
        (page.name, name)
        for page in (*GUIDE.glob("*.md"), *TEXTS.glob("*.yaml"))
        for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:: [^`]*)?`", page.read_text())
    }
    assert len(named) > 100
    assert not {
        (page, name) for page, name in named if name.partition(".")[0] in sections and name not in known
    }


INLINE = re.compile(r"`(?:sudo )?exchange-resolver ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?([^`]*)`")


def test_every_command_within_a_sentence_exists_with_its_options() -> None:
    known = {
        command.name: {word for name, _ in command.parameters for word in re.findall(r"--?[\w-]+", name)}
        for command in commands()
    }
    wrong = []
    for page in (*GUIDE.glob("*.md"), *TEXTS.glob("*.yaml")):
        for first, second, rest in INLINE.findall(page.read_text()):
            name = f"{first} {second}" if f"{first} {second}" in known else first
            options = re.findall(r"(?<=\s)--[a-z][\w-]*", rest)
            if name not in known or not set(options) <= known[name]:
                wrong.append((page.name, name, options))
    assert wrong == []
