"""The blocklist that served last, as text: what an edit is held against.

Knows: where texts are kept, and which of them served.  Does not know: what a text means, the rails.
Theory: a text outlives every change of the image's format, and each copy is held against its hash, so it is
the policy that served or nothing.  It stands beside its image, and in the history.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from resolver.identity import as_owner_of
from resolver.portions import open_regular, read_up_to
from resolver.publishing.history import TEXT_PLAIN_OCTETS_MAX, HistoryUnusable, open_history
from resolver.publishing.image_store import ImageStore


class TextLost(Exception):
    """Something served, and what it said cannot be found out."""


def served_text(state_dir: Path) -> bytes | None:
    """The octets of the blocklist that served last; None: none ever did.  Raises `TextLost`."""
    sha256, text = _beside_image(state_dir)
    if not sha256:
        return _latest_recorded(state_dir)
    for copy in (text, _recorded(state_dir, sha256)):
        if copy is not None and hashlib.sha256(copy).hexdigest() == sha256:
            return copy
    raise TextLost(f"{state_dir}: the text of the blocklist that served last is gone")


def _beside_image(state_dir: Path) -> tuple[str, bytes | None]:
    """The hash that the note has (empty: there is no note), and what stands beside the image."""
    sha256 = ""
    # Commands ask this, too, which root may run.
    with contextlib.suppress(OSError), as_owner_of(state_dir) as folder:
        store = ImageStore(folder)
        note = store.last_good()
        if note is not None and note.inputs:
            sha256 = note.inputs[0].sha256
            with open_regular(store.text_path_of(note.key)) as file:
                return sha256, read_up_to(file, TEXT_PLAIN_OCTETS_MAX)
    return sha256, None


def _recorded(state_dir: Path, sha256: str) -> bytes | None:
    with contextlib.suppress(HistoryUnusable), open_history(state_dir) as history:
        return history.text_of_hash(sha256)
    return None


def _latest_recorded(state_dir: Path) -> bytes | None:
    """Without a note of what served, the history knows it."""
    try:
        with open_history(state_dir) as history:
            latest = history.latest()
            if latest is None:
                return None
            text = history.text(latest.number)
    except HistoryUnusable:
        return None
    if text is None:
        raise TextLost(f"{state_dir}: the text of the blocklist that served last is no longer kept")
    return text
