"""The secret of audits: who may read it, whatever stood in its place before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from resolver.audit.secret import SECRET_FILE, SECRET_OCTETS_MIN, new_secret, read_secret, write_secret
from resolver.identity import as_owner_of

NOBODY = 65_534


def test_each_start_has_another_of_sixteen_octets_or_more() -> None:
    made = {new_secret() for _ in range(10)}
    assert len(made) == 10
    assert min(map(len, made)) >= SECRET_OCTETS_MIN


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_its_owner_can_read_it(tmp_path: Path, umask: int) -> None:
    secret = new_secret()
    before = os.umask(umask)
    try:
        write_secret(tmp_path, secret)
    finally:
        os.umask(before)
    status = (tmp_path / SECRET_FILE).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())
    assert read_secret(tmp_path) == secret
    assert (tmp_path / SECRET_FILE).read_text() == secret.hex() + "\n"


def test_the_next_one_takes_its_place_and_not_the_rights_of_what_stood_there(tmp_path: Path) -> None:
    write_secret(tmp_path, new_secret())
    (tmp_path / SECRET_FILE).chmod(0o644)
    secret = new_secret()
    write_secret(tmp_path, secret)
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600
    assert read_secret(tmp_path) == secret


def test_a_link_in_its_place_is_replaced_and_never_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("ab" * SECRET_OCTETS_MIN)
    path = tmp_path / SECRET_FILE
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        read_secret(tmp_path)
    secret = new_secret()
    write_secret(tmp_path, secret)
    assert elsewhere.read_text() == "ab" * SECRET_OCTETS_MIN
    assert (path.is_symlink(), read_secret(tmp_path)) == (False, secret)


def test_it_is_on_disk_before_anybody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_secret(tmp_path, new_secret())
    assert flushed[0].startswith(".secret.")
    assert flushed[1] == "audit"


@pytest.mark.parametrize(
    "text", ["", "ab" * (SECRET_OCTETS_MIN - 1), "no hexadecimal digits" * 4, "abc" * 11]
)
def test_what_is_no_secret_is_not_believed(tmp_path: Path, text: str) -> None:
    path = tmp_path / SECRET_FILE
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(OSError, match="is no secret of a server"):
        read_secret(tmp_path)


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / SECRET_FILE
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no secret"):
        read_secret(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root works for others")
def test_root_makes_and_reads_it_as_the_owner_of_the_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, NOBODY, NOBODY)
    secret = new_secret()
    with as_owner_of(state) as folder:
        write_secret(folder, secret)
        assert read_secret(folder) == secret
    owners = {path.stat().st_uid for path in (state / SECRET_FILE, (state / SECRET_FILE).parent)}
    assert owners == {NOBODY}


def test_where_no_server_has_started_there_is_none(tmp_path: Path) -> None:
    assert read_secret(tmp_path) is None
    assert read_secret(tmp_path / "nowhere") is None
