"""The last good copies of downloaded lists, and what is known of each.

Knows: `state_dir/lists`, atomic replacement, locks.  Does not know: HTTP, when anything is fetched.

    NAME.list          the list as it was published, verified; never half of one
    NAME.json          where it came from, its validators, how the last attempts went
    .NAME.lock         held while one process downloads it
    .NAME.*.new        what a killed download left behind; removed by the next one

List and notes are two files, so a kill between their renames leaves the new list with the old notes.
That is harmless: notes name the hash of the list they are about, and count for no other.
Everything here may block: call it in a thread.  Root comes here as the owner of `state_dir` (`identity`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resolver.blocklist.downloads import stored_path
from resolver.durable import Replacement, locked, remove_leftovers, replace_file
from resolver.fetching.outcome import FetchFailed, Result
from resolver.problems import printable

NOTES_OCTETS_MAX = 1 << 16
"""Larger files are not ours."""
DAY_S = 86_400.0
VALIDATOR_CHARS_MAX = 1_000
"""Longer ETags are not kept."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What is known of one list; times are Unix seconds, 0: never."""

    url: str = ""
    proof: str = ""
    """`Download.proof` that the copy was held against."""
    etag: str = ""
    last_modified: str = ""
    sha256: str = ""
    """Of the copy these notes are about; empty: there is none."""
    octets: int = 0
    names: int = 0
    day_names: int = 0
    """How many names there were when the day began within which small steps are added up."""
    day_began_at: float = 0.0
    changed_at: float = 0.0
    """When the copy was last replaced."""
    succeeded_at: float = 0.0
    """When the copy was last known to be what the server has."""
    attempted_at: float = 0.0
    failures: int = 0
    """Failed attempts since the last success."""
    result: str = ""
    """Of the last attempt."""
    problem: str = ""
    """Why it failed; empty when it did not."""
    serial: int = 0
    """Of a transferred zone: the copy's."""
    authority_serial: int = 0
    """The newest that a primary has said."""
    behind_since: float = 0.0
    """When a primary was first seen to have a newer zone than the copy; 0: none has."""
    transferred_as: str = ""
    """How the copy came: `whole` (AXFR) or by `changes` (IXFR)."""
    soa_refresh_s: int = 0
    soa_retry_s: int = 0
    soa_expire_s: int = 0
    is_digest_verified: bool = False
    """Whether the copy carries a digest of itself (ZONEMD) that fits."""


def day_of(notes: Notes, wall: float) -> tuple[int, float]:
    """How many names a list had when its day began, and when that was (Unix seconds); 0: it had none."""
    if notes.day_began_at and 0 <= wall - notes.day_began_at < DAY_S:
        return notes.day_names, notes.day_began_at
    return (notes.names, wall) if notes.names else (0, 0.0)


class ListStore:
    """One list's place in `state_dir`."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self.name = name
        self.path = stored_path(state_dir, name)
        self._folder = self.path.parent
        self._notes = self._folder / f"{name}.json"
        self._lock = self._folder / f".{name}.lock"

    def notes(self) -> Notes:
        """What is known; empty notes when there are none that can be read."""
        try:
            with self._notes.open("rb") as file:
                fields = json.loads(file.read(NOTES_OCTETS_MAX))
            notes = Notes(**fields)
            types = {name: type(value) for name, value in asdict(Notes()).items()}
            known = {name: _as(types[name], value) for name, value in asdict(notes).items()}
        except (OSError, ValueError, TypeError):
            return Notes()
        return Notes(**known)

    def note(self, notes: Notes) -> None:
        """Replace what is known.  Raises OSError."""
        replace_file(self._notes, json.dumps(asdict(notes), indent=1).encode() + b"\n")

    def has_copy(self) -> bool:
        """Whether there is anything to serve."""
        return self.path.exists()

    def look(self) -> tuple[Notes, bool]:
        """What is known, and whether there is a copy."""
        return self.notes(), self.has_copy()

    def is_about_copy(self, notes: Notes) -> bool:
        """Whether the copy on disk is the one that `notes` speak of, octet for octet."""
        if not notes.sha256:
            return False
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == notes.sha256
        except OSError:
            return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who downloads this list, with the folder made and swept.

        Raises FetchFailed (BUSY) and OSError.  The lock goes with the process, however it ends.
        """
        self._make_folder()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self._lock, wait=False))
            except BlockingIOError:
                raise FetchFailed(Result.BUSY, "another process is downloading this list") from None
            remove_leftovers(self._folder, self.path.name)
            yield

    def new_copy(self) -> Replacement:
        """A place for what is downloaded; the caller commits or discards it.  Raises OSError."""
        return Replacement(self.path)

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)


def _as(kind: type, value: Any) -> Any:
    """A field of notes, which anybody may have written.  Raises ValueError or TypeError."""
    return printable(value) if kind is str and isinstance(value, str) else kind(value)
