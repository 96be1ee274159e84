"""How this program starts itself again as a child process, and how much of the CPU such a child may take.

Knows: which interpreter, which modules it can see, the scheduler's classes, time limits.  Does not know: what
the child does.

Theory: a child that stood back by its own doing would first have imported its modules, half a second of
computing, as an equal of the threads that answer.  So the program nice(1) starts it where there is one, and
its parent sees to the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resolver import __version__

NICE = 10
"""Above our own niceness at the start: gets about a tenth of a core that we keep busy."""
NICE_MAX = 19
NICE_FAILED = (125, 126, 127)
"""Exit codes of nice(1) that could not start what it was to start; no module of ours has them."""
STARVED_S = 30.0
"""An idle child that gets less of a core than `NICE_SHARE` for so long is given that share."""
NICE_SHARE = 0.1
"""Of a core that others keep busy, what a child gets that is as nice as `NICE`."""
KILLED_S_MAX = 30.0
"""Spent on the end of a child that ran out of time: an idle one needs idle time to die in, too."""
CANCELLED_S_MAX = 0.5
"""The same when nobody waits for the child any more: who stops does so soon."""
OUTPUT_OCTETS_MAX = 4 << 20
"""Kept of each stream of a child; the rest is read and dropped, so that no child waits for a reader."""

PARENT = "EXCHANGE_RESOLVER_PARENT"
"""In a child's environment: the version of its parent."""

log = logging.getLogger("resolver.children")


class Share(enum.Enum):
    """What a child gets of the CPU while others want it."""

    EQUAL = "equal"
    NICE = "nice"
    """A little: what must end however busy the server is."""
    IDLE = "idle"
    """Nothing."""


_BACK = {Share.EQUAL: 0, Share.NICE: NICE, Share.IDLE: NICE_MAX}


def _own_niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


_NICENESS_AT_START = _own_niceness()


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that came to its end: exit code (negative: the signal), and what it wrote."""

    code: int
    output: bytes
    complaint: bytes

    def last_words(self) -> str:
        """The end of its complaint, on one line."""
        return "".join(self.complaint.decode("utf-8", "replace").strip().splitlines()[-1:])[:200]


def niceness(share: Share) -> int:
    """How nice who gets such a share has to be."""
    return min(_NICENESS_AT_START + _BACK[share], NICE_MAX)


async def run_child(
    module: str,
    *arguments: str,
    timeout_s: float,
    share: Share = Share.NICE,
    job: bytes = b"",
    output_octets_max: int | None = None,
    starved_s: float | None = None,
) -> Ended:
    """One child to its end, with `job` on its standard input; more of its output is dropped.

    `output_octets_max`: of its standard output; None: `OUTPUT_OCTETS_MAX`, as of its complaints.
    `starved_s`: its time is over, too, when in so many seconds it got less of a core than `NICE_SHARE`.

    Raises TimeoutError (the child is killed) and OSError (there is none).
    """
    pipe = asyncio.subprocess.PIPE
    words = _command(module, *arguments, share=share)
    child = await asyncio.create_subprocess_exec(
        *words, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment()
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    try:
        _set_back(child.pid, share)
        async with asyncio.timeout(timeout_s) as limit, _over_when_starved(limit, child.pid, starved_s):
            _, output, complaint = await asyncio.gather(
                _hand_over(child.stdin, job),
                _read_all(child.stdout, output_octets_max),
                _read_all(child.stderr),
            )
            code = await child.wait()
    except TimeoutError:
        # What is started in its place must not meet it, with its memory and its locks.
        await _kill(child, KILLED_S_MAX)
        raise
    except BaseException:
        await _kill(child, CANCELLED_S_MAX)
        raise
    ended = Ended(code, output, complaint)
    if code in NICE_FAILED and words[0] != sys.executable:
        raise OSError(ended.last_words() or f"exit code {code}")
    return ended


class Running:
    """A child that runs beside us until it ends or is stopped."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.pid = child.pid
        self._child = child
        assert child.stdout is not None and child.stderr is not None
        self._streams = asyncio.gather(_read_all(child.stdout), _read_all(child.stderr))

    async def ended(self) -> Ended:
        """Wait for its end."""
        output, complaint = await asyncio.shield(self._streams)
        return Ended(await self._child.wait(), output, complaint)

    async def stop(self, patience_s: float) -> None:
        """Wait so long for its end, which it knows of; then kill it."""
        try:
            async with asyncio.timeout(patience_s):
                await self._child.wait()
        except TimeoutError:
            await _kill(self._child, CANCELLED_S_MAX)
        self._streams.cancel()


