"""report, report keygen and verify-report, as people call them: without a running server."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from resolver.audit.results import (
    AuditResult,
    Listener,
    NameResult,
    Proof,
    Selection,
    ServerResult,
    Status,
    save_last,
)
from resolver.cli.app import app
from resolver.hits.figures import EXCHANGE, HitKey
from resolver.hits.ledger import Look
from resolver.hits.recorder import HitRecorder
from resolver.hits.writing import Limits
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, orders_of, record

POLICY = """\
version: 1
defaults: {time_zone: Asia/Tokyo}
orders:
  fma-17: {authority: Markets Authority, title: On platforms, reference: FMA/17, imposed_by: external, received: "2020-01-01T00:00:00+00:00"}
  hidden-5: {authority: Hidden Office, title: Hidden title, imposed_by: external, confidential: true}
exchanges:
  acme: {name: Acme, order: fma-17, domains: [acme.example]}
  ghost: {name: Ghost Platform, order: hidden-5, domains: [ghost.example]}
"""
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
SUFFIXES = {"markdown": "md", "html": "html", "csv": "csv", "json": "json"}


class Desk:
    """A folder with settings, a blocklist, a state folder and a key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.key = folder / "op"
        (folder / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(POLICY)

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(app, [*map(str, words)])

    def report(self, *words: object) -> Result:
        return self.run("report", "--config", self.folder / "resolver.yaml", *words)

    def json(self, *words: object) -> dict[str, Any]:
        result = self.report("--format", "json", *words)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout)["report"])

    def serve(self, ago_s: float = 0.0) -> None:
        """Put the blocklist in force, as the server does."""
        applied = Applied(NOW - ago_s, [hash_file(self.blocklist)], {"exchanges": 2, "per_list": {}})
        record(self.state, applied)
        orders_of(self.state, applied)

    def signed(self, form: str = "html") -> Path:
        """A report that is signed."""
        if not self.key.exists():
            assert self.run("report", "keygen", self.key).exit_code == 0
        output = self.folder / f"report.{SUFFIXES[form]}"
        result = self.report("--format", form, "--output", output, "--sign", self.key)
        assert result.exit_code == 0, result.output
        return output

    def verify(self, file: Path) -> Result:
        return self.run("verify-report", file, f"{self.key}.pub")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("resolver.cli.report.time", SimpleNamespace(time=lambda: NOW))
    return Desk(tmp_path)


# What it is made of.


def test_without_a_server_and_without_state_a_report_says_what_is_missing(desk: Desk) -> None:
    result = desk.report()
    assert result.exit_code == 0
    assert "No audit is recorded" in result.stdout
    assert "Hits are missing" in result.stdout
    assert "It is not recorded that a server has put this policy in force." in result.stdout
    assert str(desk.state) not in result.stdout


def test_a_report_is_of_the_policy_that_served_and_says_that_the_file_was_edited(desk: Desk) -> None:
    desk.serve()
    assert desk.json()["missing"] == ["no_hits", "no_audit"]
    desk.blocklist.write_text(POLICY.replace("acme.example", "other.example"))
    made = desk.json()
    assert made["missing"] == ["edited", "no_hits", "no_audit"]
    assert [name["name"] for one in made["exchanges"] for name in one["names"]] == ["acme.example"]


def test_a_broken_edit_is_no_obstacle(desk: Desk) -> None:
    desk.serve()
    desk.blocklist.write_text("version: [")
    assert desk.json()["missing"][0] == "edited"


def test_a_blocklist_that_is_named_has_no_history(desk: Desk) -> None:
    desk.serve()
    made = desk.json("--blocklist", desk.blocklist)
    assert "no_history" in made["missing"]
    assert made["orders"][0]["in_force_since"] is None


def test_an_order_is_in_force_since_the_history_says(desk: Desk) -> None:
    desk.serve(ago_s=3 * 86_400)
    (order,) = desk.json()["orders"]
    assert order["took_s"] > 0
    assert order["in_force_since"].endswith("+09:00")


