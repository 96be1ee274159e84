"""Writes state without end, one whole change after the other, until it is killed or the disk is full.

    python -m tests.fuzz.storage_writer history|approvals|blocklist FOLDER SEED [FILE_OCTETS_MAX]

Prints a line before the first write.  Exits 3 when a write failed and said so.
"""

from __future__ import annotations

import hashlib
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from resolver.durable import replace_file
from resolver.publishing.approvals import Approval, add_approval
from resolver.publishing.history import Generation, HistoryUnusable, open_history

FULL = 3
"""Exit code: there was no room, and the writer noticed."""


def text_of(number: int) -> bytes:
    """A text that says of itself whether it is whole, and does not compress."""
    body = random.Random(number).randbytes(100 + number * 7919 % 50_000)
    return hashlib.sha256(body).hexdigest().encode() + body


def is_whole(text: bytes) -> bool:
    """Whether it is one of those, to the last octet."""
    return hashlib.sha256(text[64:]).hexdigest().encode() == text[:64]


def write_history(folder: Path, number: int) -> None:
    """One generation more; the limit is low, so that dropping is part of it."""
    text = text_of(number)
    generation = Generation(
        0, number, str(number), hashlib.sha256(text).hexdigest(), "ann", "apply", "", {}, {"n": number}, False
    )
    with open_history(folder, create=True) as history:
        history.texts_octets_max, history.generations_max = 150_000, 40
        history.add(generation, text)


def write_approval(folder: Path, number: int) -> None:
    """One approval more."""
    add_approval(folder, Approval(str(number), "ann", float(number), "why " * (number % 50)))


def write_blocklist(folder: Path, number: int) -> None:
    """Another text."""
    replace_file(folder / "blocklist.yaml", text_of(number))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "history": write_history,
    "approvals": write_approval,
    "blocklist": write_blocklist,
}


def main() -> int:
    """See the head of this file."""
    kind, folder, seed, *limit = sys.argv[1:]
    if limit:
        # A file at its limit fails as on a full disk, instead of ending the process.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    print("ready", flush=True)
    number = int(seed)
    while True:
        number += 1
        try:
            WRITERS[kind](Path(folder), number)
        except (OSError, HistoryUnusable):
            return FULL


if __name__ == "__main__":
    sys.exit(main())
