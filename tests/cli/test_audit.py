"""`audit` as people and programs see it: hostile texts in every format, options, exit codes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from resolver.audit.results import (
    AuditResult,
    Fault,
    Kind,
    Lag,
    Listener,
    NameResult,
    Note,
    Proof,
    Selection,
    ServerResult,
    Status,
    result_from,
)
from resolver.cli import audit as audit_command
from resolver.cli import audit_text
from resolver.cli.app import app
from resolver.cli.audit import Choices, audit_policy
from resolver.cli.audit_junit import junit_text

HOSTILE = [
    "<script>alert(1)</script>",
    "]]> <!-- --> &amp; \" ' <",
    "one\ntwo\r\nthree\tfour",
    "\x1b[31mred\x1b[0m \x07 \x00 \x9b",
    "[bold]markup[/bold] [/]",
    "\u202egnirts \u2066hidden\u2069 \u200b \ufeff",
    "\ufffe \uffff \ud800",
    "=cmd|' /C calc'!A0",
    "long " * 12_000,
]


def result_with(text: str, *, is_confidential: bool = False) -> AuditResult:
    """A result in which everything that somebody else may have written is `text`."""
    fault = Fault(Kind.LEAK, text, text, text)
    name = NameResult(
        name="a.example",
        form="subtree",
        kind="exchange",
        source=text,
        orders=(text,),
        file=text,
        line=3,
        is_confidential=is_confidential,
        proofs=(Proof(Status.UNCOVERED, text, 1, 1, (fault,)),),
    )
    skipped = replace(name, proofs=(Proof(Status.PENDING, text),))
    listener = Listener("192.0.2.1:53", "udp", 1, 1, says=text)
    server = ServerResult(text, False, (listener,), (Note(Kind.EDE, text, 2, (text,)),))
    return AuditResult(
        started_at=1_700_000_000.0,
        ended_at=1_700_000_001.0,
        program="1.0",
        policy="abc",
        blocklist=text,
        is_strict=False,
        selection=Selection(),
        servers=(server,),
        names=(name, skipped),
        lags=(Lag(text, "serial", text),),
        left_out={text: 3},
    )


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_harmless_in_junit(text: str) -> None:
    document = junit_text(result_with(text))
    root = ElementTree.fromstring(document.encode())
    (suite,) = root
    assert suite.attrib["tests"] == "3" and suite.attrib["failures"] == "2" and suite.attrib["skipped"] == "1"
    assert len(suite) == 3 and {child.tag for child in suite.iter()} <= {
        "testsuite",
        "testcase",
        "failure",
        "skipped",
    }
    assert not re.search("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]", document)
    assert len(document) < 20_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("width", [80, 200])
def test_hostile_texts_are_harmless_in_the_table(
    text: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_text, "Console", lambda **_: Console(width=width))
    audit_text.print_result(result_with(text), as_json=False, as_junit=False)
    shown = capsys.readouterr().out
    assert not re.search("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]", shown)
    assert all(len(line) <= width for line in shown.splitlines())
    assert "\n" + "two" not in shown
    assert len(shown) < 20_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_go_through_json_unchanged(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_with(text)
    audit_text.print_result(result, as_json=True, as_junit=False)
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert result_from(json.loads(shown)) == result


def test_what_is_confidential_is_marked_here_and_not_told_in_junit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = result_with("secret", is_confidential=True)
    audit_text.print_result(result, as_json=False, as_junit=False)
    assert "(confidential)" in capsys.readouterr().out
    document = junit_text(replace(result, servers=(replace(result.servers[0], name="s", notes=()),)))
    assert "a.example" not in document and 'type="confidential"' in document


def test_a_progress_bar_goes_to_nobody_but_a_terminal() -> None:
    with audit_text.progress_of(2) as tell:
        tell(1, 10)
        tell(10, 10)


# The command.


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["audit", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def blocklist(tmp_path: Path) -> Path:
    path = tmp_path / "blocklist.yaml"
    path.write_text("version: 1\nexchanges:\n  alpha: {name: Alpha, domains: [alpha.example]}\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "dns.example"], "is no address"),
        (["--server", "192.0.2.1", "nonsense"], "is no address"),
        (["--order", "o1", "--server", "192.0.2.1"], "there is no order 'o1'"),
        (["--exchange", "alhpa", "--server", "192.0.2.1"], "did you mean 'alpha'"),
        (["--register", "x", "--server", "192.0.2.1"], "there is no list 'x'"),
    ],
)
def test_bad_options_are_told_with_exit_code_2(arguments: list[str], said: str, blocklist: Path) -> None:
    code, _, error = run("--blocklist", str(blocklist), *arguments)
    assert code == 2 and said in error
    code, output, _ = run("--blocklist", str(blocklist), *arguments, "--json")
    assert code == 2 and said in json.loads(output)["problems"][0]["message"]


@pytest.mark.parametrize(
    "arguments",
    [["--json", "--junit"], ["192.0.2.1"], ["--qps", "0"], ["--sample", "0"], ["--qps", "x"]],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], blocklist: Path) -> None:
    code, _, _ = run("--blocklist", str(blocklist), *arguments)
    assert code == 2


def test_a_bad_blocklist_is_told_with_its_line(blocklist: Path) -> None:
    blocklist.write_text("version: 1\nexchanges: {alpha: {nmae: Alpha}}\n")
    code, _, error = run("--blocklist", str(blocklist), "--server", "192.0.2.1")
    assert code == 2 and f"{blocklist}:2" in error


def test_settings_without_an_address_to_ask_say_what_to_do(tmp_path: Path, blocklist: Path) -> None:
    config = tmp_path / "resolver.yaml"
    config.write_text(
        'listen: {dns: ["127.0.0.1:0"], http: null}\nblocklist: blocklist.yaml\nstate_dir: state\n'
    )
    code, _, error = run("--config", str(config))
    assert code == 2 and "--server" in error


def test_help_names_every_option() -> None:
    done = CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200"})
    for option in (
        "--server",
        "--order",
        "--exchange",
        "--register",
        "--qps",
        "--sample",
        "--strict",
        "--json",
        "--junit",
    ):
        assert option in done.stdout


def test_only_an_audit_of_the_servers_own_policy_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
    for name in ("blocklist.yaml", "other.yaml"):
        (tmp_path / name).write_text(
            "version: 1\norders: {o: {authority: A, title: T}}\n"
            "exchanges: {acme: {name: Acme, order: o, domains: [acme.example]}}\n"
        )
    monkeypatch.setattr(audit_command, "_audit", lambda *_: result_with("calm"))
    config = tmp_path / "resolver.yaml"
    kept = {
        words: audit_policy(config, blocklist, choices) is not None
        and sorted(path.name for path in (tmp_path / "state").glob("audit/*"))
        for words, blocklist, choices in (
            ("another blocklist", tmp_path / "other.yaml", Choices()),
            ("an exchange", None, Choices(exchange="acme")),
            ("a sample", None, Choices(sample=3)),
            ("an order", None, Choices(order="o")),
            ("all", None, Choices()),
        )
    }
    capsys.readouterr()
    assert kept == {
        "another blocklist": [],
        "an exchange": [],
        "a sample": [],
        "an order": ["order-o.json"],
        "all": ["last.json", "order-o.json"],
    }
