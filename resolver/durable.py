"""Replaces a file whole: whoever reads it, at whatever moment, finds the old content or the new.

Knows: temporary files, flushing, renaming, modes and owners.  Does not know: what is written.
A kill or a full disk at any moment leaves the old file, and at worst a temporary one beside it,
which the next write to the same file removes.
Two may write at once: each has a temporary file of its own, locked as long as its writer lives, and the
last rename wins.  Who changes what was read before takes `locked` around both.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
    _remove_leftovers(target)
    descriptor, temporary = _open_temporary(target)
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


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else is between reading and replacing what `path` stands for; it stays, empty.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        if os.geteuid() == 0:
            # Whoever may write in the folder must not be kept out by a lock that root made.
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_temporary(target: Path) -> tuple[int, Path]:
    """A locked file of our own beside `target`; only its owner may read it."""
    while True:
        descriptor, name = tempfile.mkstemp(TEMPORARY_SUFFIX, f".{target.name}.", target.parent)
        # Where a file system has no locks, leftovers stay: they cannot be locked to be removed, either.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        # Another writer took it for a leftover before it was locked.
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """Remove what killed writers of `target` left behind: temporary files that nobody has locked."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(TEMPORARY_SUFFIX)}")
    # None of this is worth failing for.
    with contextlib.suppress(OSError):
        for path in list(target.parent.iterdir()):
            if ours.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
