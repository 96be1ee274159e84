"""Which blocklists a person has applied by hand, and which of them although a safety rail objects.

Knows: `approvals.json` in `state_dir`, and that an approval is for one content, octet for octet.
Does not know: the rails, who reads it, the time.
Theory: an approval names the hash of the blocklist and of every local list file.  What the rails object
to in the blocklist itself is approved for that file's hash, however its lists change; what they object to
in the size of a list is approved for all of these hashes.  Change one octet of what was approved and the
rails object again, so nobody approves what they have not seen.
An approval that forces, or that a second person has given, is given against what serves at that moment.  It
counts until something else serves, and, once it is in force, for as long as it stays so: the same text put
back later is held against the rails again.  What serves has a number for that, which rises with each change
of what people edit.
The server follows this file like the blocklist itself: a new line in it is a reason to load again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from resolver.durable import locked, replace_file
from resolver.identity import as_owner_of, user_name
from resolver.portions import open_regular, read_up_to
from resolver.problems import printable

APPROVALS_FILE = "approvals.json"
LOCK_FILE = ".approvals.lock"
APPROVALS_KEPT_MAX = 200
"""The oldest go first; what was applied long ago is in the history."""
FILE_OCTETS_MAX = 1 << 20
"""Larger files are not ours."""
REASON_CHARS_MAX = 500
WHO_CHARS_MAX = 100


SERIAL_LOST = -2
"""Of what serves while the note of it is damaged or gone."""


class Served(NamedTuple):
    """What serves, as far as approvals are concerned."""

    serial: int
    """Rises with each change of what people edit; 0: an older program has noted what serves.

    `SERIAL_LOST`: the note of it is damaged."""
    granted: tuple[str, ...] = ()
    """`id` of the approvals that what serves was loaded by."""
    content: str = ""
    """Where the serial is lost: `content_hash` of what the history has last; empty: nobody knows."""
    blocklist: str = ""
    """The same of the blocklist's SHA-256."""
    since: float = 0.0
    """The same of when that came into force (Unix seconds)."""


class HashedFile(Protocol):
    """A file whose content is known by its hash."""

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Approval:
    """One `apply` of one content."""

    content: str
    """`content_hash` of the files."""
    who: str
    at: float
    """Unix seconds."""
    reason: str = ""
    """Why the rails are overruled; empty: nothing was forced."""
    blocklist: str = ""
    """SHA-256 of the blocklist, if a rail objected to what it says itself, or another person approved it."""
    rolled_back_to: int = 0
    """The generation of the history that was written back; 0: this is no rollback."""
    remark: str = ""
    """Why it was rolled back, where no rail objected."""
    serial: int = -1
    """Of what served when it was given; -1: an older program did not note it."""
    approved_by: str = ""
    """The second person, where two are needed; `who` is then the one who proposed it."""
    proposal: str = ""
    """Id of what was approved."""
    via: str = ""
    """`api`, or empty: a command."""

    @property
    def is_seconded(self) -> bool:
        """Whether more than one person stands for it, or one who has overruled that two are needed."""
        return bool(self.approved_by) or self.is_forced

    @property
    def is_forced(self) -> bool:
        """Whether it overrules the safety rails."""
        return bool(self.reason)

    @property
    def id(self) -> str:
        """Which one it is."""
        return f"{self.at!r} {self.content[:16]}"

    def still_counts(self, served: Served | None) -> bool:
        """Whether nothing else has served since it was given, or since it came into force."""
        if not self.is_seconded or served is None or not served.serial:
            return True
        if served.serial == SERIAL_LOST:
            # Whoever damages the note must not bring old approvals back.
            is_of_this_time = self.serial == SERIAL_LOST and self.at >= served.since
            return is_of_this_time or self.content == served.content or self._forces(served.blocklist)
        return self.serial == served.serial or self.id in served.granted

    def _forces(self, blocklist: str) -> bool:
        return self.is_forced and bool(blocklist) and self.blocklist == blocklist


def approvals_path(state_dir: Path) -> Path:
    """Where approvals are kept."""
    return state_dir / APPROVALS_FILE


def content_hash(inputs: Iterable[HashedFile]) -> str:
    """One hash for the blocklist and its list files, in their order; their paths do not matter."""
    return hashlib.sha256(json.dumps([entry.sha256 for entry in inputs]).encode()).hexdigest()


def read_approvals(state_dir: Path) -> list[Approval]:
    """All of them, oldest first; none when there is no file that can be read."""
    try:
        with as_owner_of(state_dir) as folder, open_regular(approvals_path(folder)) as file:
            entries = json.loads(read_up_to(file, FILE_OCTETS_MAX))["approvals"]
        return [
            Approval(
                str(entry["content"]),
                printable(str(entry["who"])),
                float(entry["at"]),
                printable(str(entry["reason"])),
                str(entry.get("blocklist", "")),
                int(entry.get("rolled_back_to", 0)),
                str(entry.get("remark", "")),
                int(entry.get("serial", -1)),
                printable(str(entry.get("approved_by", ""))),
                printable(str(entry.get("proposal", ""))),
                printable(str(entry.get("via", ""))),
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Without an approval the rails stand: the safe side.
        return []


def approvals_of(
    state_dir: Path, inputs: Sequence[HashedFile], served: Served | None
) -> tuple[list[Approval], list[Approval]]:
    """Those for these files, the blocklist first, that count, and those that do not any more; oldest first.

    `served`: what serves now; None: nothing has served yet, and all of them count.
    """
    content = content_hash(inputs)
    blocklist = inputs[0].sha256
    found: tuple[list[Approval], list[Approval]] = ([], [])
    for approval in read_approvals(state_dir):
        if approval.content == content or (approval.is_forced and approval.blocklist == blocklist):
            found[not approval.still_counts(served)].append(approval)
    return found


def decisive(approvals: Sequence[Approval]) -> Approval | None:
    """The latest of them; one that forces stays good when it is applied again without."""
    chosen = [approval for approval in approvals if approval.is_forced] or approvals
    return chosen[-1] if chosen else None


def add_approval(state_dir: Path, approval: Approval) -> None:
    """Note one: the old file or the new one stands, never half of one.  Raises OSError."""
    approval = replace(approval, who=printable(approval.who), reason=printable(approval.reason))
    with as_owner_of(state_dir) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        # Two people may approve at the same moment, and neither's line may get lost.
        with locked(folder / LOCK_FILE):
            kept = [*read_approvals(folder), approval][-APPROVALS_KEPT_MAX:]
            octets = json.dumps({"approvals": [asdict(entry) for entry in kept]}, indent=1).encode()
            replace_file(approvals_path(folder), octets)


def current_user() -> str:
    """Who runs this; for root behind `sudo` the person, too: `ann (as root)`.

    Anybody can set SUDO_USER, so it is believed only where root says it.
    """
    uid = os.getuid()
    name = user_name(uid)
    person = "" if uid else printable(os.environ.get("SUDO_USER", ""))[: WHO_CHARS_MAX // 2]
    return f"{person} (as {name})" if person and person != name else name[:WHO_CHARS_MAX]
