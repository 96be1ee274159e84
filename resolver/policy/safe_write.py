"""Replaces a file whole: whoever reads it, at whatever moment, finds the old content or the new.

Knows: temporary files, flushing, renaming, modes and owners.  Does not know: what is written.
A kill or a full disk at any moment leaves the old file, and at worst a temporary one beside it,
which the next write to the same file removes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from resolver.policy.image_writer import sync_directory

TEMPORARY_SUFFIX = ".new"


def replace_file(path: Path, octets: bytes, *, mode: int = 0o644) -> None:
    """Write `octets` to `path`.  Raises OSError, with the old file still in place.

    A link stays a link: the file it leads to is replaced.  Mode and owner stay what they were; a new
    file gets `mode`, and from root its folder's owner, so that a server without privileges can read it.
    """
    target = path.resolve()
    try:
        before = target.stat()
        owner = (before.st_uid, before.st_gid)
        mode = before.st_mode & 0o7777
    except FileNotFoundError:
        folder = target.parent.stat()
        owner = (folder.st_uid, folder.st_gid)
    temporary = target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")
    # One name for all writers: what a killed one left behind is found and removed.
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor was opened exclusively.
            file.write(octets)
            file.flush()
            if os.geteuid() == 0 or owner[0] == os.geteuid():
                # A group we are not in is not worth failing for; the owner stays ourselves.
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(target.parent)
