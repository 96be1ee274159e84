"""report keygen, signed reports and verify-report, as people call them."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.report_rig import SUFFIXES, Desk, desk

__all__ = ["desk"]


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
