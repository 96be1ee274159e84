"""The blocklist that served last, as text: what an edit is held against.

Knows: where texts are kept, and which of them served.  Does not know: what a text means, the rails.
Theory: a text outlives every change of the image's format, and each copy is held against its hash, so it is
the policy that served or nothing.  It stands beside its image, and in the history.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from resolver.portions import open_regular, read_up_to
from resolver.publishing.history import TEXT_PLAIN_OCTETS_MAX, HistoryUnusable, open_history
from resolver.publishing.image_store import ImageStore, LastGood


class TextLost(Exception):
    """Something served, and what it said cannot be found out."""


def served_text(state_dir: Path) -> bytes | None:
    """The octets of the blocklist that served last; None: none ever did.  Raises `TextLost`."""
    store = ImageStore(state_dir)
    note = store.last_good()
    if note is not None and note.inputs:
        sha256 = note.inputs[0].sha256
        for text in _copies(store, note, state_dir):
            if hashlib.sha256(text).hexdigest() == sha256:
                return text
        raise TextLost(f"{state_dir}: the text of the blocklist that served last is gone")
    return _latest_recorded(state_dir)


def _copies(store: ImageStore, note: LastGood, state_dir: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError), open_regular(store.text_path_of(note.key)) as file:
        yield read_up_to(file, TEXT_PLAIN_OCTETS_MAX)
    with contextlib.suppress(HistoryUnusable), open_history(state_dir) as history:
        text = history.text_of_hash(note.inputs[0].sha256)
        if text is not None:
            yield text


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