async def start_child(
    module: str, *arguments: str, files: Sequence[int] = (), share: Share = Share.NICE
) -> Running:
    """A child with these descriptors, under the same numbers.  Raises OSError: there is none."""
    words = _command(module, *arguments, share=share)
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *words, stdin=nothing, stdout=pipe, stderr=pipe, env=_environment(), pass_fds=tuple(files)
    )
    _set_back(child.pid, share)
    return Running(child)


async def run_child_when_idle(
    module: str, *arguments: str, timeout_s: float, starved_s: float | None = STARVED_S, job: bytes = b""
) -> Ended:
    """`run_child` in time that nobody wants; killed when that is hardly any, and run again with a share.

    `starved_s`: None for who waits more than it computes, and so gets little of a core in any case.
    """
    try:
        return await run_child(
            module, *arguments, timeout_s=timeout_s, share=Share.IDLE, job=job, starved_s=starved_s
        )
    except TimeoutError:
        log.info("%s not done as an idle process: running it again at nice %d", module, NICE)
        return await run_child(module, *arguments, timeout_s=timeout_s, share=Share.NICE, job=job)


@contextlib.asynccontextmanager
async def _over_when_starved(limit: asyncio.Timeout, pid: int, window_s: float | None) -> AsyncIterator[None]:
    """End a child's time after a window in which it got less of a core than it would get when nice."""

    async def watch(window_s: float) -> None:
        had_s = _cpu_s(pid)
        while True:
            await asyncio.sleep(window_s)
            had_before_s, had_s = had_s, _cpu_s(pid)
            if had_s - had_before_s < NICE_SHARE * window_s:
                return limit.reschedule(0.0)

    watching = asyncio.create_task(watch(window_s)) if window_s is not None else None
    try:
        yield
    finally:
        if watching is not None:
            watching.cancel()


def _cpu_s(pid: int) -> float:
    """CPU seconds of a child so far (proc_pid_stat(5): utime, stime); 0: nobody can say."""
    try:
        # The name before it may hold anything, but nothing behind it holds a bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _command(module: str, *arguments: str, share: Share) -> tuple[str, ...]:
    """The words that run one of our modules.

    `-P`: a folder named `resolver` where the operator happens to stand is not our package.
    """
    back = max(0, niceness(share) - _own_niceness())
    nice = _nice() if back else None
    return (*((nice, "-n", str(back)) if nice else ()), sys.executable, "-P", "-m", module, *arguments)


def _nice() -> str | None:
    """Path of nice(1); None where there is none, or it would end instead of starting anything."""
    try:
        # To stay as nice as one is takes no right: who is refused this is refused more.
        os.setpriority(os.PRIO_PROCESS, 0, _own_niceness())
    except OSError:
        return None
    return shutil.which("nice")


def _environment() -> dict[str, str]:
    """Our own environment, and this package where the child can find it, installed or not.

    Also our version: a child of another one ends at once, and says so (`resolver/__init__.py`).
    """
    root = str(Path(__file__).parents[1])
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": search, PARENT: __version__}


def _set_back(pid: int, share: Share) -> None:
    # Gone already, or not allowed here (a seccomp filter): then it runs as it is.
    with contextlib.suppress(OSError):
        if share is Share.IDLE:
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        elif share is Share.NICE and _nice() is None:
            os.setpriority(os.PRIO_PROCESS, pid, niceness(share))


async def _kill(child: asyncio.subprocess.Process, patience_s: float) -> None:
    # In time that nobody wants it would not even die: its memory and its pipes would stay.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(child.pid, os.SCHED_OTHER, os.sched_param(0))
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await child.wait()


async def _hand_over(stream: asyncio.StreamWriter, job: bytes) -> None:
    # Gone before it read it; uvloop says RuntimeError where it knows that already.
    with contextlib.suppress(ConnectionError, RuntimeError):
        stream.write(job)
        await stream.drain()
    stream.close()


async def _read_all(stream: asyncio.StreamReader, octets_max: int | None = None) -> bytes:
    """All that comes, but keep no more than so many octets."""
    octets_max = OUTPUT_OCTETS_MAX if octets_max is None else octets_max
    kept = bytearray()
    while octets := await stream.read(65536):
        kept += octets[: octets_max - len(kept)]
    return bytes(kept)
