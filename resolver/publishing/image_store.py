"""The images kept in `state_dir`, and the note of which one was last good.

Knows: folders, names, atomic replacement.  Does not know: how images are made, when, the event loop.

    state_dir/images/<key>.policy     never written over
    state_dir/images/<key>.yaml       the blocklist it was made of; comes and goes with the image
    state_dir/images/<key>.paused     the same while filtering is paused (`paused_image`)
    state_dir/images/<key>.records    the records of its registers; comes and goes with the image
    state_dir/last-good.json          which of them served last, and of what files it was made

Every change is a rename of a finished, flushed file, so a kill or a full disk at any moment leaves
the old state or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from resolver.durable import remove_leftovers, replace_file
from resolver.identity import as_owner_of
from resolver.policy.image import Image, ImageUnusable, read_meta
from resolver.portions import open_regular, read_portion
from resolver.publishing.approvals import Served, content_hash, read_approvals
from resolver.publishing.compiled import (
    IMAGE_SUFFIX,
    PAUSED_SUFFIX,
    RECORDS_SUFFIX,
    TEXT_SUFFIX,
    InputFile,
    edited_files,
    key_of,
)

IMAGES_KEPT_MAX = 4
"""Images on disk, the serving one included: enough to go back a few edits, at about 40 MB a million names."""
NOTE_OCTETS_MAX = 1 << 20
"""Larger notes are not ours."""


class FileStamp(NamedTuple):
    """What `stat` says of a file that tells one content of it from the next."""

    device: int
    inode: int
    octets: int
    modified_ns: int
    changed_ns: int
    """Also moves when a file gets another mode, and nobody can set it back, as they can the time before."""
    links: int
    """Names that the file has.  A mounted file can lose its last one: an editor outside has replaced it."""


Stamp = FileStamp | None
"""None: it cannot be read."""
CHANGED: Stamp = FileStamp(0, 0, 0, 0, 0, 1)
"""The stamp of no file, so that every look at it finds a change."""


@dataclass(frozen=True, slots=True)
class LastGood:
    """The note: which image served last."""

    key: str
    inputs: tuple[InputFile, ...]
    paths: tuple[str, ...]
    """Every file that a change of may change the policy."""
    serial: int = 0
    """As `approvals.Served` has it."""
    granted: tuple[str, ...] = ()

    @property
    def served(self) -> Served:
        """The same for approvals."""
        return Served(self.serial, self.granted)


def serial_after(before: LastGood | None, state_dir: Path, inputs: tuple[InputFile, ...]) -> int:
    """The serial of what these files are made to, `before` being what served before it."""
    if before is None:
        # Above all that were: the note may have been lost, and no approval from before it counts by chance.
        return max(1, 1 + max((approval.serial for approval in read_approvals(state_dir)), default=0))
    was, becomes = (content_hash(edited_files(state_dir, files)) for files in (before.inputs, inputs))
    return max(1, before.serial + (was != becomes))


def note_path(state_dir: Path) -> Path:
    """Where the note of what served last is."""
    return state_dir / "last-good.json"


class ImageStore:
    """`state_dir` as the publisher uses it.  Everything here may block: call it in a thread."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.images = state_dir / "images"
        self._note = note_path(state_dir)

    def path_of(self, key: str) -> Path:
        """Where the image of this key stands."""
        return self.images / f"{key}{IMAGE_SUFFIX}"

    def text_path_of(self, key: str) -> Path:
        """Where the blocklist's octets stand that the image of this key was made of."""
        return self.images / f"{key}{TEXT_SUFFIX}"

    def records_path_of(self, key: str) -> Path:
        """Where the records of the registers stand that are in the image of this key."""
        return self.images / f"{key}{RECORDS_SUFFIX}"

    def last_good(self) -> LastGood | None:
        """The note, or None when there is none that can be read."""
        try:
            with self._note.open("rb") as file:
                fields = json.loads(file.read(NOTE_OCTETS_MAX))
            inputs = tuple(InputFile(**entry) for entry in fields["inputs"])
            return LastGood(
                str(fields["key"]),
                inputs,
                tuple(map(str, fields["paths"])),
                int(fields.get("serial", 0)),
                tuple(map(str, fields.get("granted", ()))),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def list_sizes(self) -> dict[str, int]:
        """How many names each list had in the policy that served last; empty when that is unknown.

        An image of an older format tells it too: an upgrade is no reason to let a list shrink unseen.
        """
        try:
            # Commands call this, too, which root may run.
            with as_owner_of(self._state_dir) as folder:
                store = ImageStore(folder)
                note = store.last_good()
                if note is None:
                    return {}
                sizes = read_meta(store.path_of(note.key))["counts"]["per_list"]
            return {str(name): int(size) for name, size in sizes.items()}
        except (ImageUnusable, OSError, KeyError, TypeError, ValueError, AttributeError):
            return {}

    def remember(self, note: LastGood) -> None:
        """Write the note: the old or the new one stands, never half of one.  Raises OSError."""
        replace_file(self._note, json.dumps(asdict(note)).encode())

    def prune(self, serving: str) -> None:
        """Remove the oldest images beyond `IMAGES_KEPT_MAX`, and what killed compilers left behind."""
        remove_leftovers(self.images)
        try:
            entries = list(self.images.iterdir())
        except OSError:
            return
        images: list[tuple[float, Path]] = []
        for path in entries:
            with contextlib.suppress(OSError):
                if path.suffix == IMAGE_SUFFIX and path.stem != serving:
                    images.append((path.stat().st_mtime, path))
        images.sort(reverse=True)
        for _, path in images[IMAGES_KEPT_MAX - 1 :]:
            with contextlib.suppress(OSError):
                path.unlink()
        for path in entries:
            # None is pruned while a child compiles, so one without an image is nobody's any more.
            is_beside = path.suffix in (TEXT_SUFFIX, RECORDS_SUFFIX, PAUSED_SUFFIX)
            if is_beside and not path.with_suffix(IMAGE_SUFFIX).exists():
                with contextlib.suppress(OSError):
                    path.unlink()

    def open_if_current(self, blocklist: Path, note: LastGood) -> Image | None:
        """The noted image, if the files it was made of are what they were; None: compile anew."""
        if not note.inputs or note.inputs[0].path != str(blocklist):
            return None
        try:
            # What has another size need not be read: it may be endless, or nearly.
            if any(Path(entry.path).stat().st_size != entry.octets for entry in note.inputs):
                return None
            now = [hash_file(Path(entry.path)) for entry in note.inputs]
        except OSError:
            return None
        if key_of(now) != note.key:
            return None
        try:
            return open_image(self.path_of(note.key))
        except ImageUnusable:
            return None


def open_image(path: Path) -> Image:
    """Map an image and read all of it against its checksum.  Raises `ImageUnusable`."""
    image = Image(path)
    image.verify()
    return image


def hash_file(path: Path) -> InputFile:
    """A file's content, as the compiler notes it.  Raises OSError."""
    with open_regular(path) as file:
        digest = hashlib.sha256()
        while portion := read_portion(file):
            digest.update(portion)
        return InputFile(str(path), digest.hexdigest(), os.fstat(file.fileno()).st_size)


def stamps_of(paths: tuple[str, ...]) -> dict[str, Stamp]:
    """What tells one content of each file from the next without reading it; links are followed."""
    return {path: _stamp_of(path) for path in paths}


def replaced_outside(stamps: Mapping[str, Stamp]) -> tuple[str, ...]:
    """Those files that can still be read under their path, but have no name any more: mounted ones."""
    return tuple(path for path, stamp in stamps.items() if stamp is not None and not stamp.links)


def stamps_as_read(paths: tuple[str, ...], inputs: tuple[InputFile, ...]) -> dict[str, Stamp]:
    """The stamps of files that were read a moment ago; `CHANGED` for one that changed since."""
    read = {entry.path: entry for entry in inputs}
    stamps: dict[str, Stamp] = {}
    for path in paths:
        stamp = _stamp_of(path)
        with contextlib.suppress(OSError):
            if path in read and hash_file(Path(path)) != read[path]:
                stamp = CHANGED
        stamps[path] = stamp
    return stamps


def _stamp_of(path: str) -> Stamp:
    try:
        stat = os.stat(path)  # noqa: PTH116 - a string in, and no Path made: this runs every few seconds.
    except OSError:
        return None
    return FileStamp(
        stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_nlink
    )