def test_hits_come_from_the_history_of_hits(desk: Desk) -> None:
    desk.serve()
    now = NOW
    recorder = HitRecorder(desk.state, Limits(hours=100), at=now - 60, now=0.0)
    recorder.take(Look(now - 30, 30.0, {HitKey(EXCHANGE, "acme", "nxdomain", "enforce"): 41}, {}))
    recorder.write(now)
    recorder.close()
    made = desk.json()
    assert made["hits"]["blocked"] == made["exchanges"][0]["hits"]["blocked"] == 41
    assert made["days_not_counted_whole"] != []


def test_a_damaged_history_of_hits_is_missing_and_no_failure(desk: Desk) -> None:
    desk.serve()
    (desk.state / "hits.sqlite3").write_bytes(b"x" * 5000)
    result = desk.report()
    assert result.exit_code == 0
    assert "Hits are missing" in result.stdout
    assert "hits.sqlite3" in result.stderr


def test_the_last_audit_is_in_it(desk: Desk) -> None:
    desk.serve()
    names = tuple(
        NameResult(
            name,
            "subtree",
            "exchange",
            source,
            (order,),
            "b",
            1,
            secret,
            (Proof(Status.UNCOVERED, "it leaks"),),
        )
        for name, source, order, secret in (
            ("acme.example", "acme", "fma-17", False),
            ("ghost.example", "ghost", "hidden-5", True),
        )
    )
    server = ServerResult("this server", True, (Listener("127.0.0.1:53", "udp", asked=9),))
    save_last(desk.state, AuditResult(1.0, 2.0, "1", "h", "b", False, Selection(), (server,), names))
    audit = desk.json()["audit"]
    assert audit["finding_count"] == 2
    assert [one["name"] for one in audit["findings"]] == ["acme.example"]


def test_an_audit_of_one_order_is_in_the_report_on_that_order_alone(desk: Desk) -> None:
    desk.serve()
    proved = NameResult(
        "acme.example",
        "subtree",
        "exchange",
        "acme",
        ("fma-17",),
        "b",
        1,
        False,
        (Proof(Status.COVERED, ""),),
    )
    server = ServerResult("this server", True, (Listener("127.0.0.1:53", "udp", asked=9),))
    selection = Selection(order="fma-17")
    result = AuditResult(1.0, 2.0, "1", "h", "b", False, selection, (server,), (proved,))
    save_last(desk.state, result, order="fma-17")
    assert desk.json("--order", "fma-17")["orders"][0]["audit"] == {"covered": 1}
    assert desk.json()["audit"] is None


def test_what_is_missing_is_named_with_what_makes_it(desk: Desk) -> None:
    desk.serve()
    words = desk.report("--order", "fma-17").stderr
    assert f"no audit is kept in {desk.state}; 'exchange-resolver audit --order fma-17' makes one" in words
    assert "'exchange-resolver audit' makes one" in desk.report().stderr


@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("word", ["hidden-5", "Hidden Office", "Hidden title", "ghost", "Ghost"])
def test_a_confidential_order_is_counted_in_every_format(desk: Desk, form: str, word: str) -> None:
    desk.serve()
    result = desk.report("--format", form)
    assert word not in result.stdout


def test_what_was_confidential_once_is_not_told_among_the_changes(desk: Desk) -> None:
    desk.serve(ago_s=3000)
    public = POLICY.replace(", confidential: true", "")
    desk.blocklist.write_text(
        public[: public.index("  ghost:")].replace("Hidden", "Other").replace("hidden-5", "other-5")
    )
    desk.serve()
    result = desk.report()
    assert result.exit_code == 0
    assert "ghost" not in result.stdout
    assert "hidden-5" not in result.stdout


