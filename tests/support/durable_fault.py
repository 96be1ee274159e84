"""Replaces a file again and again in child processes; each meets its end, or a full disk, one call later.

    python -m tests.support.durable_fault kill|full FILE

Every call into C is a step: opening, locking, writing, flushing, renaming, and all between them.  For each
step prints one line of JSON: the step, how the child ended (0 fine, 1 OSError, -9 killed), what the file
held (`old`, `new`, `none`, `broken`) and the names beside it.  Ends with the first child that meets no fault.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from resolver.durable import replace_file

OLD = b"old" * 50_000
NEW = b"new" * 70_000
KEPT = {OLD: "old", NEW: "new"}


def strike_at(step: int, mode: str) -> None:
    """Let the call into C of that number, from now on, be the last or fail."""
    count = 0

    def watch(frame: FrameType, event: str, called: Any) -> None:
        nonlocal count
        if event != "c_call":
            return
        count += 1
        if count == step:
            sys.setprofile(None)
            if mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sys.setprofile(watch)


def child(path: Path, step: int, mode: str) -> int:
    """Replace the file; the exit code: 2 when no fault was met."""
    strike_at(step, mode)
    try:
        replace_file(path, NEW)
    except OSError:
        return 1
    finally:
        struck = sys.getprofile() is None
        sys.setprofile(None)
    return 0 if struck else 2


def main() -> None:
    """See the head of this file."""
    mode, path = sys.argv[1], Path(sys.argv[2])
    code = 0
    step = 0
    while code != 2:
        step += 1
        if step % 2:
            path.write_bytes(OLD)
        else:
            path.unlink(missing_ok=True)
        pid = os.fork()
        if not pid:
            os._exit(child(path, step, mode))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        kept = KEPT.get(path.read_bytes(), "broken") if path.exists() else "none"
        beside = [entry.name for entry in path.parent.iterdir() if entry != path]
        print(json.dumps({"step": step, "code": code, "kept": kept, "beside": beside}))


if __name__ == "__main__":
    main()
