"""Killed or out of room at any moment: history, approvals and blocklist are old or new, and whole."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.publishing.approvals import approvals_path, read_approvals
from resolver.publishing.history import history_path, open_history
from tests.fuzz.rig import IS_LONG
from tests.fuzz.storage_writer import FULL, WRITERS, is_whole, text_of

ROUNDS = 200 if IS_LONG else 10
LIFE_S_MAX = 0.06
"""Longest life of a writer after its first word: some thirty writes."""
ROOT = Path(__file__).parents[2]
TMPFS_OCTETS = 262_144

pytestmark = pytest.mark.slow
kinds = pytest.mark.parametrize("kind", sorted(WRITERS))


def start(kind: str, folder: Path, seed: int, *limit: int) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "tests.fuzz.storage_writer",
        kind,
        str(folder),
        str(seed),
        *map(str, limit),
    ]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    writer.stdout.close()
    return writer


def check(kind: str, folder: Path, least: int) -> int:
    """What stands is whole, and not older than `least`, what stood before; the last that was written."""
    if kind == "history":
        return check_history(folder, least)
    if kind == "approvals":
        last = int(read_approvals(folder)[-1].content) if approvals_path(folder).exists() else 0
    else:
        path = folder / "blocklist.yaml"
        text = path.read_bytes() if path.exists() else text_of(least)
        assert is_whole(text)
        last = least
    assert last >= least
    return last


def check_history(folder: Path, least: int) -> int:
    if not history_path(folder).exists():
        assert least == 0
        return 0
    # `create`: a writer killed before the tables were made leaves an empty file, as good as none.
    with open_history(folder, create=True) as history:
        generations = history.newest(1000)
        numbers = [generation.number for generation in generations]
        assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == len(numbers)
        if numbers:
            assert numbers == list(range(numbers[0], numbers[-1] - 1, -1)), "one is missing"
        assert all(generation.has_text for generation in generations[:1]), "a row without its text"
        for generation in generations:
            text = history.text(generation.number)
            assert text is None or is_whole(text)
            assert generation.changes == {"n": int(generation.at)}
        assert history.dropped().generations + len(generations) == (numbers[0] if numbers else 0)
    connection = sqlite3.connect(history_path(folder))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    last = numbers[0] if numbers else 0
    assert last >= least
    return last


@kinds
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(kind: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    last = 0
    for number in range(ROUNDS):
        writer = start(kind, tmp_path, number * 1000)
        try:
            writer.wait(chance.uniform(0, LIFE_S_MAX))
        except subprocess.TimeoutExpired:
            writer.kill()
        assert writer.wait() == -9
        last = check(kind, tmp_path, last)
    assert list(tmp_path.iterdir()), "nobody lived long enough to write"
    # A killed writer is no obstacle to the next.
    WRITERS[kind](tmp_path, 10_000_000)
    check(kind, tmp_path, last)


@kinds
def test_no_room_at_any_moment_leaves_the_old_or_the_new(kind: str, tmp_path: Path) -> None:
    chance = random.Random(8)
    last = 0
    for number in range(ROUNDS):
        most = 20_000 if kind == "approvals" else 45_000 if kind == "blocklist" else 150_000
        writer = start(kind, tmp_path, number * 1000, chance.randrange(most))
        assert writer.wait(60) == FULL
        last = check(kind, tmp_path, last)
    WRITERS[kind](tmp_path, 10_000_000)
    check(kind, tmp_path, last)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_OCTETS}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@kinds
def test_a_full_disk_leaves_the_old_or_the_new(kind: str, small_disk: Path) -> None:
    chance = random.Random(9)
    last = 0
    for number in range(ROUNDS):
        filler = small_disk / "filler"
        # What killed writers left behind may have filled the disk already, which is as good.
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(chance.randrange(max(1, shutil.disk_usage(small_disk).free))))
        writer = start(kind, small_disk, number * 1000)
        if kind == "history":
            assert writer.wait(60) == FULL
        else:
            # These may fit over and over.
            try:
                assert writer.wait(chance.uniform(0, LIFE_S_MAX)) == FULL
            except subprocess.TimeoutExpired:
                writer.kill()
                writer.wait()
        filler.unlink(missing_ok=True)
        last = check(kind, small_disk, last)
