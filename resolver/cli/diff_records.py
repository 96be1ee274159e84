"""What registers gain and lose between two sides of `diff`, record by record.

Knows: where the records of a side are found, or how to read them now.  Does not know: how they are shown.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.cli.process import scratch_folder
from resolver.cli.progress import long_work
from resolver.identity import as_owner_of
from resolver.portions import open_regular
from resolver.publishing.history import HistoryUnusable, open_history
from resolver.publishing.image_store import ImageStore
from resolver.publishing.register_rules import FileChanged, RegisterFile, RegisterTaking
from resolver.publishing.register_store import changed_records, new_store
from resolver.registers.record import RegisterRefused

RECORDS_TOLD_MAX = 1_000
"""Records listed of one register, each way; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison."""

    blocklist: Blocklist
    records: FileIO | None = None
    """The records that were in force with it, opened, where they are still kept."""


def records_of(state_dir: Path, number: int) -> FileIO | None:
    """The records of one generation's registers; None where they are no longer kept."""
    with contextlib.suppress(HistoryUnusable, OSError):
        with open_history(state_dir) as history:
            generation = history.get(number)
        key = "" if generation is None else str(generation.counts.get("image", ""))
        # Root, too, opens what is there as the folder's owner.
        if re.fullmatch("[0-9a-f]{40}", key):
            with as_owner_of(state_dir) as folder:
                return open_regular(ImageStore(folder).records_path_of(key))
    return None


def compare_records(old: Side, new: Side) -> dict[str, Any]:
    """By register list what its records gain and lose; lists of which all is the same are left out.

    Of a generation whose records are kept, those count; else the file is read as it stands.
    """
    lists = [name for name in _registers(new) if name in _registers(old) and not _is_same(name, old, new)]
    if not lists:
        return {}
    with scratch_folder() as folder, long_work("comparing registers"):
        paths: list[Path] = []
        unread: set[str] = set()
        for number, side in enumerate((old, new)):
            path = folder / f"{number}.records"
            if side.records is None:
                unread |= _read(side.blocklist, lists, path)
            else:
                with path.open("wb") as file:
                    shutil.copyfileobj(side.records, file)
            paths.append(path)
        readable = [name for name in lists if name not in unread]
        unknown = {name: {"unknown": True} for name in lists if name in unread}
        return {**changed_records(paths[0], paths[1], readable, RECORDS_TOLD_MAX), **unknown}


def _registers(side: Side) -> dict[str, ListSpec]:
    return {
        spec.name: spec for spec in side.blocklist.lists if spec.register is not None and spec.kind == "block"
    }


def _is_same(name: str, old: Side, new: Side) -> bool:
    """Whether both sides read the same file in the same way, now."""
    if old.records is not None or new.records is not None:
        return False
    before, after = _registers(old)[name], _registers(new)[name]
    return (before.path.absolute(), before.register, before.match) == (
        after.path.absolute(),
        after.register,
        after.match,
    )


def _read(blocklist: Blocklist, lists: Iterable[str], path: Path) -> set[str]:
    """Read registers into a store; the names of those that cannot be read."""
    unread: set[str] = set()
    with new_store(path) as store:
        for spec in blocklist.lists:
            if spec.name in lists:
                try:
                    RegisterTaking(store, spec, blocklist).take_all(RegisterFile.of(spec).records())
                except (RegisterRefused, OSError, FileChanged, sqlite3.IntegrityError):
                    unread.add(spec.name)
    return unread
