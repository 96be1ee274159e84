"""The files of the policy in force, held by the server that serves it, and put back where they are gone.

Knows: which files an edit is held against.  Does not know: how it is held against them, the event loop.
Theory: `state_dir` may be emptied, or another disk be mounted there, while the server runs.  The next edit
would find nothing that served before it, and whatever it opens would pass.  The image is mapped and the
text's file is open, so neither is lost before the server ends.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from resolver.durable import replacing
from resolver.policy.image import Image
from resolver.portions import open_regular, read_portion, write_all
from resolver.publishing.compiled import InputFile
from resolver.publishing.image_store import ImageStore, LastGood


class ServedFiles:
    """What the policy in force was made of.  Everything here may block: call it in a thread."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._image: Image | None = None
        self._text: FileIO | None = None
        self._text_of = ""
        """Key of the policy whose text that is."""
        self._is_noted = False
        self.note: LastGood | None = None
        """As it was written last; of the policy that is held."""

    def hold(self, image: Image, key: str, inputs: Iterable[InputFile], paths: tuple[str, ...]) -> None:
        """Hold the files of this policy, in place of those of the one before.

        A pause that begins or ends comes here with the same policy again: then what is held stays, for what
        lies in `state_dir` may be gone.
        """
        stored = self._store.last_good()
        if stored is not None and stored.key == key:
            self.noted(stored)
        elif self.note is None or self.note.key != key:
            # There is none to put back: one made up here would let approvals of long ago count.
            self.note, self._is_noted = LastGood(key, tuple(inputs), paths), False
        self._image = image
        if self._text is not None and self._text_of == key:
            return
        self._let_go_of_text()
        self._text_of = key
        # Without a text beside it, an edit is held against the history.
        with contextlib.suppress(OSError):
            self._text = open_regular(self._store.text_path_of(key))

    def noted(self, note: LastGood) -> None:
        """This note was written, or should have been."""
        self.note, self._is_noted = note, True

    def put_back(self) -> bool:
        """Write what is gone of them; whether anything was.  Raises OSError."""
        note, image = self.note, self._image
        if note is None or image is None:
            return False
        text_path = self._store.text_path_of(note.key)
        is_text_gone = self._text is not None and _size(text_path) != os.fstat(self._text.fileno()).st_size
        is_image_gone = _size(self._store.path_of(note.key)) != len(image.octets)
        is_note_gone = self._is_noted and self._store.last_good() is None
        if not (is_text_gone or is_image_gone or is_note_gone):
            return False
        self._store.images.mkdir(parents=True, exist_ok=True)
        if is_image_gone:
            with replacing(self._store.path_of(note.key)) as new:
                write_all(new.file.fileno(), [memoryview(image.octets)])
        if is_text_gone and self._text is not None:
            self._text.seek(0)
            with replacing(text_path) as new:
                while portion := read_portion(self._text):
                    write_all(new.file.fileno(), [portion])
        if is_note_gone:
            self._store.remember(note)
        return True

    def close(self) -> None:
        """Let go of them."""
        self._let_go_of_text()
        self._image = self.note = None

    def _let_go_of_text(self) -> None:
        if self._text is not None:
            self._text.close()
        self._text = None


def _size(path: Path) -> int:
    """Octets of a file; -1: it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