def test_a_report_on_one_order_tells_the_changes_of_that_order(desk: Desk) -> None:
    second = POLICY.replace(
        "exchanges:",
        "  b-2: {authority: B, title: B, imposed_by: external}\nexchanges:\n  beta: {name: Beta, order: b-2, domains: [beta.example]}",
    )
    desk.serve(ago_s=3000)
    desk.blocklist.write_text(second)
    desk.serve(ago_s=2000)
    desk.blocklist.write_text(second[: second.index("  acme:")] + second[second.index("  ghost:") :])
    desk.serve()
    found = {
        order: [
            item["what"] for change in desk.json("--order", order)["changes"][-1:] for item in change["items"]
        ]
        for order in ("fma-17", "b-2")
    }
    assert "exchanges_lost" in found["fma-17"]
    assert found["b-2"] == ["orders_gained", "exchanges_gained", "domains_gained"]
    assert "acme" not in desk.report("--order", "b-2").stdout


def test_what_a_list_blocks_for_an_order_is_told_as_enforced(desk: Desk) -> None:
    (desk.folder / "names.txt").write_text("listed.example\n")
    text = POLICY.replace(
        "imposed_by: external, received",
        "imposed_by: external, asks: [listed.example, other.example], received",
        1,
    )
    desk.blocklist.write_text(text + "lists: [{name: theirs, path: names.txt, order: fma-17}]\n")
    (order,) = desk.json()["orders"]
    assert [one["ask"] for one in order["not_enforced"]] == ["other.example"]
    assert order["lists"] == ["theirs"]


def test_a_list_of_a_confidential_order_is_not_named(desk: Desk) -> None:
    (desk.folder / "hush-hush.txt").write_text("listed.example\n")
    text = POLICY.replace(
        "imposed_by: external, received", "imposed_by: external, asks: [listed.example], received", 1
    )
    desk.blocklist.write_text(text + "lists: [{name: hush-hush, path: hush-hush.txt, order: hidden-5}]\n")
    result = desk.report("--format", "json")
    assert result.exit_code == 0
    assert "hush" not in result.stdout
    assert json.loads(result.stdout)["report"]["confidential"]["lists"] == 1


# Options.


