"""Temporary folders that do not pile up, however their makers end.

Knows: where the system keeps temporary files, locks, whose folders are ours.  Does not know: what is in them.
Theory: a process that is killed cleans nothing up.  So each folder is locked as long as its maker lives, and
whoever makes the next one, and a server that starts, removes those of the same user that nobody has locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "exchange-resolver.scratch-"
"""Nothing else is called like this: whatever is, and is not locked, goes."""
LEFT_MAX: Final = 1_000
"""Folders looked at in one go."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """One temporary folder; `remove` it."""

    def __init__(self) -> None:
        """Make it, once what others left is gone.  Raises OSError."""
        remove_left()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            try:
                self._lock = os.open(self.path, _FOLDER)
            except FileNotFoundError:
                continue  # Somebody took it for a leftover before it was open.
            # On a file system without locks leftovers stay: who removes one must lock it, too.
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.fstat(self._lock).st_nlink:
                return
            # Somebody took it for a leftover before it was locked.
            os.close(self._lock)

    def remove(self) -> None:
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that is gone afterwards; after a kill -9 with the next one.  Raises OSError."""
    made = Scratch()
    try:
        yield made.path
    finally:
        made.remove()


def remove_left() -> None:
    """Remove what processes of this user that were killed have left."""
    # None of this is worth failing for.
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
        for path in left[:LEFT_MAX]:
            with contextlib.suppress(OSError):
                _remove_unlocked(path)


def _remove_unlocked(path: str) -> None:
    descriptor = os.open(path, _FOLDER)
    try:
        status = os.fstat(descriptor)
        # Only what `mkdtemp` makes: ours, and closed to others.
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
