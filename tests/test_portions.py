"""Large files in small calls: nothing lost, nothing more than asked for, short writes gone on with."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

import pytest

from resolver.portions import PORTION_OCTETS, open_regular, read_up_to, write_all
from resolver.publishing import image_store
from tests.support.for_each import for_each


@for_each("octets", [0, 1, PORTION_OCTETS, PORTION_OCTETS + 1, 3 * PORTION_OCTETS])
@for_each("octets_max", [1, PORTION_OCTETS, 2 * PORTION_OCTETS + 1, 1 << 30])
def test_reads_as_much_as_there_is_or_as_asked(tmp_path: Path, octets: int, octets_max: int) -> None:
    content = os.urandom(octets)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert read_up_to(file, octets_max) == content[:octets_max]


def test_no_call_carries_more_than_a_portion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = os.write

    def short_write(descriptor: int, octets: memoryview) -> int:
        calls.append(len(octets))
        return write(descriptor, octets[: 3 * len(octets) // 4 + 1])

    monkeypatch.setattr(os, "write", short_write)
    pieces = (b"", os.urandom(5), bytearray(os.urandom(2 * PORTION_OCTETS + 7)), memoryview(os.urandom(9)))
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_all(file.fileno(), pieces)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    assert max(calls) == PORTION_OCTETS


def test_only_files_with_an_end_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"regular|directory"):
            open_regular(path)
    (tmp_path / "file").write_bytes(b"octets")
    with open_regular(tmp_path / "file") as file:
        assert read_up_to(file, 100) == b"octets"


def test_what_says_nothing_yet_is_not_taken_for_its_end() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    with FileIO(reading) as file, FileIO(writing, "w") as other:
        other.write(b"half")
        with pytest.raises(BlockingIOError, match="no end"):
            read_up_to(file, 100)


def test_digest_of_what_says_nothing_yet_is_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    with FileIO(writing, "w") as other:
        other.write(b"half")
        monkeypatch.setattr(image_store, "open_regular", lambda _: FileIO(reading))
        with pytest.raises(BlockingIOError, match="no end"):
            image_store.hash_file(tmp_path)


def test_full_disk_is_told() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):  # noqa: PTH123
        write_all(full.fileno(), (b"octets",))
