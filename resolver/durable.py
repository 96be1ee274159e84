"""Replaces a file whole: whoever reads it, at whatever moment, finds the old content or the new.

Knows: temporary files, flushing, renaming, modes and owners.  Does not know: what is written.
Theory: the new content is written to a temporary file in the same folder, flushed, and renamed over the old
file.  A kill or a full disk at any moment leaves the old file, and at worst a temporary one beside it,
which the next write to the same file removes.
Two may write at once: each has a temporary file of its own, locked as long as its writer lives, and the
last rename wins.  Who changes what was read before takes `locked` around both.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

TEMPORARY_SUFFIX = ".new"
_TEMPORARY_NAME = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}")
"""The file it stands in for, and a number by chance."""

MOUNTED = (
    "is mounted here as a single file, which cannot be replaced whole; mount its folder instead, or change "
    "the file outside and mount it anew"
)
"""Why a mount point, such as one file of a container, is left as it is."""

_MOUNTS = Path("/proc/self/mountinfo")


class Replacement:
    """New content for one file, not yet in its place.

    `commit` puts it there, `discard` removes it; one of them must be called.  Both may be called in
    another thread than the one that writes.
    """

    def __init__(self, path: Path, *, mode: int = 0o644) -> None:
        """Open the temporary file.  Raises OSError.

        A link stays a link: the file it leads to is replaced.  Mode and owner stay what they were; a new
        file gets `mode` under the umask, and from root its folder's owner, so that a server without
        privileges can read it.  A device or a pipe has no old content: it is written to directly.
        A mount point is refused: nothing can be renamed over it, and written in place it might be left half.
        """
        self._temporary: Path | None = None
        self._target = path.resolve()
        try:
            before = path.stat()
        except FileNotFoundError:
            owner, self._mode = self._target.parent.stat(), None
        else:
            owner, self._mode = before, stat.S_IMODE(before.st_mode)
            if not stat.S_ISREG(before.st_mode):
                self.file: IO[bytes] = path.open("wb")
                return
        if is_mount_point(self._target):
            raise OSError(errno.EBUSY, MOUNTED, str(path))
        self._owner = (owner.st_uid, owner.st_gid)
        remove_leftovers(self._target.parent, self._target.name)
        # What replaces a file that few may read is as secret as that, from its first octet on.
        self.file = self._open_temporary(mode if self._mode is None else 0o600)

    @property
    def path(self) -> Path:
        """Where the new content is now."""
        return self._temporary or self._target

    def commit(self) -> None:
        """Put the new content into its place, on disk.  Raises OSError; then call `discard`."""
        self.file.flush()
        if self._temporary is None:
            self.file.close()
            return
        descriptor = self.file.fileno()
        if os.geteuid() == 0 or self._owner[0] == os.geteuid():
            # A group we are not in is not worth failing for; the owner stays ourselves.
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, *self._owner)
        if self._mode is not None:
            os.fchmod(descriptor, self._mode)
        os.fsync(descriptor)
        os.replace(self._temporary, self._target)  # noqa: PTH105 - a function that tests can watch.
        self._temporary = None
        # Closed after the rename: until then the lock tells others that it is no leftover.
        self.file.close()
        _sync_directory(self._target.parent)

    def discard(self) -> None:
        """Close and remove what is not in its place; nothing happens after `commit`."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None
        # What is still to be flushed may not fit the disk.
        with contextlib.suppress(OSError):
            self.file.close()

    def _open_temporary(self, mode: int) -> IO[bytes]:
        """A locked file of our own beside the target, for writing and reading."""
        while True:
            name = f".{self._target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
            self._temporary = self._target.with_name(name)
            try:
                descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            except FileExistsError:
                continue
            try:
                # On a file system without locks leftovers stay: who removes one must lock it, too.
                with contextlib.suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink:
                    return open(descriptor, "w+b")  # noqa: PTH123 - the descriptor was opened exclusively.
            except BaseException:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    self._temporary.unlink()
                raise
            # Another writer took it for a leftover before it was locked.
            os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[Replacement]:
    """Write to the `file` of what this yields; at the end it is put into its place, unless this raises.

    Raises OSError, with the old file still in place.
    """
    new = Replacement(path, mode=mode)
    try:
        yield new
        new.commit()
    finally:
        new.discard()


def replace_file(path: Path, octets: bytes, *, mode: int = 0o644) -> None:
    """Write `octets` to `path`; what `Replacement` says of modes, owners and links holds.

    Raises OSError, with the old file still in place.
    """
    with replacing(path, mode=mode) as new:
        new.file.write(octets)


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


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers of the file `name` left in `folder`; None: of any file.

    Those are temporary files that nobody has locked.
    """
    # None of this is worth failing for.
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            match = _TEMPORARY_NAME.fullmatch(path.name)
            if match is not None and name in (None, match[1]):
                with contextlib.suppress(OSError):
                    _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def is_mount_point(path: Path) -> bool:
    """Whether something is mounted on `path`, which has no links in it; False where that is not known."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    # proc(5): the fifth field, where what would end it is written in octal.
    wanted = re.sub(rb"[ \t\n\\]", lambda found: b"\\%03o" % ord(found[0]), os.fsencode(path))
    return any(fields[4] == wanted for line in lines if len(fields := line.split(b" ", 5)) > 4)


def _sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
