"""The manual pages and the completion scripts: made of the program, and of use to man and to shells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from resolver.blocklist.keys import blocklist_schema
from resolver.cli.app import app
from resolver.config.settings import settings_schema
from tests.packaging.tools import ROOT, tool

MAN, COMPLETIONS = tool("man_pages"), tool("completions")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    MAN.main(folder)
    return folder


def test_every_command_and_every_option_has_its_place_in_the_manual(pages: Path) -> None:
    command = typer.main.get_command(app)
    waiting = [("exchange-resolver", command)]
    seen = 0
    while waiting:
        name, one = waiting.pop()
        page = (pages / f"{name}.1").read_text()
        for parameter in one.params if name != "exchange-resolver" else []:
            for option in parameter.opts if parameter.param_type_name == "option" else []:
                assert option.replace("-", "\\-") in page, (name, option)
                seen += 1
        for child, below in getattr(one, "commands", {}).items():
            assert child.replace("-", "\\-") in page
            waiting.append((f"{name}-{child}", below))
    assert seen > 50


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("exchange-resolver.yaml.5", settings_schema()),
        ("exchange-resolver-blocklist.5", blocklist_schema()),
    ],
    ids=["settings", "blocklist"],
)
def test_every_key_of_a_file_is_in_its_page(pages: Path, name: str, schema: dict[str, object]) -> None:
    page = (pages / name).read_text()
    sections = [schema, *schema["$defs"].values()]  # type: ignore[attr-defined]
    keys = {key.replace("-", "\\-") for section in sections for key in section.get("properties", {})}
    told = set(re.findall(r"^\.TP\n\\fB(.*?)\\fR$", page, re.MULTILINE))
    assert len(keys) > 30 and keys - told == set()


@pytest.mark.needs("mandoc")
def test_mandoc_finds_nothing_wrong(pages: Path) -> None:
    words = ["mandoc", "-T", "lint", "-W", "warning", *map(str, sorted(pages.iterdir()))]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.stdout + told.stderr == ""


def test_text_that_would_be_a_request_is_text() -> None:
    assert MAN._escape(".SH x") == "\\&.SH x"
    assert MAN._escape("a\\b -c 'ü'") == "a\\eb \\-c '\\[u00FC]'"


@pytest.fixture
def shells(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The scripts, and an environment in which the command is found."""
    COMPLETIONS.main(tmp_path)
    command = tmp_path / "bin" / "exchange-resolver"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m resolver "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    return tmp_path, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}


BASH = """
source {folder}/bash/exchange-resolver
COMP_WORDS=(exchange-resolver ex) COMP_CWORD=1
_exchange_resolver_completion exchange-resolver
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """
fpath=({folder}/zsh $fpath)
autoload -Uz compinit && compinit -u -d {folder}/dump
print -r -- "registered $_comps[exchange-resolver]"
words=(exchange-resolver ex) CURRENT=2
_arguments() {{ print -r -- "$@" }}
autoload -Uz +X _exchange-resolver
functions -c _exchange-resolver tried 2>/dev/null
source {folder}/zsh/_exchange-resolver
_exchange_resolver_completion
"""

FISH = """
source {folder}/fish/exchange-resolver.fish
complete --do-complete 'exchange-resolver ex'
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "shell",
    [pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in ("bash", "zsh", "fish")],
)
def test_a_shell_completes_the_names_of_commands(shell: str, shells: tuple[Path, dict[str, str]]) -> None:
    folder, environment = shells
    script = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell].format(folder=folder)
    words = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"], "fish": ["fish", "--no-config"]}[shell]
    told = subprocess.run(
        [*words, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert {"explain", "export"} <= set(re.findall(r"\w+", told.stdout)), told.stderr
    assert "audit" not in told.stdout, "only what begins so"
    if shell == "zsh":
        assert "registered _exchange-resolver" in told.stdout