def test_the_period_is_thirty_days_and_whole_days_of_the_blocklists_zone(desk: Desk) -> None:
    period = desk.json()["period"]
    made = desk.json("--from", "2026-01-01", "--to", "2026-01-31")
    assert made["period"] == {"first": "2026-01-01", "last": "2026-01-31"}
    assert made["time_zone"] == "Asia/Tokyo"
    assert period == {"first": "2026-11-01", "last": "2026-11-30"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "yesterday"), "is not a day; write 2026-01-31"),
        (("--from", "20260101"), "is not a day"),
        (("--from", "2026-02-30"), "is not a day"),
        (("--to", "2026-12-01"), "is yet to come"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is after the last day"),
        (("--from", "1990-01-01"), "days; allowed: 4,000"),
        (("--order", "fma-18"), "there is no order 'fma-18' (did you mean 'fma-17'?)"),
        (("--order", "hidden-5"), "is confidential"),
        (("--language", "klingon"), "is not a language of reports; there are ar, de, en"),
        (("--sign", "nokey"), "use --output FILE, too"),
    ],
)
def test_bad_options_are_refused_with_words(desk: Desk, words: tuple[str, ...], said: str) -> None:
    result = desk.report(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_one_order_alone(desk: Desk) -> None:
    made = desk.json("--order", "fma-17")
    assert [one["id"] for one in made["orders"]] == ["fma-17"]


@pytest.mark.parametrize(
    ("form", "begin"),
    [("md", "# "), ("html", "<!DOCTYPE html>"), ("csv", '\ufeff"kind"'), ("json", "{"), ("txt", "# ")],
)
def test_the_name_of_the_output_says_the_format(desk: Desk, form: str, begin: str) -> None:
    output = desk.folder / f"r.{form}"
    assert desk.report("--output", output).exit_code == 0
    assert output.read_text("utf-8").startswith(begin)


def test_an_output_that_cannot_be_written_is_said(desk: Desk) -> None:
    result = desk.report("--output", desk.folder / "no" / "r.html")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


# Keys.


def test_keygen_writes_a_private_key_for_its_owner_alone_and_a_public_one(desk: Desk) -> None:
    before = os.umask(0)
    try:
        result = desk.run("report", "keygen", desk.key)
    finally:
        os.umask(before)
    assert result.exit_code == 0
    assert stat.S_IMODE(desk.key.stat().st_mode) == 0o600
    assert desk.key.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    public = desk.folder / "op.pub"
    assert public.read_text().startswith("-----BEGIN PUBLIC KEY-----\n")
    assert stat.S_IMODE(public.stat().st_mode) == 0o644


@pytest.mark.parametrize("taken", ["op", "op.pub"])
@pytest.mark.parametrize("kind", ["file", "dead link"])
def test_keygen_never_writes_over_anything(desk: Desk, taken: str, kind: str) -> None:
    path = desk.folder / taken
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(desk.folder / "nowhere")
    result = desk.run("report", "keygen", desk.key)
    assert result.exit_code == 2
    assert "is there already, and keys are never written over" in result.stderr
    assert {one.name for one in desk.folder.iterdir()} & {"op", "op.pub", "nowhere"} == {taken}
    if kind == "file":
        assert path.read_text() == "mine"


def test_keygen_in_a_folder_that_is_not_there_is_said(desk: Desk) -> None:
    result = desk.run("report", "keygen", desk.folder / "no" / "op")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_key_that_others_may_read_is_refused(desk: Desk) -> None:
    desk.run("report", "keygen", desk.key)
    desk.key.chmod(0o644)
    result = desk.report("--output", desk.folder / "r.html", "--sign", desk.key)
    assert result.exit_code == 2
    assert "chmod 600" in result.stderr
    assert not (desk.folder / "r.html").exists()


@pytest.mark.parametrize("output", ["op", "op.pub"])
def test_a_report_is_never_written_over_its_key(desk: Desk, output: str) -> None:
    desk.run("report", "keygen", desk.key)
    before = desk.key.read_bytes()
    result = desk.report("--output", desk.folder / output, "--sign", desk.key)
    assert result.exit_code == 2
    assert "would be written over the key" in result.stderr
    assert desk.key.read_bytes() == before


@pytest.mark.parametrize("name", ["x\n```\n# Forged", "x\x1b[2J", "x\u202e", "x\udcff"])
@pytest.mark.parametrize("option", ["--output", "--sign"])
def test_a_name_that_cannot_be_printed_does_not_get_into_a_signed_report(
    desk: Desk, name: str, option: str
) -> None:
    desk.run("report", "keygen", desk.key)
    names = {"--output": desk.folder / "r.md", "--sign": desk.key}
    names[option] = desk.folder / name
    result = desk.report(*(word for pair in names.items() for word in pair))
    assert result.exit_code == 2
    assert f"{option}: " in result.stderr and "printable signs only" in result.stderr
    assert not (desk.folder / "r.md").exists()


def test_a_name_of_backticks_does_not_end_the_block_that_it_stands_in(desk: Desk) -> None:
    desk.run("report", "keygen", desk.key)
    output = desk.folder / "````.md"
    assert desk.report("--output", output, "--sign", desk.key).exit_code == 0
    fences = [one for one in MarkdownIt("commonmark").parse(output.read_text("utf-8")) if one.type == "fence"]
    assert len(fences) == 3 and all(one.content.count("\n") == 1 for one in fences)
    assert sum("````.md" in one.content for one in fences) == 2
    assert {len(one.markup) for one in fences} == {3, 5}


def test_a_signature_is_never_written_over_its_key(desk: Desk) -> None:
    key = desk.folder / "r.html.sig"
    desk.run("report", "keygen", key)
    assert desk.report("--output", desk.folder / "r.html", "--sign", key).exit_code == 2
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 200_000])
def test_what_is_no_key_is_said(desk: Desk, content: bytes) -> None:
    desk.key.write_bytes(content)
    desk.key.chmod(0o600)
    result = desk.report("--output", desk.folder / "r.html", "--sign", desk.key)
    assert result.exit_code == 2
    assert str(desk.key) in result.stderr


