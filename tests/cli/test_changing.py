"""edit and proposals as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.publishing.approvals import read_approvals
from tests.support.desk import Desk

TEXT = """\
version: 1
orders:
  law: {authority: Court, title: Order}
exchanges:
  acme: {name: Acme, domains: [acme.example]}  # ours
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.blocklist.write_text(TEXT)
    return desk


def two_person(desk: Desk) -> None:
    desk.config.write_text(desk.config.read_text() + "http: {changes: two-person}\n")


def test_edit_writes_the_file_with_its_comments_and_names_the_user(desk: Desk) -> None:
    result = desk.run("edit", "exchange", "acme", "--add-domain", "more.example", "--set", "order=law")
    assert result.exit_code == 0 and "+ more.example" in result.stdout
    line = "  acme: {name: Acme, domains: [acme.example, more.example], order: law}  # ours"
    assert line.replace("order: law", "order: [law]") in desk.blocklist.read_text()
    [approval] = read_approvals(desk.state)
    assert approval.who and not approval.via and not approval.is_forced


def test_dry_run_says_what_would_change_and_writes_nothing(desk: Desk) -> None:
    words = ["edit", "exchange", "acme", "--add-domain", "more.example", "--dry-run"]
    result = desk.run(*words)
    assert result.exit_code == 0 and "+ more.example" in result.stdout
    assert "nothing was written" in result.stdout and "within seconds" not in result.stdout
    assert json.loads(desk.run(*words, "--json").stdout)["state"] == "previewed"
    assert desk.blocklist.read_text() == TEXT and read_approvals(desk.state) == []


def test_edit_adds_and_removes_whole_entries(desk: Desk) -> None:
    added = desk.run("edit", "exchange", "beta", "--add", "--set", "name=Beta", "--add-domain", "b.example")
    assert added.exit_code == 0 and "  beta:\n    name: Beta\n" in desk.blocklist.read_text()
    assert (
        desk.run("edit", "order", "own", "--add", "--set", "authority=Us", "--set", "title=T").exit_code == 0
    )
    assert desk.run("edit", "exception", "www.acme.example", "--add", "--set", "reason=shop").exit_code == 0
    assert "  - {name: www.acme.example, reason: shop}" in desk.blocklist.read_text()
    assert desk.run("edit", "exception", "www.acme.example", "--remove").exit_code == 0
    removed = desk.run("edit", "exchange", "beta", "--remove", "--json")
    assert removed.exit_code == 0 and json.loads(removed.stdout)["state"] == "applied"
    assert "beta" not in desk.blocklist.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["exchange", "acme"],
        ["exchange", "acme", "--set", "path=/etc/passwd"],
        ["exchange", "acme", "--set", "ttl_s=soon"],
        ["exchange", "acme", "--set", "name"],
        ["exchange", "nobody", "--remove"],
        ["exchange", "acme", "--remove", "--set", "name=A"],
        ["exchange", "acme", "--set", "order=nothing"],
        ["from", "/nowhere/edits.json"],
    ],
    ids=" ".join,
)
def test_edit_that_cannot_be_made_writes_nothing_and_says_why(desk: Desk, words: list[str]) -> None:
    result = desk.run("edit", *words)
    assert result.exit_code == 2 and result.stderr.startswith(("edit: ", str(desk.blocklist)))
    assert desk.blocklist.read_text() == TEXT and read_approvals(desk.state) == []


def test_edits_from_a_file_are_all_made_or_none(desk: Desk) -> None:
    file = desk.folder / "edits.json"
    edits = [
        {"do": "set-exchange", "id": "acme", "keys": {"name": "Acme Ltd"}},
        {"do": "remove-exchange", "id": "nobody"},
    ]
    file.write_text(json.dumps(edits))
    assert desk.run("edit", "from", file).exit_code == 2 and desk.blocklist.read_text() == TEXT
    file.write_text(json.dumps(edits[:1]))
    assert desk.run("edit", "from", file).exit_code == 0 and "Acme Ltd" in desk.blocklist.read_text()


def test_with_two_people_an_edit_waits_and_is_approved_alone_by_force_only(desk: Desk) -> None:
    two_person(desk)
    assert desk.run("edit", "exchange", "acme", "--add-domain", "b.example").exit_code == 2, "needs a reason"
    result = desk.run("edit", "exchange", "acme", "--add-domain", "b.example", "--reason", "why", "--json")
    assert result.exit_code == 0 and desk.blocklist.read_text() == TEXT
    name = json.loads(result.stdout)["proposal"]
    assert name in desk.run("proposals").stdout
    assert "+ b.example" in desk.run("proposals", "show", name).stdout
    refused = desk.run("proposals", "approve", name)
    assert refused.exit_code == 2 and "--force --reason" in refused.stderr
    assert desk.run("proposals", "approve", name, "--force", "--reason", "fire").exit_code == 0
    assert "b.example" in desk.blocklist.read_text()
    [approval] = read_approvals(desk.state)
    assert approval.approved_by.endswith("alone, on this machine: fire")


def test_rejected_proposal_is_not_written(desk: Desk) -> None:
    two_person(desk)
    result = desk.run("edit", "exchange", "acme", "--set", "mode=shadow", "--reason", "why", "--json")
    name = json.loads(result.stdout)["proposal"]
    assert desk.run("proposals", "reject", name, "--reason", "no").exit_code == 0
    assert desk.run("proposals", "approve", name, "--force", "--reason", "x").exit_code == 2
    assert desk.blocklist.read_text() == TEXT
