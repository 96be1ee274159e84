from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.server.engine import NATIVE_PACKAGE

GOOD_BLOCKLIST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example]}\n"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(
    folder: Path, *, settings: str = "blocklist: blocklist.yaml\n", blocklist: str = GOOD_BLOCKLIST
) -> Path:
    (folder / "blocklist.yaml").write_text(blocklist)
    path = folder / "resolver.yaml"
    path.write_text(settings)
    return path


def test_help_lists_the_commands() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in ("run", "check", "explain", "schema", "demo"))


def test_the_terminal_alone_breaks_the_lines_of_help_texts() -> None:
    def texts(command: Any, words: str) -> Iterator[tuple[str, str]]:
        yield words, command.help or ""
        for name, inner in getattr(command, "commands", {}).items():
            yield from texts(inner, f"{words} {name}")

    found = dict(texts(typer.main.get_command(app), "exchange-resolver"))
    assert len(found) > 40
    assert not [words for words, text in found.items() if "\n" in text.replace("\n\n", "")]


@pytest.mark.parametrize(
    "words",
    [(), ("check",), ("history",), ("history", "show"), ("lists",), ("lists", "update")],
    ids=" ".join,
)
def test_h_is_help_everywhere(words: tuple[str, ...]) -> None:
    short, long = invoke(*words, "-h"), invoke(*words, "--help")
    assert short.exit_code == 0 and "Usage:" in short.stdout
    assert short.stdout == long.stdout


def test_the_shell_completes_commands() -> None:
    words = {"COMP_WORDS": "exchange-resolver ex", "COMP_CWORD": "1"}
    result = CliRunner().invoke(
        app,
        [],
        prog_name="exchange-resolver",
        env={"_EXCHANGE_RESOLVER_COMPLETE": "complete_bash", **words},
    )
    assert result.stdout.split() == ["explain", "export"]


def test_an_unknown_command_is_bad_input() -> None:
    assert invoke("explode").exit_code == 2


def test_check_of_good_files_is_fine_and_says_what_is_in_them(tmp_path: Path) -> None:
    result = invoke("check", "--config", files(tmp_path))
    assert result.exit_code == 0
    assert "1 exchange, 1 domain, 0 networks, 0 list names" in result.stdout


def test_check_lists_the_problems_of_both_files_with_their_lines(tmp_path: Path) -> None:
    config = files(
        tmp_path,
        settings="blocklist: blocklist.yaml\n",
        blocklist="version: 1\nexchanges:\n  acme: {name: Acme, domains: ['not a name'], actoin: drop}\n",
    )
    result = invoke("check", "--config", config)
    assert result.exit_code == 2
    assert "blocklist.yaml:3: " in result.stderr
    assert "'action'" in result.stderr  # the suggestion for the misspelt key
    assert result.stderr.count("blocklist.yaml:3: ") >= 2


def test_check_lists_the_problems_of_the_settings_with_their_lines(tmp_path: Path) -> None:
    result = invoke(
        "check", "--config", files(tmp_path, settings="cache:\n  size_mb: 0\nlisten:\n  dns: [x]\n")
    )
    assert result.exit_code == 2
    assert "resolver.yaml:2: " in result.stderr
    assert "resolver.yaml:4: " in result.stderr


def test_check_of_a_broken_list_names_its_file(tmp_path: Path) -> None:
    config = files(tmp_path, blocklist=GOOD_BLOCKLIST + "lists:\n  - {name: ads, path: missing.txt}\n")
    result = invoke("check", "--config", config)
    assert result.exit_code == 2
    assert "missing.txt" in result.stderr


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_warnings_alone_fail_only_a_strict_check(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    blocklist = GOOD_BLOCKLIST.replace("domains:", "action: drop, domains:")
    result = invoke("check", "--config", files(tmp_path, blocklist=blocklist), *options)
    assert result.exit_code == code
    assert "warning" in result.stderr


def test_check_says_when_threads_have_few_source_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = files(tmp_path, settings="blocklist: blocklist.yaml\nengine: python\n")
    assert "source ports" not in invoke("check", "--config", config, "--strict").stderr
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    result = invoke("check", "--config", config, "--strict")
    assert result.exit_code == 1
    assert "resolver.yaml: warning: upstreams: the limit of" in result.stderr
    assert "leaves 256 source ports for each upstream and thread" in result.stderr


def test_check_as_json_is_one_document(tmp_path: Path) -> None:
    result = invoke("check", "--config", files(tmp_path, blocklist="version: 7\n"), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 2
    assert report["ok"] is False
    assert report["problems"][0]["line"] == 1


def test_check_of_a_blocklist_alone_needs_no_settings(tmp_path: Path) -> None:
    files(tmp_path)
    assert invoke("check", "--blocklist", tmp_path / "blocklist.yaml").exit_code == 0


@pytest.mark.parametrize("command", [("check",), ("run",), ("explain", "example.org")])
def test_settings_that_are_not_there_are_bad_input(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--config", tmp_path / "missing.yaml")
    assert result.exit_code == 2
    assert "missing.yaml" in result.stderr


def test_run_refuses_an_engine_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NATIVE_PACKAGE, None)
    result = invoke("run", "--config", files(tmp_path, settings="engine: native\n"))
    assert result.exit_code == 2
    assert "native" in result.stderr


@pytest.mark.parametrize("kind", ["settings", "blocklist", "records"])
def test_schema_is_a_json_schema(kind: str) -> None:
    result = invoke("schema", kind)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["type"] == "object"


def test_schema_of_something_else_is_bad_input() -> None:
    assert invoke("schema", "weather").exit_code == 2


@pytest.mark.parametrize(
    ("contact", "says"),
    [
        ("", "is not set"),
        ("contact: 'https://example.net/help'", "has no mailto: or tel: URI"),
        ("contact: 'mailto:noc@example.net'", None),
    ],
)
def test_check_says_when_structured_errors_have_nobody_to_name(
    tmp_path: Path, contact: str, says: str | None
) -> None:
    blocklist = GOOD_BLOCKLIST.replace("exchanges:", f"defaults: {{{contact}}}\nexchanges:", 1)
    settings = "blocklist: blocklist.yaml\nstructured_errors: {enabled: true, option_code: 65001}\n"
    result = invoke("check", "--config", files(tmp_path, settings=settings, blocklist=blocklist))
    assert result.exit_code == 0
    assert ("defaults.contact" in result.stderr) is (says is not None)
    assert says is None or says in result.stderr
    off = files(tmp_path, settings="blocklist: blocklist.yaml\n", blocklist=blocklist)
    assert "defaults.contact" not in invoke("check", "--config", off).stderr
