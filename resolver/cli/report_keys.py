"""`report keygen` and `verify-report`: keys and signatures as files.

Knows: files, modes, words, exit codes.  Does not know: cryptography.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input
from resolver.durable import write_new_pair
from resolver.portions import open_regular, read_up_to
from resolver.problems import Problem, printable
from resolver.report.signature import (
    KEY_OCTETS_MAX,
    SIGNATURE_OCTETS,
    KeyUnusable,
    PublicKey,
    fingerprint,
    is_signed,
    new_key_pair,
    public_key,
)

REPORT_OCTETS_MAX = 1 << 30
"""Longer files are no report of ours: the largest blocklists make some hundred megabytes."""

_KEY_IN_REPORT = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def make_keys(path: Path) -> int:
    """Write a key pair; the exit code."""
    public_path = path.with_name(f"{path.name}.pub")
    for taken in (path, public_path):
        if os.path.lexists(taken):
            message = "is there already, and keys are never written over; choose another PATH"
            return bad_input([Problem(str(taken), 0, message)])
    private, public = new_key_pair()
    try:
        write_new_pair(path, private, public_path, public)
    except OSError as error:
        return bad_input([Problem(str(error.filename or path), 0, f"cannot be written: {error.strerror}")])
    print(f"private key: {printable(str(path))} (keep it; whoever has it can sign in your name)")
    print(f"public key:  {printable(str(public_path))} (give it to those who get your reports)")
    print(f"fingerprint of the public key (SHA-256): {fingerprint(public_key(public))}")
    return EXIT_FINE


def check_signature(file: Path, key: Path, *, as_json: bool) -> int:
    """Say whether the file is as it was signed; the exit code."""
    sig = file.with_name(f"{file.name}.sig")
    try:
        octets = read_file(file, REPORT_OCTETS_MAX)
        signature = _read_signature(sig, file)
        public = _read_public(key)
    except BadInput as error:
        return bad_input(error.problems, as_json=as_json)
    is_good = is_signed(octets, signature, public)
    ours = fingerprint(public)
    if is_good:
        said = f"{file}: the signature is good: the file is as it was signed with the key {ours}"
    else:
        said = f"{file}: THE SIGNATURE DOES NOT FIT: {_why(octets, ours, key, sig)}"
    if as_json:
        result = {"file": str(file), "good": is_good, "key_sha256": ours, "message": said}
        print(json.dumps(result, indent=2))
    else:
        print(printable(said))
    return EXIT_FINE if is_good else EXIT_FINDINGS


def _why(octets: bytes, ours: str, key: Path, sig: Path) -> str:
    if ours.encode() not in {found.lower() for found in _KEY_IN_REPORT.findall(octets)}:
        return f"the report names another key than {key} (SHA-256 {ours}), or it was changed"
    return f"the report or {sig.name} was changed after it was signed"


def read_file(path: Path, most: int) -> bytes:
    """The file's octets.  Raises BadInput, also for more than `most` octets."""
    try:
        with open_regular(path) as file:
            octets = read_up_to(file, most + 1)
    except OSError as error:
        raise BadInput([Problem(str(path), 0, f"cannot be read: {error.strerror or error}")]) from None
    if len(octets) > most:
        raise BadInput([Problem(str(path), 0, f"is longer than {most:,} octets: not a file of this kind")])
    return octets


def _read_signature(sig: Path, file: Path) -> bytes:
    if not sig.exists():
        message = (
            f"is not there: a signature stands beside its report; {file.name} was not signed, or came alone"
        )
        raise BadInput([Problem(str(sig), 0, message)])
    signature = read_file(sig, KEY_OCTETS_MAX)
    if len(signature) != SIGNATURE_OCTETS:
        message = f"is no signature: it has {len(signature):,} octets, and a signature {SIGNATURE_OCTETS}"
        raise BadInput([Problem(str(sig), 0, message)])
    return signature


def _read_public(path: Path) -> PublicKey:
    try:
        return public_key(read_file(path, KEY_OCTETS_MAX))
    except KeyUnusable as error:
        raise BadInput([Problem(str(path), 0, str(error))]) from None
