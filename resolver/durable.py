"""Replaces a file whole: whoever reads it, at whatever moment, finds the old content or the new.

Knows: temporary files, flushing, renaming, links, modes and owners.  Does not know: what is written.
Theory: the new content is written to a temporary file in the same folder, flushed, and renamed over the old
file.  A kill or a full disk at any moment leaves the old file, and at worst a temporary one beside it,
which the next write to the same file removes.
All of it happens in one folder that was opened once, by names in it: a folder or a link that somebody swaps
meanwhile leads nothing elsewhere.
Two may write at once: each has a temporary file of its own, locked as long as its writer lives, and the
last rename wins.  Whoever changes what was read before takes `locked` around both.
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
LINKS_MAX = 40
"""Links followed for one path; the kernel's own limit."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_CLOSED = -1

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

    def __init__(
        self, path: Path, *, mode: int = 0o644, mode_max: int = 0o777, group: int | None = None
    ) -> None:
        """Open the temporary file.  Raises OSError.

        A link stays a link: the file it leads to is replaced; root follows none that a stranger can lead
        elsewhere.  Mode and owner stay what they were, the mode within `mode_max`; a new file gets `mode`
        under the umask, and from root its folder's owner, so that a server without privileges can read it.
        `group`: instead of the group that it would have.
        A device or a pipe has no old content: it is written to directly.  A mount point is refused: nothing
        can be renamed over it, and written in place it might be left half.
        """
        self._temporary: str | None = None
        self._mode: int | None = None
        self._folder, self._target = _open_folder_of(path)
        try:
            self.file = self._open(mode, mode_max, group)
        except BaseException:
            self._close_folder()
            raise

    @property
    def path(self) -> Path:
        """Where the new content is now."""
        return self._target if self._temporary is None else self._target.with_name(self._temporary)

    def commit(self, *, is_lasting: bool = True) -> None:
        """Put the new content into its place, on disk.  Raises OSError; then call `discard`.

        Not `is_lasting`: nobody waits for the disk, and after a power cut it may be there in part.
        """
        self.file.flush()
        if self._temporary is None:
            self.file.close()
            self._close_folder()
            return
        descriptor = self.file.fileno()
        if os.geteuid() == 0 or self._owner[0] == os.geteuid():
            # A group we are not in is not worth failing for; the owner stays ourselves.
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, *self._owner)
        if self._mode is not None:
            os.fchmod(descriptor, self._mode)
        if is_lasting:
            os.fsync(descriptor)
        os.replace(self._temporary, self._target.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = None
        # Closed after the rename: until then the lock tells others that it is no leftover.
        self.file.close()
        if is_lasting:
            _sync_folder(self._folder)
        self._close_folder()

    def discard(self) -> None:
        """Close and remove what is not in its place; nothing happens after `commit`."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = None
        # What is still to be flushed may not fit the disk.
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            self._close_folder()

    def _open(self, mode: int, mode_max: int, group: int | None) -> IO[bytes]:
        name, owner = self._target.name, os.fstat(self._folder)
        is_pipe_of_ours = _is_pipe_of_ours(self._target)
        with contextlib.suppress(FileNotFoundError):
            before = os.stat(name, dir_fd=self._folder, follow_symlinks=is_pipe_of_ours)
            if stat.S_ISREG(before.st_mode):
                # Without the bits that lend rights: the new content is not what they were given to.
                owner, self._mode = before, before.st_mode & mode_max & 0o777
            elif not stat.S_ISLNK(before.st_mode):
                flags = os.O_WRONLY | os.O_CLOEXEC | (0 if is_pipe_of_ours else os.O_NOFOLLOW)
                descriptor = os.open(name, flags, dir_fd=self._folder)
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    # Somebody put it there meanwhile; it may be another name of any file.
                    os.close(descriptor)
                    raise OSError(errno.EBUSY, "was a pipe or a device a moment ago", str(self._target))
                return open(descriptor, "wb")  # noqa: PTH123 - a descriptor.
        if is_mount_point(self._target.resolve()):
            raise OSError(errno.EBUSY, MOUNTED, str(self._target))
        self._owner = (owner.st_uid, owner.st_gid if group is None else group)
        _remove_leftovers(self._folder, name)
        # What replaces a file that few may read is as secret as that, from its first octet on.
        return self._open_temporary(mode if self._mode is None else 0o600)

    def _open_temporary(self, mode: int) -> IO[bytes]:
        """A locked file of our own beside the target, for writing and reading."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while True:
            name = self._temporary = f".{self._target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
            try:
                descriptor = os.open(name, flags, mode, dir_fd=self._folder)
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
                    os.unlink(name, dir_fd=self._folder)
                raise
            # Another writer took it for a leftover before it was locked.
            os.close(descriptor)

    def _close_folder(self) -> None:
        folder, self._folder = self._folder, _CLOSED
        if folder != _CLOSED:
            os.close(folder)


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


def write_new(path: Path, octets: bytes, mode: int) -> None:
    """Make the file with this mode; never what is there already, and never through a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(octets)
        file.flush()
        os.fsync(descriptor)


def write_new_pair(secret: Path, private: bytes, shown: Path, public: bytes) -> None:
    """Make a secret file (mode 0600) and the one that belongs to it (0644), or neither.  Raises OSError.

    A secret without its other half would only be in the way of the next attempt.
    """
    write_new(secret, private, 0o600)
    try:
        write_new(shown, public, 0o644)
    except OSError:
        secret.unlink()
        raise


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only one who holds the lock `path`, a file that stays, empty.  The lock ends with its process.

    Raises OSError: BlockingIOError where somebody else holds it and we do not `wait`; ELOOP where `path` is a
    link, for root gives the file away, and a link could lead to any.
    """
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor of a file to lock, made when it is not there; never of what a link leads to.

    Raises OSError.
    """
    folder, target = _open_folder_of(path, follow=False)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        try:
            descriptor = os.open(target.name, flags | os.O_CREAT | os.O_EXCL, 0o660, dir_fd=folder)
        except FileExistsError:
            return os.open(target.name, flags, dir_fd=folder)
        if os.geteuid() == 0:
            # Whoever may write in the folder must not be kept out by a lock that root made.
            owner = os.fstat(folder)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor
    except OSError as error:
        # The name alone, asked for in an open folder, says nothing of the place.
        error.filename = str(target)
        raise
    finally:
        os.close(folder)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers of the file `name` left in `folder`; None: of any file.

    Those are temporary files that nobody has locked.
    """
    # None of this is worth failing for.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, _FOLDER)
        try:
            _remove_leftovers(descriptor, name)
        finally:
            os.close(descriptor)


def _remove_leftovers(folder: int, name: str | None) -> None:
    with contextlib.suppress(OSError):
        for entry in _names_in(folder):
            match = _TEMPORARY_NAME.fullmatch(entry)
            if match is not None and name in (None, match[1]):
                with contextlib.suppress(OSError):
                    _remove_unlocked(folder, entry)


def _remove_unlocked(folder: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
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


def _names_in(folder: int) -> list[str]:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.listdir(descriptor)  # noqa: PTH208 - a descriptor.
    finally:
        os.close(descriptor)


def _sync_folder(folder: int) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_pipe_of_ours(path: Path) -> bool:
    """Whether this is `/dev/stdout` or its like, led to a pipe: a link whose text is no path."""
    try:
        return path.is_relative_to("/proc") and path.readlink().name.startswith(("pipe:[", "socket:["))
    except OSError:
        return False


def _open_folder_of(path: Path, *, follow: bool = True) -> tuple[int, Path]:
    """A descriptor of the folder that holds the file `path`, and the file's own path.

    `follow`: of the file that a link at the end of `path` leads to.  Raises OSError.
    """
    if os.geteuid() == 0:
        return _open_folder_as_root(path, follow=follow)
    for _ in range(LINKS_MAX):
        if not follow or not path.is_symlink() or _is_pipe_of_ours(path):
            return os.open(path.parent, _FOLDER), path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _open_folder_as_root(path: Path, *, follow: bool) -> tuple[int, Path]:
    """The same, step by step, so that nobody can lead root elsewhere between two of them.

    Links are followed that belong to root, or to whom the folder they end in belongs; others raise OSError.
    """
    here, place = os.open("/", _FOLDER), Path("/")
    rest = list(reversed(path.absolute().parts[1:]))
    strangers: dict[int, Path] = {}
    links = 0
    try:
        while rest:
            name = rest.pop()
            link = _link_at(here, name) if (rest or follow) and not _is_pipe_of_ours(place / name) else None
            if link is not None:
                target, owner = link
                links += 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                strangers.setdefault(owner, place / name)
                rest.extend(reversed([part for part in target.split("/") if part not in ("", ".")]))
                if target.startswith("/"):
                    here, place = _step(here, "/"), Path("/")
            elif rest:
                here = _step(here, name)
                place = place.parent if name == ".." else place / name
            else:
                _refuse_strangers(strangers, os.fstat(here).st_uid)
                return here, place / name
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    except BaseException:
        os.close(here)
        raise


def _step(here: int, name: str) -> int:
    """The folder `name` in the folder `here`, which is closed."""
    there = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
    os.close(here)
    return there


def _link_at(folder: int, name: str) -> tuple[str, int] | None:
    """Where a link leads, and whose it is; None for anything else and for nothing."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        return (os.readlink("", dir_fd=descriptor), status.st_uid) if stat.S_ISLNK(status.st_mode) else None
    finally:
        os.close(descriptor)


def _refuse_strangers(links: dict[int, Path], owner: int) -> None:
    for uid, link in links.items():
        if uid not in (0, owner):
            message = (
                f"is a link that belongs to neither root nor the owner of the folder it leads to: {link}"
            )
            raise OSError(errno.ELOOP, message, str(link))
