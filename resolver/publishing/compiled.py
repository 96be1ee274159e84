"""What a compilation hands to the process that serves, and the name of its image.

Knows: the words.  Does not know: how a blocklist is read; so a server need not load the readers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resolver import __version__
from resolver.blocklist.downloads import stored_path
from resolver.policy.image import FORMAT_VERSION
from resolver.problems import Problem
from resolver.publishing.approvals import Approval

COMPILER_VERSION = 4
"""Raised when the same inputs come to mean another image."""
IMAGE_SUFFIX = ".policy"
PAUSED_SUFFIX = ".paused"
"""Of the image that judges in its place while filtering is paused."""
RECORDS_SUFFIX = ".records"
"""Of the records of its registers, beside the image."""
TEXT_SUFFIX = ".yaml"
"""Of the blocklist's octets as they were compiled, kept beside the image for the history."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file an image was made of."""

    path: str
    sha256: str
    octets: int


@dataclass(slots=True)
class Compiled:
    """What came of a compilation: an image, or the reasons why there is none."""

    image: Path | None = None
    key: str = ""
    inputs: list[InputFile] = field(default_factory=list)
    """The files that were read, the blocklist first."""
    paths: list[str] = field(default_factory=list)
    """The files that were wanted, those that could not be read included."""
    downloaded: list[str] = field(default_factory=list)
    """Those of `paths` that are copies of downloaded lists."""
    counts: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    """What served last enforces and this does not, in lines for the log that leave no name out."""
    transient: bool = False
    """What the files say was not to blame: trying again later may help, though none of them changes."""
    approval: Approval | None = None
    """The `apply` of these files, if there was one."""
    granted: list[str] = field(default_factory=list)
    """`id` of the approvals that force, and count for these files."""
    has_objections_to_blocklist: bool = False
    """A safety rail objects to what the blocklist itself says, forced or not."""

    @property
    def own_inputs(self) -> list[InputFile]:
        """The files that people here edit: what an approval is for.  Downloads change by themselves."""
        return [entry for entry in self.inputs if entry.path not in self.downloaded]


def edited_files(state_dir: Path, inputs: Iterable[InputFile]) -> list[InputFile]:
    """Those that people here edit, told by where they stand."""
    copies = stored_path(state_dir, "any").parent
    return [entry for entry in inputs if Path(entry.path).parent != copies]


def key_of(inputs: list[InputFile]) -> str:
    """The name of the image of these files: everything that decides its content, hashed."""
    parts: list[object] = [FORMAT_VERSION, COMPILER_VERSION, __version__]
    parts += [[entry.path, entry.sha256] for entry in inputs]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
