"""Temporary folders of processes that were killed go; those of processes that live stay."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from resolver.scratch import PREFIX, remove_left, scratch

HOLDING = "import sys\nfrom resolver.scratch import scratch\nwith scratch() as folder:\n    (folder / 'big').write_bytes(b'x')\n    print(folder, flush=True)\n    sys.stdin.read()\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_folder_is_gone_afterwards(folder: Path) -> None:
    with scratch() as made:
        (made / "file").write_text("x")
        assert made.parent == folder and made.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []


def test_folder_of_who_was_killed_goes_with_the_next_one_and_of_who_lives_stays(folder: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    paths = []
    for holder in holders:
        assert holder.stdout is not None
        paths.append(Path(holder.stdout.readline().strip()))
    holders[0].send_signal(signal.SIGKILL)
    holders[0].wait()
    assert (paths[0] / "big").exists(), "nobody cleaned up"
    with scratch():
        assert not paths[0].exists() and (paths[1] / "big").exists()
    for holder in holders:
        holder.communicate("")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("what", ["another name", "a file", "a link", "open to others"])
def test_what_is_not_ours_stays(folder: Path, what: str) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "file").write_text("x")
    place = folder / (f"{PREFIX}x" if what != "another name" else "exchange-resolver-x")
    match what:
        case "a file":
            place.write_text("x")
        case "a link":
            place.symlink_to(elsewhere)
        case "open to others":
            place.mkdir()
            place.chmod(0o777)
        case _:
            place.mkdir(mode=0o700)
    remove_left()
    assert place.exists() and (elsewhere / "file").exists()
