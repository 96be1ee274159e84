"""Files of certificates and keys: read as one set, and looked at for changes.

Knows: files, who may read them.  Does not know: what is served, when one looks.
Theory: a set is read whole or not at all.  Whether something has changed is seen by what the paths lead to,
symbolic links followed: an editor's rename, a link that is turned (as certbot and Kubernetes do), a new
date are all another stamp.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resolver.certificates.pair import BadPair, Pair, read_pair

FILE_OCTETS_MAX: Final = 1 << 20
"""A file of certificates is some kilobytes long."""

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pair comes from."""

    certificate: Path
    key: Path
    keys: tuple[str | int, ...] = ("tls",)
    """Where the settings name them: the keys that lead to `certificate` and `key`."""


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong with a pair, or what some clients will not like."""

    source: Source
    part: str
    """Whose file: `certificate` or `key`."""
    reason: str

    @property
    def keys(self) -> tuple[str | int, ...]:
        """The keys of the settings that lead to the file's name."""
        return *self.source.keys, self.part

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.certificate if self.part == "certificate" else self.source.key

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def stamps_of(sources: Sequence[Source]) -> tuple[Stamp, ...]:
    """What the paths lead to now; another value: something has changed."""
    return tuple(stamp_of(path) for source in sources for path in (source.certificate, source.key))


def read_pairs(sources: Sequence[Source]) -> tuple[list[Pair], list[Objection]]:
    """Read every pair: all of them, or what is wrong with each that cannot be used."""
    pairs, objections = [], []
    for source in sources:
        part = "certificate"
        try:
            chain = read_certificates_file(source.certificate)
            part = "key"
            key = read_certificates_file(source.key)
            pairs.append(read_pair(chain, key))
        except PermissionError as error:
            who = f"by the user that runs here (uid {os.geteuid()})"
            objections.append(Objection(source, part, f"cannot be read {who}: {error.strerror}"))
        except OSError as error:
            objections.append(Objection(source, part, f"cannot be read: {error.strerror or error}"))
        except BadPair as error:
            objections.append(Objection(source, error.part, error.reason))
    return pairs, objections


def remarks_on(sources: Sequence[Source], pairs: Sequence[Pair], wall: float) -> list[Objection]:
    """What is unwise about pairs that can be used, or no longer good at `wall`."""
    found = []
    taken: dict[str, Source] = {}
    for source, pair in zip(sources, pairs, strict=True):
        if reason := pair.when_not(wall):
            found.append(Objection(source, "certificate", reason))
        found += [Objection(source, "certificate", remark) for remark in pair.remarks]
        if reason := exposure_of(source.key):
            found.append(Objection(source, "key", reason))
        for name in pair.names:
            first = taken.setdefault(f"{name} {pair.kind}", source)
            if first is not source:
                reason = f"has the name {name}, which {first.certificate} serves already, for it stands first"
                found.append(Objection(source, "certificate", reason))
    return found


def exposure_of(key: Path) -> str:
    """Who may read or write a key besides its owner and group; empty: nobody."""
    try:
        mode = key.stat().st_mode
    except OSError:
        return ""
    if mode & stat.S_IWOTH:
        return f"can be written by every user of this machine (mode {mode & 0o777:o}); chmod 600"
    if mode & stat.S_IROTH:
        return f"can be read by every user of this machine (mode {mode & 0o777:o}); chmod 600, or 640"
    return ""


def read_certificates_file(path: Path) -> bytes:
    """A file of certificates or of a key.  Raises OSError."""
    # Not to wait for whoever opens the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no file")
        octets = file.read(FILE_OCTETS_MAX + 1)
    if len(octets) > FILE_OCTETS_MAX:
        raise OSError(f"it has over {FILE_OCTETS_MAX} octets")
    return octets


def stamp_of(path: Path) -> Stamp:
    """What one path leads to now."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