# Signatures.


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_signed_report_is_verified(desk: Desk, form: str) -> None:
    file = desk.signed(form)
    assert (desk.folder / f"{file.name}.sig").stat().st_size == 64
    result = desk.verify(file)
    assert result.exit_code == 0
    assert "the signature is good" in result.stdout


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_changed_octet_fails(desk: Desk, form: str) -> None:
    file = desk.signed(form)
    octets = file.read_bytes()
    for at in (0, len(octets) // 3, len(octets) - 1):
        file.write_bytes(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :])
        result = desk.verify(file)
        assert result.exit_code == 1
        assert "THE SIGNATURE DOES NOT FIT" in result.stdout
    for changed in (octets + b" ", octets[:-1], b""):
        file.write_bytes(changed)
        assert desk.verify(file).exit_code == 1


def test_a_changed_signature_fails_and_a_broken_one_is_said(desk: Desk) -> None:
    file = desk.signed()
    sig = desk.folder / f"{file.name}.sig"
    octets = sig.read_bytes()
    sig.write_bytes(bytes((octets[0] ^ 1,)) + octets[1:])
    assert desk.verify(file).exit_code == 1
    for broken in (b"", octets[:63], octets + b"\n"):
        sig.write_bytes(broken)
        result = desk.verify(file)
        assert result.exit_code == 2
        assert "is no signature" in result.stderr


def test_a_missing_signature_is_said(desk: Desk) -> None:
    file = desk.signed()
    (desk.folder / f"{file.name}.sig").unlink()
    result = desk.verify(file)
    assert result.exit_code == 2
    assert "a signature stands beside its report" in result.stderr


def test_another_key_fails_and_says_that_it_is_another(desk: Desk) -> None:
    file = desk.signed()
    desk.run("report", "keygen", desk.folder / "other")
    result = desk.run("verify-report", file, desk.folder / "other.pub")
    assert result.exit_code == 1
    assert "names another key" in result.stdout
    assert "names another key" not in desk.verify(file).stdout


@pytest.mark.parametrize("key", ["op", "none", "resolver.yaml"])
def test_what_is_no_public_key_is_said(desk: Desk, key: str) -> None:
    file = desk.signed()
    result = desk.run("verify-report", file, desk.folder / key)
    assert result.exit_code == 2
    assert key in result.stderr


def test_verify_report_speaks_json(desk: Desk) -> None:
    file = desk.signed()
    said = json.loads(desk.run("verify-report", file, f"{desk.key}.pub", "--json").stdout)
    assert said["good"] is True
    missing = desk.run("verify-report", file, desk.folder / "none", "--json")
    assert missing.exit_code == 2
    assert json.loads(missing.stdout)["problems"]


def command_in(file: Path, form: str) -> str:
    """The command for openssl, as a reader finds it in the report."""
    text = file.read_text("utf-8")
    if form == "json":
        return str(json.loads(text)["statement"]["signature"]["check"])
    if form == "csv":
        return next(row[-1] for row in csv.reader(io.StringIO(text)) if row[4] == "check")
    line = next(line for line in text.split("\n") if "openssl pkeyutl" in line)
    return line.replace('<pre dir="ltr">', "").replace("</pre>", "")


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("form", SUFFIXES)
def test_openssl_alone_checks_it_by_the_command_that_stands_in_it(desk: Desk, form: str) -> None:
    file = desk.signed(form)
    command = command_in(file, form)
    assert command.startswith("openssl pkeyutl -verify")

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, shell=True, cwd=desk.folder, capture_output=True, text=True, check=False
        )

    good = check()
    assert good.returncode == 0
    assert "Signature Verified Successfully" in good.stdout + good.stderr
    octets = file.read_bytes()
    file.write_bytes(octets[:-2] + b"x" + octets[-1:])
    bad = check()
    assert bad.returncode != 0
    assert "Signature Verified Successfully" not in bad.stdout + bad.stderr


@pytest.mark.parametrize("language", ["de", "ja", "ar"])
def test_a_report_in_another_language_is_signed_alike(desk: Desk, language: str) -> None:
    desk.run("report", "keygen", desk.key)
    file = desk.folder / "r.html"
    assert desk.report("--output", file, "--sign", desk.key, "--language", language).exit_code == 0
    assert desk.verify(file).exit_code == 0
    assert f'lang="{language}"' in file.read_text("utf-8")
