"""Large files in small system calls.

Knows: how much a call may carry, which files have an end.  Does not know: what is read or written.
Theory: the kernels of most servers do not preempt themselves: a call once begun runs to its end.  A thread
that answers queries on the same core waits that long, however far the caller stands back: 20 MB are 13 ms.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from io import BytesIO, FileIO

PORTION_OCTETS = 1 << 18
"""Copied in about 0.2 ms."""


def open_regular(path: str | os.PathLike[str]) -> FileIO:
    """A file to read from.  Raises OSError, also for a pipe or a device: neither need have an end."""
    # Opened as usual, a FIFO that nobody writes to would hang for ever.
    file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
    return file


def read_portion(file: FileIO, octets_max: int = PORTION_OCTETS) -> bytes:
    """The next octets of `file`, a portion at most; none at its end.  Raises OSError."""
    portion = file.read(min(octets_max, PORTION_OCTETS))
    if portion is None:
        # Some file systems call regular what is none; cut short here it would pass for whole.
        raise BlockingIOError(errno.EAGAIN, "has no end that can be read to")
    return portion


def read_up_to(file: FileIO, octets_max: int) -> bytes:
    """The rest of `file`, or the first `octets_max` octets of it.  Raises OSError."""
    whole = BytesIO()
    while portion := read_portion(file, octets_max - whole.tell()):
        whole.write(portion)
    return whole.getvalue()


def write_all(descriptor: int, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write `pieces`, one after the other.  Raises OSError."""
    for piece in pieces:
        with memoryview(piece) as octets:
            written = 0
            while written < len(octets):
                written += os.write(descriptor, octets[written : written + PORTION_OCTETS])
