"""A file is replaced whole, and stays what it was beside its content."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from resolver.durable import locked, remove_leftovers, replace_file, replacing

ROOT = Path(__file__).parents[1]


def test_the_new_content_stands_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_the_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    path.chmod(0o640)
    replace_file(path, b"two")
    assert path.stat().st_mode & 0o7777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    os.chown(path, 1234, 2345)
    replace_file(path, b"two")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"one")
    link = tmp_path / "link"
    link.symlink_to("real")
    replace_file(link, b"two")
    assert link.is_symlink() and (tmp_path / "real").read_bytes() == b"two"


def test_what_a_killed_writer_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".f.0123abcd.new").write_bytes(b"half")
    replace_file(tmp_path / "f", b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_files_that_only_look_like_ours_are_left_alone(tmp_path: Path) -> None:
    for name in (".f.new", ".f.notes.new", ".g.0123abcd.new"):
        (tmp_path / name).write_bytes(b"somebody's")
    replace_file(tmp_path / "f", b"whole")
    assert len(list(tmp_path.iterdir())) == 4


def test_two_writers_at_once_leave_one_of_both_contents_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    flush = os.fsync

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", flush)
        replace_file(path, b"the other")

    monkeypatch.setattr(os, "fsync", meanwhile)
    replace_file(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_file_taken_for_a_leftover_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock
    made: list[int] = []

    def taken(descriptor: int, operation: int) -> None:
        made.append(descriptor)
        if len(made) == 1:
            [temporary] = tmp_path.iterdir()
            temporary.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", taken)
    replace_file(tmp_path / "f", b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole" and len(made) == 2


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with locked(lock):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(50)))
    assert set(most) == {1}


def test_who_does_not_wait_for_a_lock_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass


def test_a_lock_is_no_link_to_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"root's own")
    owner = secret.stat().st_uid, secret.stat().st_gid
    folder = tmp_path / "state"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 1234, 2345)
    (folder / "lock").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"), locked(folder / "lock"):
        pass
    assert (secret.stat().st_uid, secret.stat().st_gid) == owner


def struck(tmp_path: Path, mode: str) -> list[dict[str, Any]]:
    """What `tests.support.durable_fault` found, one entry for each step."""
    words = [sys.executable, "-m", "tests.support.durable_fault", mode, str(tmp_path / "f")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_kill_at_every_step_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    *steps, last = struck(tmp_path, "kill")
    assert len(steps) > 20 and {step["code"] for step in steps} == {-9}
    assert {step["kept"] for step in steps} == {"old", "none", "new"}
    # What one killed writer left is gone when the next is done, and never more than its own is there.
    assert any(step["beside"] for step in steps) and all(len(step["beside"]) <= 2 for step in steps)
    assert (last["code"], last["kept"], last["beside"]) == (2, "new", [])


@pytest.mark.slow
def test_a_full_disk_at_every_step_leaves_the_old_content_or_the_new_and_nothing_else(tmp_path: Path) -> None:
    *steps, last = struck(tmp_path, "full")
    assert len(steps) > 20 and {step["code"] for step in steps} == {0, 1}
    assert {step["kept"] for step in steps} == {"old", "none", "new"}
    # Who is not told of a failure finds the new content.
    assert {step["kept"] for step in steps if step["code"] == 0} == {"new"}
    assert [step for step in steps if step["beside"]] == []
    assert (last["code"], last["kept"]) == (2, "new")


def test_a_file_that_does_not_fit_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    code = (
        "import resource, signal, sys; from pathlib import Path; from resolver.durable import replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "replace_file(Path(sys.argv[1]), bytes(300_000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "File too large" in done.stderr
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_folder_that_cannot_be_written_to_is_an_error_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            replace_file(path, b"two")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == b"one"


def test_a_read_only_file_system_is_an_error_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Read-only"):
        replace_file(path, b"two")
    monkeypatch.undo()
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "f", b"two")


def test_what_is_raised_while_writing_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")

    def write_half() -> None:
        with replacing(path) as new:
            new.file.write(b"half of ")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_the_new_content_can_be_read_before_it_is_in_place(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with replacing(path) as new:
        new.file.write(b"two")
        new.file.flush()
        assert new.path.read_bytes() == b"two" and not path.exists()
    assert new.path == path


def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "f", b"one")
        replace_file(tmp_path / "g", b"one", mode=0o444)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in "fg"] == [0o640, 0o440]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        replace_file(pipe, b"two")
        assert reading.result() == b"two"
    assert pipe.is_fifo()


def test_a_pipe_that_becomes_another_file_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, pipe = tmp_path / "secret", tmp_path / "pipe"
    secret.write_bytes(b"one")
    os.mkfifo(pipe)
    really_open = os.open

    def open_late(name: str, flags: int, *more: Any, **where: Any) -> int:
        if name == "pipe" and flags & os.O_WRONLY:
            pipe.unlink()
            pipe.hardlink_to(secret)
        return really_open(name, flags, *more, **where)

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(OSError, match="a moment ago"):
        replace_file(pipe, b"two")
    assert secret.read_bytes() == b"one"


def test_leftovers_of_all_files_go_but_not_what_is_being_written(tmp_path: Path) -> None:
    (tmp_path / ".f.0123abcd.new").write_bytes(b"half")
    with replacing(tmp_path / "g") as new:
        new.file.write(b"whole")
        remove_leftovers(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["g"]


def test_a_file_that_is_mounted_singly_is_refused_with_a_reason_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a file"
    path.write_bytes(b"one")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 98:0 /x {tmp_path}/a\\040file rw,noatime - ext4 /dev/root rw\n")
    monkeypatch.setattr("resolver.durable._MOUNTS", mounts)
    with pytest.raises(OSError, match="mounted here as a single file") as caught:
        replace_file(path, b"two")
    assert caught.value.errno == errno.EBUSY
    assert path.read_bytes() == b"one"
    replace_file(tmp_path / "another", b"two")


def test_where_mounts_are_not_known_files_are_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolver.durable._MOUNTS", tmp_path / "none")
    replace_file(tmp_path / "f", b"one")
    assert (tmp_path / "f").read_bytes() == b"one"


def test_a_lock_that_cannot_be_taken_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError) as refusal, locked(tmp_path / "lock"):
        pass
    assert refusal.value.filename == str(tmp_path / "lock")
