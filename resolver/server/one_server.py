"""One server in one `state_dir`: whoever starts there beside another is told, and does not serve.

Knows: a lock that every server holds as long as it lives.  Does not know: sockets, who takes whose place.
Theory: two servers that share ports each get a part of the queries, and both write the same files.  A start
asks for the lock alone, so it fails while anybody else is there, and keeps it shared from then on; a process
that takes another's place has it shared from the start.  The kernel ends a lock with its process, however
that ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from resolver.durable import open_lock

LOCK_FILE: Final = ".serving.lock"
PATIENCE_S: Final = 5.0
"""A server that was told to stop needs two seconds."""
LOOK_AGAIN_S: Final = 0.1

Found = TypeVar("Found")

log = logging.getLogger("resolver.server")


class ServesAlready(Exception):
    """Another server is there, and serves on; the message says what to do."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"another server serves with {state_dir} already; `run --take-over` takes its place without a gap"
        )


class Presence:
    """Our part of the lock; closed when the server has ended."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Another may start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def be_the_one(
    state_dir: Path,
    find_predecessor: Callable[[], Found | None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> tuple[Presence, Found | None]:
    """Be the only server there, or the one that takes another's place.  It blocks for `PATIENCE_S` at most.

    `find_predecessor`: gives who lets us take their place; None: nobody does.  Raises ServesAlready, and
    whatever `find_predecessor` raises.
    """
    path = state_dir / LOCK_FILE
    try:
        # Where the folder cannot be made or written, the start says more in a moment.
        state_dir.mkdir(parents=True, exist_ok=True)
        descriptor = open_lock(path)
    except OSError as error:
        return _unlocked(path, error), find_predecessor()
    try:
        until = now() + PATIENCE_S
        while True:
            predecessor = find_predecessor()
            try:
                if predecessor is None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A predecessor has the lock, too; who asks for it alone lets go at once.
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                return Presence(descriptor), predecessor
            except BlockingIOError:
                pass
            except OSError as error:
                # A file system without locks.
                os.close(descriptor)
                return _unlocked(path, error), predecessor
            if now() >= until:
                raise ServesAlready(state_dir)
            sleep(LOOK_AGAIN_S)
    except BaseException:
        os.close(descriptor)
        raise


def _unlocked(path: Path, error: OSError) -> Presence:
    log.warning("%s cannot be locked (%s): nothing keeps a second server away from this one", path, error)
    return Presence(None)
