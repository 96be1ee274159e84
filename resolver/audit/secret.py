"""The secret that marks audit queries to our own server: made at each start, for its owner to read.

Knows: the file, its rights, how it is spelt.  Does not know: what carries it, what a server does with it.
Theory: it stands in `state_dir` in one line of hexadecimal digits, for its owner alone.  Whoever can read
it there can change everything that the server serves, and so learns nothing worth more.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from resolver.durable import replace_file

SECRET_OCTETS: Final = 32
"""Of one made here."""
SECRET_OCTETS_MIN: Final = 16
"""Of one that is believed: nobody guesses it."""
SECRET_FILE: Final = Path("audit", "secret")
"""In `state_dir`."""

_FILE_OCTETS_MAX: Final = 1024
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2})+")


def new_secret() -> bytes:
    """One that nobody can guess."""
    return secrets.token_bytes(SECRET_OCTETS)


def write_secret(state_dir: Path, secret: bytes) -> None:
    """Put it in the place of the one before, for its owner alone, on disk.  Raises OSError.

    A link in its place is replaced, not followed; so is a file that others may read.  Call it with the rights
    of the folder's owner.
    """
    path = state_dir / SECRET_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    replace_file(path, secret.hex().encode() + b"\n", mode=0o600)


def read_secret(state_dir: Path) -> bytes | None:
    """That of the server that started last with this `state_dir`; None: there is none.

    Raises OSError where it may not be read, and for what is no file of one line of digits.  Root calls it
    with the rights of the folder's owner (`identity.as_owner_of`).
    """
    path = state_dir / SECRET_FILE
    try:
        # A pipe must not make us wait, nor a link lead us elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        text = os.read(descriptor, _FILE_OCTETS_MAX).strip() if is_file else b""
    finally:
        os.close(descriptor)
    if len(text) < 2 * SECRET_OCTETS_MIN or not _HEX.fullmatch(text):
        raise OSError(f"{path}: is no secret of a server; its next start makes one")
    return bytes.fromhex(text.decode())
