"""Wakes whoever compiles soon after a file changed, where the file system reports it.

Knows: the folders whose entries decide what stands under a path.  Does not know: what a change means: events
are never believed, stamps are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from watchfiles import awatch

DEBOUNCE_MS = 200
"""Quiet time after a file event: editors and `cp` write in several steps."""

log = logging.getLogger("resolver.policy")


async def watch_files(
    paths: Callable[[], tuple[str, ...]], paths_changed: asyncio.Event, wanted: asyncio.Event, otherwise: str
) -> None:
    """Set `wanted` soon after one of the `paths` changed, for ever; `paths_changed`: they are others now.

    `otherwise`: what is done where nothing is reported, for the log.
    """
    while True:
        paths_changed.clear()
        folders = watched_folders(paths())
        changes = awatch(
            *folders,
            recursive=False,
            debounce=DEBOUNCE_MS,
            stop_event=paths_changed,
            watch_filter=None,
        )
        try:
            async with contextlib.aclosing(changes):
                async for _ in changes:
                    wanted.set()
                    if watched_folders(paths()) != folders:
                        break  # A link was turned: its new folder is to be watched.
        except (OSError, RuntimeError) as error:
            log.warning("cannot watch %s: %s: %s", folders, error, otherwise)
            await paths_changed.wait()


def watched_folders(paths: tuple[str, ...]) -> tuple[Path, ...]:
    """The folders whose entries decide what stands under `paths`: their own, and where links lead."""
    folders = set()
    for path in map(Path, paths):
        for folder in (path.parent, path.resolve().parent):
            if folder.is_dir():
                folders.add(folder.absolute())
    return tuple(sorted(folders))
