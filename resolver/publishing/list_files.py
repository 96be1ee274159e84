"""Opens the files of lists, local ones and our copies of downloads.

Knows: where they are, as whom they are opened, who may read the secrets that downloads need.  Does not know:
what is in them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from io import FileIO

from resolver.blocklist.access import mode_objection
from resolver.blocklist.downloads import UNPLACED, stored_path
from resolver.blocklist.rules import ListSpec
from resolver.identity import as_owner_of
from resolver.portions import open_regular
from resolver.problems import Problem


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


def secret_problems(specs: Iterable[ListSpec]) -> list[Problem]:
    """Object to files of secrets that others can read, and warn of those that are missing."""
    problems = []
    for spec in specs:
        for path in spec.download.secret_files if spec.download is not None else ():
            try:
                objection = mode_objection(os.stat(path).st_mode)  # noqa: PTH116 - a string in.
            except OSError as error:
                message = f"lists.{spec.name}: {path}: {error.strerror}; nothing can be downloaded"
                problems.append(Problem(spec.file, spec.line, message, "warning"))
                continue
            if objection:
                message = f"lists.{spec.name}: secret file {path}: {objection}"
                problems.append(Problem(spec.file, spec.line, message))
    return problems
