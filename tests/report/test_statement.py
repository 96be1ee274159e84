"""The end of a report: hashes that hold, and keys and signatures that openssl reads."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from resolver.report.catalogue import texts_of
from resolver.report.csv_form import csv_body
from resolver.report.html import HtmlWriter
from resolver.report.json_form import as_json, canonical, hash_of
from resolver.report.layout import document_of
from resolver.report.markdown import markdown_body
from resolver.report.rendering import Format, rendered
from resolver.report.signature import (
    SIGNATURE_OCTETS,
    KeyUnusable,
    fingerprint,
    is_signed,
    new_key_pair,
    private_key,
    public_key,
)
from resolver.report.statement import Signing, openssl_commands
from tests.report.support import ZONE, report

FORMS: tuple[Format, ...] = ("markdown", "html", "csv", "json")


def form_of(form: Format, signing: Signing | None = None) -> bytes:
    return rendered(report(), form, texts_of("en"), ZONE, signing)


def hashes() -> dict[str, str]:
    statement = json.loads(form_of("json"))["statement"]
    return {"report": statement["report_sha256"], **statement["forms_sha256"]}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_states_the_hashes_of_all(form: Format) -> None:
    said = form_of(form).decode()
    assert all(digest in said for digest in hashes().values())


def test_the_hashes_are_of_the_json_and_of_what_stands_before_the_statement() -> None:
    made, texts = report(), texts_of("en")
    document = document_of(made, texts, ZONE)
    assert hashes() == {
        "report": hash_of(canonical(as_json(made, ZONE))),
        "markdown": hash_of(markdown_body(document).encode()),
        "html": hash_of(HtmlWriter(is_right_to_left=False).body(document).encode()),
        "csv": hash_of(csv_body(made, ZONE).encode()),
    }


@pytest.mark.parametrize(
    ("form", "begin"),
    [("markdown", "## Integrity"), ("html", '<section id="statement">'), ("csv", '"statement"')],
)
def test_a_reader_can_cut_a_form_and_hash_it(form: Format, begin: str) -> None:
    octets = form_of(form)
    before = octets[: octets.index(begin.encode())]
    assert hash_of(before) == hashes()[form]


def test_a_reader_can_hash_the_json() -> None:
    whole = json.loads(form_of("json"))
    text = json.dumps(whole["report"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hash_of(text.encode()) == whole["statement"]["report_sha256"]


def test_the_canonical_form_has_whole_numbers_only() -> None:
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [found for one in value.values() for found in numbers(one)]
        if isinstance(value, list):
            return [found for one in value for found in numbers(one)]
        return [value] if isinstance(value, float) else []

    assert numbers(as_json(report(), ZONE)) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_report_without_a_signature_says_so(form: Format) -> None:
    said = form_of(form).decode()
    assert "openssl" not in said
    if form in ("markdown", "html"):
        assert "This copy is not signed." in said


@pytest.mark.parametrize("form", FORMS)
def test_a_signed_report_names_its_key_and_the_command(form: Format) -> None:
    signing = Signing("ab" * 32, f"my report.{form}", "op.pub")
    said = form_of(form, signing).decode()
    if form == "csv":
        said = " ".join(row[-1] for row in csv.reader(io.StringIO(said)))
    assert "ab" * 32 in said
    assert "openssl pkeyutl -verify -pubin -inkey op.pub -rawin -in" in said


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("r.html", "-in r.html "),
        ("a b.html", "-in 'a b.html' "),
        ("-r.html", "-in ./-r.html "),
        ("$(x)", "-in '$(x)' "),
    ],
)
def test_the_command_is_safe_to_type(file: str, word: str) -> None:
    assert word in openssl_commands(Signing("ab", file, "k.pub"))[0]


def test_a_signature_fits_these_octets_and_this_key_alone() -> None:
    private, public = new_key_pair()
    key, other = public_key(public), public_key(new_key_pair()[1])
    octets = form_of("html")
    signature = private_key(private).sign(octets)
    assert len(signature) == SIGNATURE_OCTETS
    assert is_signed(octets, signature, key)
    assert not is_signed(octets, signature, other)
    assert not is_signed(octets + b"\n", signature, key)
    assert not is_signed(octets, bytes(64), key)


def test_no_octet_can_change_unseen() -> None:
    private, public = new_key_pair()
    key, octets = public_key(public), form_of("csv")
    signature = private_key(private).sign(octets)
    for at in range(0, len(octets), 97):
        changed = octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]
        assert not is_signed(changed, signature, key), at
    for at in range(len(signature)):
        changed = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
        assert not is_signed(octets, changed, key), at


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is a public key"),
    ],
)
def test_what_is_no_private_key_is_said(octets: bytes, said: str) -> None:
    with pytest.raises(KeyUnusable, match=said):
        private_key(octets)


def test_what_is_no_public_key_is_said() -> None:
    with pytest.raises(KeyUnusable, match="is a private key"):
        public_key(new_key_pair()[0])
    with pytest.raises(KeyUnusable, match="no public key"):
        public_key(b"hello")


def run(*words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(word) for word in words], input=stdin, capture_output=True, check=False)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_keys_of_another_kind_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    options = ["rsa_keygen_bits:1024"] if kind == "RSA" else ["ec_paramgen_curve:P-256"]
    run("openssl", "genpkey", "-algorithm", kind, "-pkeyopt", *options, "-out", path)
    with pytest.raises(KeyUnusable, match="no Ed25519 key"):
        private_key(path.read_bytes())
    with pytest.raises(KeyUnusable, match="no Ed25519 key"):
        public_key(run("openssl", "pkey", "-in", path, "-pubout").stdout)


@pytest.mark.needs("openssl")
def test_a_key_with_a_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    run("openssl", "genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:x", "-out", path)
    with pytest.raises(KeyUnusable, match="password"):
        private_key(path.read_bytes())


@pytest.mark.needs("openssl")
def test_a_key_that_openssl_made_is_as_good(tmp_path: Path) -> None:
    path = tmp_path / "key"
    run("openssl", "genpkey", "-algorithm", "ED25519", "-out", path)
    assert private_key(path.read_bytes())


@pytest.mark.needs("openssl")
def test_openssl_prints_the_fingerprint_by_the_command_of_the_report(tmp_path: Path) -> None:
    public = new_key_pair()[1]
    (tmp_path / "op.pub").write_bytes(public)
    command = openssl_commands(Signing("", "r.html", "op.pub"))[1]
    said = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    assert fingerprint(public_key(public)) in said
