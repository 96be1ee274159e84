"""Records into a file, which turns when it is full and is made anew when somebody has taken it away.

Knows: how files of records are opened, turned and found again.  Does not know: records, when to write.
Theory: the file is ours while its name leads to it.  logrotate(8) renames it, which is seen within a second,
and the next octets go into a new file of the old name; a signal is not needed.  What cannot be written whole
is taken back to the end of the last whole record.  A file of frames of an earlier run is turned if it holds a
record; where no old file may stay, it is continued behind its last whole record.  Where it cannot be turned,
records go on into the same file up to twice its size, and turning is tried again; beyond that they are lost.
What somebody cuts (copytruncate) has its beginning again before the next record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from resolver.portions import PORTION_OCTETS
from resolver.sinks.frames import START, STOP, control_frame
from resolver.sinks.outlet import Broken, reason_of

FILE_MODE: Final = 0o640

TURNS_TRIED: Final = 16
"""So often a file that cannot be turned is tried again while it grows to twice its size."""

_READ_OCTETS: Final = 1 << 20
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileOutlet:
    """See `outlet.Outlet`."""

    lost: Final = 0

    def __init__(
        self,
        path: Path,
        ends: Callable[[memoryview], Iterator[int]],
        *,
        octets_max: int = 0,
        kept: int = 0,
        content_type: bytes | None = None,
    ) -> None:
        """`octets_max`: when the file turns, 0: never; `kept`: so many old ones stay.

        `ends`: where records end in what is put.  `content_type`: of frames, if the file has such.
        """
        self._path = path
        self._ends = ends
        self._octets_max = octets_max
        self._kept = kept
        self._content_type = content_type
        self._descriptor = -1
        self._size = 0
        self._turn_from = octets_max
        """Beyond this size it is turned."""
        self.remark = ""

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def open(self) -> None:
        self._descriptor, self._size = self._opened()
        if self._content_type is None:
            return
        start = control_frame(START, self._content_type)
        try:
            if self._size and self._goes_on(start):
                return
        except OSError:
            self._close()
            raise
        self._write_control(start)

    def _goes_on(self, start: bytes) -> bool:
        """Whether records follow those in the file; else it is empty from here on.  Raises OSError."""
        whole = self._whole(start, 1 if self._kept else None)
        if whole == len(start):
            # Attempts that wrote no record must not push out those that did.
            self._cut(0)
            return False
        if whole and not self._kept:
            # No old file may stay, so the records of an earlier run stay in this one.
            self._cut(whole)
            return True
        try:
            # What an earlier run left is complete, or cut: a file of frames has one beginning.
            self._turn()
        except OSError as error:
            whole = self._whole(start, None)
            if not whole:
                raise
            self._cannot_turn(error)
            self._cut(whole)
            return True
        self._close()
        self._descriptor, self._size = self._opened()
        return False

    def _cut(self, octets: int) -> None:
        os.ftruncate(self._descriptor, octets)
        self._size = octets

    def _whole(self, start: bytes, most: int | None) -> int:
        """Where the last whole record of a file of frames ends, or the last of the first `most`.

        The length of `start`: it holds no whole record; 0: it is none of ours.  Raises OSError.
        """
        beginning = os.pread(self._descriptor, len(start), 0)
        if beginning != start:
            return len(start) if start.startswith(beginning) else 0
        at = begins = len(start)
        read, records = b"", 0
        while records != most and at + 4 <= self._size:
            if at + 4 > begins + len(read):
                read, begins = os.pread(self._descriptor, _READ_OCTETS, at), at
            length = int.from_bytes(read[at - begins : at - begins + 4])
            if not length:
                return at if self._size - at <= len(control_frame(STOP)) else 0
            if at + 4 + length > self._size:
                break
            at += 4 + length
            records += 1
        return at

    def put(self, octets: memoryview) -> int:
        try:
            self._heed_cut()
            if self._octets_max and self._size and self._size + len(octets) > self._turn_from:
                self._begin_another(len(octets))
        except OSError as error:
            self._close()
            raise Broken(reason_of(error)) from None
        done = 0
        try:
            while done < len(octets):
                done += os.write(self._descriptor, octets[done : done + PORTION_OCTETS])
        except OSError as error:
            raise Broken(reason_of(error), self._take_back(octets, done)) from None
        self._size += done
        return done

    def _begin_another(self, more: int) -> None:
        """Turn the file; where that fails it takes as much again, and is turned when it can be.

        Raises OSError when it is twice as large as it may be.
        """
        self._finish()
        try:
            self._turn()
        except OSError as error:
            if self._size + more > 2 * self._octets_max:
                raise
            self._cannot_turn(error)
        self.open()

    def _cannot_turn(self, error: OSError) -> None:
        self.remark = f"its file cannot be turned: {reason_of(error)}"
        self._turn_from = min(self._size + self._octets_max // TURNS_TRIED, 2 * self._octets_max)

    def _heed_cut(self) -> None:
        """Give a file of frames its beginning again where somebody cut it (logrotate's copytruncate)."""
        if self._content_type is None:
            return
        size = os.fstat(self._descriptor).st_size
        is_shorter, self._size = size < self._size, size
        if is_shorter:
            start = control_frame(START, self._content_type)
            whole = self._whole(start, None) if size else 0
            self._cut(whole if whole > len(start) else 0)
            if not self._size:
                self._write_control(start)

    def wait(self, wait_s: float) -> None:
        """A file always takes more."""

    def look_after(self) -> None:
        """Begin a new file if the name leads elsewhere by now."""
        try:
            found = os.lstat(self._path)
            here = os.fstat(self._descriptor)
            is_ours = (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino)
            # Somebody may have cut it short.
            self._heed_cut()
            self._size = os.fstat(self._descriptor).st_size
        except FileNotFoundError:
            is_ours = False
        except OSError as error:
            self._close()
            raise Broken(reason_of(error)) from None
        if not is_ours:
            self._finish()
            try:
                self.open()
            except OSError as error:
                self._close()
                raise Broken(reason_of(error)) from None

    def close(self, wait_s: float) -> None:
        self._finish()

    def _opened(self) -> tuple[int, int]:
        """A descriptor, and how long the file is.  Raises OSError."""
        is_new = True
        try:
            descriptor = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            is_new = False
            descriptor = os.open(self._path, _FLAGS)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise OSError(errno.EINVAL, "is not a regular file with one name")
            if is_new:
                os.fchmod(descriptor, FILE_MODE)  # whatever the umask
        except OSError:
            os.close(descriptor)
            raise
        return descriptor, found.st_size

    def _turn(self) -> None:
        """The file becomes number 1, number 1 number 2, and so on.  Raises OSError."""
        if self._kept:
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._numbered(number).replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink(missing_ok=True)
        self.remark, self._turn_from = "", self._octets_max

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _take_back(self, octets: memoryview, done: int) -> int:
        """Cut what was written last to whole records, and close; how many octets stay."""
        kept = 0
        for end in self._ends(octets):
            if end > done:
                break
            kept = end
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - (done - kept))
        except OSError:
            pass  # The record stays cut; the next one begins on its line.
        self._close()
        return kept

    def _write_control(self, frame: bytes) -> None:
        try:
            if os.write(self._descriptor, frame) < len(frame):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            # A file without a whole beginning is of no use.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            self._close()
            raise
        self._size += len(frame)

    def _finish(self) -> None:
        if self.is_open and self._content_type is not None:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, control_frame(STOP))
        self._close()

    def _close(self) -> None:
        if self.is_open:
            os.close(self._descriptor)
            self._descriptor = -1
