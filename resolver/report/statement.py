"""The end of every report: the hashes of all its forms, and how a signature is checked.

Knows: what is hashed, openssl's words.  Does not know: keys themselves, files.
Theory: a form cannot hold its own hash, so what is hashed of each is what stands before this part; the
signature is of the whole file, this part included.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resolver.report.catalogue import Texts
from resolver.report.document import (
    Block,
    Cell,
    Code,
    Commands,
    Facts,
    Heading,
    Note,
    Paragraph,
    Section,
)

FORMS = ("markdown", "html", "csv")
"""Forms of a report that have a hash of their own; of the JSON it is the report's."""

VERIFIED = "Signature Verified Successfully"
"""What openssl says."""


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs, and under which names the files stand."""

    fingerprint: str
    file: str
    """The written file's name, without its folder."""
    public_key: str
    """The public key's."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the end of a report says."""

    report: str
    """SHA-256 of the canonical JSON."""
    forms: Mapping[str, str]
    """Each of `FORMS` -> SHA-256 of it up to this statement."""
    signing: Signing | None


def statement_json(statement: Statement) -> dict[str, Any]:
    """For the JSON form."""
    signing = statement.signing
    return {
        "report_sha256": statement.report,
        "forms_sha256": dict(statement.forms),
        "signature": None
        if signing is None
        else {
            "algorithm": "Ed25519",
            "file": f"{signing.file}.sig",
            "public_key_sha256": signing.fingerprint,
            "check": openssl_commands(signing)[0],
        },
    }


def statement_rows(statement: Statement) -> list[dict[str, object]]:
    """For the CSV form."""
    rows: list[dict[str, object]] = [
        {"kind": "statement", "name": "report_sha256", "detail": statement.report},
    ]
    for form, digest in statement.forms.items():
        rows.append({"kind": "statement", "name": f"{form}_sha256", "detail": digest})
    if (signing := statement.signing) is not None:
        rows.append({"kind": "statement", "name": "public_key_sha256", "detail": signing.fingerprint})
        rows.append({"kind": "statement", "name": "check", "detail": openssl_commands(signing)[0]})
    return rows


def statement_section(statement: Statement, texts: Texts) -> Section:
    """For documents."""
    rows: list[tuple[str, Cell]] = [(texts("hash_report"), (Code(statement.report),))]
    rows += [
        (texts("hash_form", form=form.upper() if form != "markdown" else "Markdown"), (Code(digest),))
        for form, digest in statement.forms.items()
    ]
    signing = statement.signing
    if signing is not None:
        rows.append((texts("key_fingerprint"), (Code(signing.fingerprint),)))
    blocks: list[Block] = [Paragraph((texts("integrity_text"),)), Facts(tuple(rows), is_wide=True)]
    if signing is None:
        blocks.append(Note((texts("not_signed"),), "warn"))
    else:
        check, digest = openssl_commands(signing)
        blocks += [
            Heading(texts("how_to_check")),
            Paragraph((texts("check_text", file=f"{signing.file}.sig", key=signing.public_key),)),
            Commands((check,)),
            Paragraph((texts("check_answer", answer=VERIFIED),)),
            Paragraph((texts("check_key"),)),
            Commands((digest,)),
            Paragraph((texts("check_program"),)),
            Commands((f"exchange-resolver verify-report {_word(signing.file)} {_word(signing.public_key)}",)),
        ]
    return Section("statement", texts("integrity"), texts("integrity"), tuple(blocks))


def openssl_commands(signing: Signing) -> tuple[str, str]:
    """Check the signature; print the public key's fingerprint."""
    key, file = _word(signing.public_key), _word(signing.file)
    sigfile = _word(f"{signing.file}.sig")
    check = f"openssl pkeyutl -verify -pubin -inkey {key} -rawin -in {file} -sigfile {sigfile}"
    return check, f"openssl pkey -pubin -in {key} -outform DER | openssl dgst -sha256"


def _word(name: str) -> str:
    """A file's name as one word of a shell, and never an option."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)
