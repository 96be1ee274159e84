"""Runs the command of a batch: no shell, a document on its standard input, an end in time.

Knows: processes, whose files may be run.  Does not know: batches, when to run it again.
Theory: whoever can write the command's file, or put another in its place, can do what the server can.  So
nobody may but root and whom the server runs as; this is looked at before each run, and a refusal is a failure
like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import stat
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from resolver.problems import printable

OUTPUT_OCTETS_MAX: Final = 4_096
"""Kept of what it says; the rest is read and dropped, so that it never waits for a reader."""
TERM_S: Final = 2.0
"""Between asking it to end and making it."""
LINKS_MAX: Final = 40
"""On the way to a file, as in Linux (path_resolution(7))."""
LINE_CHARS_MAX: Final = 200
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
"""All that it gets of ours: variables of the server may be secrets."""


class Failure(StrEnum):
    """Why a command did not do its work; a metric label."""

    EXIT = "exit"
    """It ended with another code than 0, or by a signal."""
    TIMEOUT = "timeout"
    START = "start"
    """There is no process."""
    UNSAFE = "unsafe"
    """Others may change what would be run."""


class Outcome(NamedTuple):
    """What came of one run."""

    failure: Failure | None
    """None: it succeeded."""
    words: str
    """Why not, for people."""


SUCCESS: Final = Outcome(None, "")


def unsafe(command: Path, *, uid: int | None = None) -> str:
    """Why this file is not run; empty: nobody else can change it.  `uid`: whom it would run as; None: us."""
    ours = {0, os.geteuid() if uid is None else uid}
    file = command
    try:
        for path, status in _passed(command):
            if status.st_uid not in ours:
                return f"{path} belongs to somebody else: only root, or whom the server runs as, may own it"
            if stat.S_ISLNK(status.st_mode):
                continue  # Its mode says nothing: who may write in its folder may change it.
            may_write = status.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if status.st_gid else 0))
            # In a sticky folder nobody replaces what is another's.
            if may_write and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
                return f"{path} can be written by others: chmod go-w"
            file = path
        if not stat.S_ISREG(file.stat().st_mode):
            return "is not a file"
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    return "" if os.access(file, os.X_OK) else "is not executable"


def _passed(command: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link on the way to a file, and the file, last, as the kernel passes them.

    Raises OSError.
    """
    at, *rest = command.absolute().parts
    here = Path(at)
    yield here, here.lstat()
    links = 0
    while rest:
        part, *rest = rest
        if part == "..":
            here = here.parent
            continue
        path = here / part
        status = path.lstat()
        yield path, status
        if not stat.S_ISLNK(status.st_mode):
            here = path
            continue
        links += 1
        if links > LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(command))
        target = path.readlink()
        if target.is_absolute():
            here = Path(target.anchor)
        rest = [*(part for part in target.parts if part != target.anchor), *rest]
    yield here, here.lstat()


async def run_command(words: Sequence[str], document: bytes, *, timeout_s: float) -> Outcome:
    """Run it to its end, with `document` on its standard input.  Never raises but when cancelled."""
    # Nobody else can lead it elsewhere after this look.  Its links stay: some programs go by their names.
    if why := await asyncio.to_thread(unsafe, Path(words[0])):
        return Outcome(Failure.UNSAFE, f"{words[0]} {why}" if not why.startswith("/") else why)
    with _Listener() as listener:
        try:
            child = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=listener.end,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(Failure.START, f"{words[0]}: {error.strerror}")
        listener.listen()
        assert child.stdin is not None
        try:
            async with asyncio.timeout(timeout_s):
                await _hand_over(child.stdin, document)
                code = await child.wait()
        except TimeoutError:
            child.stdin.close()
            await _end(child)
            return Outcome(Failure.TIMEOUT, f"not done in {timeout_s:g} s")
        except BaseException:
            child.stdin.close()
            _signal(child, signal.SIGKILL)
            raise
        if code == 0:
            return SUCCESS
        how = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
        said = listener.last_line()
        return Outcome(Failure.EXIT, f"{how}: {said}" if said else how)


class _Listener:
    """Hears what a process says, and keeps the end of it; what that has started may say on, unheard."""

    def __enter__(self) -> _Listener:
        self._ours, self.end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # It is the process's standard error, which waits where ours would say that it is full.
        os.set_blocking(self.end, True)
        self._loop = asyncio.get_running_loop()
        self._kept = b""
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._ours)
        os.close(self._ours)
        if self.end >= 0:
            os.close(self.end)

    def listen(self) -> None:
        """The process has its end."""
        os.close(self.end)
        self.end = -1
        self._loop.add_reader(self._ours, self._read)

    def last_line(self) -> str:
        """The last that it said, fit for a line."""
        while self._read():
            pass
        lines = self._kept.decode("utf-8", "replace").strip().splitlines()
        return printable(lines[-1])[:LINE_CHARS_MAX] if lines else ""

    def _read(self) -> bool:
        """Whether there was anything."""
        try:
            octets = os.read(self._ours, 65_536)
        except BlockingIOError:
            return False
        self._kept = (self._kept + octets)[-OUTPUT_OCTETS_MAX:]
        if not octets:
            self._loop.remove_reader(self._ours)
        return bool(octets)


async def _end(child: asyncio.subprocess.Process) -> None:
    _signal(child, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TERM_S):
            await child.wait()
    _signal(child, signal.SIGKILL)
    await child.wait()


def _signal(child: asyncio.subprocess.Process, number: int) -> None:
    """To it and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


async def _hand_over(stream: asyncio.StreamWriter, document: bytes) -> None:
    # It may end without having read it; uvloop says RuntimeError where it knows that already.
    with contextlib.suppress(ConnectionError, RuntimeError):
        stream.write(document)
        await stream.drain()
    stream.close()
