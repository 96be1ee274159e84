"""The command: where the export goes, where the report goes, and what the exit code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.cli.export import export_files
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiler import compile_in_process
from resolver.wire.names import name_from_text

POLICY = """\
version: 1
exchanges:
  alpha: {name: Alpha, domains: [alpha.example]}
"""
LATER = POLICY + "  later: {name: Later, from: 2099-01-01, domains: [later.example]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blocklist.yaml").write_text(POLICY)
    return tmp_path


def export(
    folder: Path, list_format: str, output: str | None = None, *, at: str | None = None, as_json: bool = False
) -> int:
    return export_files(
        list_format,
        config=None,
        blocklist=folder / "blocklist.yaml",
        output=folder / output if output else None,
        at=at,
        as_json=as_json,
    )


def test_without_loss_the_exit_code_is_0_and_nothing_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, "dnsmasq") == 0
    out, err = capsys.readouterr()
    assert "address=/alpha.example/" in out.splitlines() and err == ""


def test_a_loss_is_reported_on_standard_error_with_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, "hosts") == 1
    out, err = capsys.readouterr()
    assert "0.0.0.0 alpha.example" in out.splitlines()
    assert "subtree (1)" in err and "alpha.example" in err


def test_json_goes_where_the_export_does_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(folder, "hosts", as_json=True) == 1
    out, err = capsys.readouterr()
    assert json.loads(err)["losses"][0]["kind"] == "subtree" and "alpha.example" in out
    assert export(folder, "hosts", "hosts.txt", as_json=True) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == "" and report["files"] == [str(folder / "hosts.txt")]
    assert report["losses"][0]["examples"] == ["alpha.example"] and report["limits"]


def test_the_date_decides_what_is_in_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "blocklist.yaml").write_text(LATER)
    assert export(folder, "domains", "now.txt", at="2030-01-01") == 1
    assert "dates (1)" in capsys.readouterr().err
    assert "later.example" not in (folder / "now.txt").read_text()
    assert export(folder, "domains", "then.txt", at="2099-01-02") == 0
    assert "later.example" in (folder / "then.txt").read_text()


def test_bad_input_is_2_and_leaves_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(folder, "bind") == 2
    assert "--output" in capsys.readouterr().err
    assert export(folder, "rpz", "zone", at="yesterday") == 2
    (folder / "blocklist.yaml").write_text("version: 1\nexchanges: {x: {}}\n")
    assert export(folder, "rpz", "zone") == 2
    (folder / "blocklist.yaml").write_text(POLICY)
    assert export(folder, "rpz", "no-such-folder/zone") == 2
    assert sorted(path.name for path in folder.iterdir()) == ["blocklist.yaml"]


def test_bind_writes_three_files(folder: Path) -> None:
    assert export(folder, "bind", "policy.conf") == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"blocklist.yaml", "policy.conf", "policy.options.conf", "policy.zone"}


def _table(folder: Path, text: str) -> PolicyTable:
    (folder / "again.yaml").write_text(text)
    image, problems = compile_in_process(folder / "again.yaml", folder)
    assert image is not None, problems
    return open_table(image, 1_700_000_000.0, 0.0, 1)


TREES = """\
version: 1
exchanges:
  alpha: {name: Alpha, domains: [alpha.example, "=beta.example", "*.gamma.example", omega.example]}
allow: [ok.alpha.example]
"""
ASKED = [
    f"{prefix}{name}.example"
    for prefix in ("", "www.", "ok.", "www.ok.")
    for name in ("alpha", "beta", "gamma", "delta", "omega")
]


@pytest.mark.parametrize("list_format", ["rpz", "adblock", "domains", "hosts"])
def test_an_export_that_is_read_as_a_list_blocks_the_same_but_for_its_losses(
    folder: Path, list_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "blocklist.yaml").write_text(TREES)
    export(folder, list_format, "names.txt", as_json=True)
    losses = [name for loss in json.loads(capsys.readouterr().out)["losses"] for name in loss["examples"]]
    lists = f"version: 1\nexchanges: {{}}\nlists: [{{name: back, path: names.txt, format: {list_format}}}]\n"
    ours, back = _table(folder, TREES), _table(folder, lists)
    differing = [
        name
        for name in ASKED
        if ours.judge_name(name_from_text(name), 0.0).is_blocked
        is not back.judge_name(name_from_text(name), 0.0).is_blocked
    ]
    assert all(any(f".{name}".endswith(f".{lost}") for lost in losses) for name in differing), differing
    assert not losses or differing
    assert bool(losses) is (list_format in ("domains", "hosts"))
