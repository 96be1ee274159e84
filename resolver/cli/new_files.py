"""Writes a set of new files into a folder: all of them or none, and never over others unasked.

Knows: modes, what is there already.  Does not know: what the files say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from resolver.cli.files import BadInput
from resolver.durable import Replacement
from resolver.problems import Problem

MODE = 0o644
"""Of files without a secret."""
PRIVATE_MODE = 0o640
"""Of files that may hold one, as a part of a URL does: for their owner, and the group of a server."""


def refuse_taken(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Refuse names of files that are there, unless they may be replaced.  Raises BadInput."""
    taken = [] if force else [folder / name for name in names if os.path.lexists(folder / name)]
    if taken:
        message = "is there already, and nothing is written over; use another --directory, or --force"
        raise BadInput([Problem(str(path), 0, message) for path in taken])


def write_files(
    folder: Path,
    files: Mapping[str, str],
    *,
    force: bool,
    mode: int = MODE,
    mode_max: int = 0o777,
    group: int | None = None,
) -> list[Path]:
    """Write the files; `force`: also over those that are there.  Raises BadInput.  `group`: they get it.

    Each gets `mode` where it is new, else keeps its own within `mode_max`.  None is in its place before all
    are written.
    """
    refuse_taken(folder, files, force=force)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            pending: list[tuple[Path, Replacement]] = []
            for name, text in files.items():
                new = Replacement(folder / name, mode=mode, mode_max=mode_max, group=group)
                stack.callback(new.discard)
                pending.append((folder / name, new))
                new.file.write(text.encode())
                new.file.flush()
            for path, new in pending:
                new.commit()
                written.append(path)
    except OSError as error:
        for path in [] if force else written:
            path.unlink(missing_ok=True)
        message = f"cannot be written: {error.strerror or error}"
        raise BadInput([Problem(str(error.filename or folder), 0, message)]) from None
    return written
