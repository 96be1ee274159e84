"""Writes a set of new files into a folder: all of them or none, and never over others unasked.

Knows: modes, what is there already.  Does not know: what the files say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from resolver.cli.files import BadInput
from resolver.durable import replace_file
from resolver.problems import Problem

MODE = 0o644
"""None of these files holds a secret; those that settings name do."""


def refuse_taken(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Refuse names of files that are there, unless they may be replaced.  Raises BadInput."""
    taken = [] if force else [folder / name for name in names if os.path.lexists(folder / name)]
    if taken:
        message = "is there already, and nothing is written over; use another --directory, or --force"
        raise BadInput([Problem(str(path), 0, message) for path in taken])


def write_files(folder: Path, files: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write the files; `force`: also over those that are there.  Raises BadInput."""
    refuse_taken(folder, files, force=force)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace_file(folder / name, text.encode(), mode=MODE)
            written.append(folder / name)
    except OSError as error:
        for path in [] if force else written:
            path.unlink(missing_ok=True)
        message = f"cannot be written: {error.strerror or error}"
        raise BadInput([Problem(str(error.filename or folder), 0, message)]) from None
    return written
