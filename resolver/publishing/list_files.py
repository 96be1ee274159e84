"""Opens the files of lists, local ones and our copies of downloads.

Knows: where they are, as whom they are opened.  Does not know: what is in them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import FileIO

from resolver.blocklist.downloads import UNPLACED, stored_path
from resolver.blocklist.rules import ListSpec
from resolver.identity import as_owner_of
from resolver.portions import open_regular


@contextlib.contextmanager
def open_list(spec: ListSpec) -> Iterator[FileIO]:
    """A list's file, as its owner where it is a copy of ours.  Raises OSError."""
    if spec.path == UNPLACED:
        raise FileNotFoundError
    if spec.download is None:
        with open_regular(spec.path) as file:
            yield file
        return
    with as_owner_of(spec.path.parents[1]) as folder, open_regular(stored_path(folder, spec.name)) as file:
        yield file
