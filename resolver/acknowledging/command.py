"""Runs the command of a batch: no shell, a document on its standard input, an end in time.

Knows: processes, whose files may be run.  Does not know: batches, when to run it again.
Theory: whoever can write the command's file, or put another in its place, can do what the server can.  So
nobody may but root and whom the server runs as; this is looked at before each run, and a refusal is a failure
like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from resolver.problems import printable

OUTPUT_OCTETS_MAX: Final = 4_096
"""Kept of what it says; the rest is read and dropped, so that it never waits for a reader."""
TERM_S: Final = 2.0
"""Between asking it to end and making it."""
LISTEN_S: Final = 1.0
"""For the end of what it says, once it has ended."""
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
    try:
        file = command.resolve(strict=True)
        if not stat.S_ISREG(file.stat().st_mode):
            return "is not a file"
        for path in (file, *file.parents):
            status = path.stat()
            if status.st_uid not in ours:
                return f"{path} belongs to somebody else: only root, or whom the server runs as, may own it"
            may_write = status.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if status.st_gid else 0))
            # In a sticky folder nobody replaces what is another's.
            if may_write and not (path.is_dir() and status.st_mode & stat.S_ISVTX):
                return f"{path} can be written by others: chmod go-w"
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    return "" if os.access(file, os.X_OK) else "is not executable"


async def run_command(words: Sequence[str], document: bytes, *, timeout_s: float) -> Outcome:
    """Run it to its end, with `document` on its standard input.  Never raises but when cancelled."""
    if why := await asyncio.to_thread(unsafe, Path(words[0])):
        return Outcome(Failure.UNSAFE, f"{words[0]} {why}" if not why.startswith("/") else why)
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=pipe,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=pipe,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(Failure.START, f"{words[0]}: {error.strerror}")
    assert child.stdin is not None and child.stderr is not None
    listening = asyncio.create_task(_last_words(child.stderr))
    try:
        async with asyncio.timeout(timeout_s):
            await _hand_over(child.stdin, document)
            code = await child.wait()
    except TimeoutError:
        await _end(child)
        return Outcome(Failure.TIMEOUT, f"not done in {timeout_s:g} s")
    except BaseException:
        _signal(child, signal.SIGKILL)
        raise
    else:
        # What it has started may hold the pipe: it said what it said.
        await asyncio.wait({listening}, timeout=LISTEN_S)
    finally:
        listening.cancel()
    if code == 0:
        return SUCCESS
    how = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
    said = listening.result() if listening.done() and not listening.cancelled() else ""
    return Outcome(Failure.EXIT, f"{how}: {said}" if said else how)


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


async def _last_words(stream: asyncio.StreamReader) -> str:
    kept = b""
    while octets := await stream.read(65_536):
        kept = (kept + octets)[-OUTPUT_OCTETS_MAX:]
    lines = kept.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1])[:200] if lines else ""
