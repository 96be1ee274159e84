"""Reads a secret from its file, and refuses one that others can read.

Knows: plain text, and the key files that BIND's tsig-keygen writes.  Does not know: what the secret is for.
No message of this file has a word of the secret in it.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path
from typing import Final

import dns.tsig

from resolver.blocklist.transfers import TsigSpec
from resolver.fetching.outcome import FetchFailed, Result

SECRET_OCTETS_MAX: Final = 16_384
_KEY_FILE: Final = re.compile(r'\bsecret\s+"([^"\s]+)"\s*;')


def read_tsig_key(spec: TsigSpec) -> dns.tsig.Key:
    """The key of a transfer.  Raises FetchFailed."""
    path = Path(spec.secret_file)
    try:
        # Strictly: what skips signs that are not base64 would make an empty secret of them.
        secret = base64.b64decode(read_secret(path), validate=True)
    except ValueError:
        secret = b""
    if not secret:
        raise FetchFailed(Result.SECRET, f"{path}: not a secret in base64, nor a file of tsig-keygen")
    return dns.tsig.Key(spec.name, secret, spec.algorithm)


def read_secret(path: Path) -> str:
    """The secret, without white space around it.  Raises FetchFailed with what to do."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor.
            about = os.fstat(file.fileno())
            octets = file.read(SECRET_OCTETS_MAX + 1) if stat.S_ISREG(about.st_mode) else b""
    except OSError as error:
        raise FetchFailed(Result.SECRET, f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(about.st_mode):
        raise FetchFailed(Result.SECRET, f"{path}: not a regular file")
    if about.st_mode & 0o007:
        raise FetchFailed(
            Result.SECRET, f"{path}: every user here can read or change it; run: chmod o= {path}"
        )
    if len(octets) > SECRET_OCTETS_MAX or not octets.strip():
        raise FetchFailed(Result.SECRET, f"{path}: {'empty' if len(octets) < 2 else 'not a secret'}")
    try:
        text = octets.decode("ascii").strip()
    except UnicodeDecodeError:
        raise FetchFailed(Result.SECRET, f"{path}: has octets that are not ASCII") from None
    found = _KEY_FILE.search(text)
    return found[1] if found else text
