"""The two-person rule: what one person edited is not loaded until another one has approved it.

Knows: what serves, which approvals there are for these files.  Does not know: who may approve, how.
Theory: it is one more safety rail.  Whoever edits a file by hand meets it as whoever edits by the API does,
and `apply --force --reason`, which takes rights on the machine and is recorded, overrules it like the others.
What serves already needs no approval; nor does the first policy of all: there is nothing that it changes.
A note of what serves that is damaged is none that is absent: or to damage it would turn the rule off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resolver.identity import as_owner_of
from resolver.problems import Problem
from resolver.publishing.approvals import SERIAL_LOST, Approval, HashedFile, Served, content_hash
from resolver.publishing.compiled import edited_files
from resolver.publishing.history import HistoryUnusable, history_path, open_history
from resolver.publishing.image_store import ImageStore, note_path

WAITS = "this edit waits for a second person (http.changes: two-person)"
"""Begins the objection, so that others know it."""
WAYS = (
    "'exchange-resolver proposals' shows it; another person approves it in the dashboard or by the API "
    "(POST /api/v1/proposals/ID/approve); "
    "alone, on this machine: exchange-resolver apply --force --reason '...'"
)
"""How an edit of the file itself comes into force."""


def served_content(state_dir: Path) -> str | None:
    """The hash of what people edited and serves; empty: it is not known; None: nothing has served yet.

    Where the note of what serves is damaged or gone, the history knows it.
    """
    try:
        with as_owner_of(state_dir) as folder:
            note = ImageStore(folder).last_good()
            was_there = any(map(_is_there, (note_path(folder), history_path(folder))))
    except OSError:
        return ""
    if note is not None:
        return content_hash(edited_files(state_dir, note.inputs))
    if not was_there:
        return None
    try:
        with open_history(state_dir) as history:
            latest = history.latest()
    except HistoryUnusable:
        return ""
    if latest is None and not _is_there(note_path(state_dir)):
        return None
    return "" if latest is None else latest.content


def served_now(state_dir: Path) -> Served | None:
    """What serves, as far as approvals are concerned; None: nothing has served yet.

    Where the note of it is damaged or gone, what the history has last says which approvals are of this time.
    Root looks as the folder's owner.
    """
    try:
        with as_owner_of(state_dir) as folder:
            note = ImageStore(folder).last_good()
            was_there = any(map(_is_there, (note_path(folder), history_path(folder))))
    except OSError:
        return Served(SERIAL_LOST)
    if note is not None:
        return note.served
    if not was_there:
        return None
    try:
        with open_history(state_dir) as history:
            latest = history.latest()
    except HistoryUnusable:
        return Served(SERIAL_LOST)
    if latest is None:
        return Served(SERIAL_LOST) if _is_there(note_path(state_dir)) else None
    return Served(SERIAL_LOST, (), latest.content, latest.sha256, latest.at)


def _is_there(path: Path) -> bool:
    """Whether there is such a file, be it one that cannot be read."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def waits_for_second(
    path: Path, state_dir: Path, inputs: Sequence[HashedFile], approvals: Sequence[Approval]
) -> list[Problem]:
    """The objection to files that one person alone stands for; none where they serve, or are approved.

    `inputs`: the files that people edit, the blocklist first.  `approvals`: those that count for them.
    """
    served, content = served_content(state_dir), content_hash(inputs)
    if served is None or served == content:
        return []
    if any(approval.is_seconded and approval.content == content for approval in approvals):
        return []
    return [Problem(str(path), 0, f"{WAITS}: {WAYS}", forcible=True)]
