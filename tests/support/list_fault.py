"""A download in a process of its own that meets its end, or a full disk, at the Nth touch of the disk.

    python -m tests.support.list_fault kill|full N < JOB

prints the outcome and, on standard error, how many touches there were.  N of 0: nothing happens.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
from typing import Any

from resolver.fetching.body import Body
from resolver.fetching.download import fetch_list
from resolver.fetching.worker import job_from

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Fault:
    """Counts touches of the disk, and strikes at one of them."""

    def __init__(self, mode: str, at: int) -> None:
        self.mode = mode
        self.at = at
        self.count = 0

    def touch(self) -> None:
        """One step of a write."""
        self.count += 1
        if self.count == self.at:
            if self.mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def main() -> None:
    """See the head of this file."""
    fault = Fault(sys.argv[1], int(sys.argv[2]))
    job = job_from(json.load(sys.stdin))
    state = str(job.state_dir)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS or (fault.mode == "full" and event in ("os.remove", "os.chmod", "os.chown")):
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & WRITING):
            return
        # Files by number (fchmod, fchown) are always ours here, and so are names in a folder that is open.
        if (
            isinstance(args[0], int)
            or not (path := os.fsdecode(args[0])).startswith("/")
            or path.startswith(state)
        ):
            fault.touch()

    take, fsync = Body.take, os.fsync

    def take_in_halves(body: Body, octets: bytes) -> None:
        middle = len(octets) // 2
        for part in (octets[:middle], octets[middle:]):
            fault.touch()
            take(body, part)
            body._file.flush()

    def fsync_and_after(descriptor: int) -> None:
        fault.touch()
        fsync(descriptor)
        fault.touch()

    setattr(Body, "take", take_in_halves)  # noqa: B010 - what is replaced is what is tested.
    setattr(os, "fsync", fsync_and_after)  # noqa: B010
    sys.addaudithook(watch)
    outcome = asyncio.run(fetch_list(job))
    fault.at = 0
    print(json.dumps(outcome.as_json()))
    print(fault.count, file=sys.stderr)


if __name__ == "__main__":
    main()
