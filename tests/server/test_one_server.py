"""One server in one `state_dir`: who comes beside it is told, who takes its place is not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from resolver.server.one_server import LOCK_FILE, PATIENCE_S, Presence, ServesAlready, be_the_one


class Waiting:
    """A clock that moves when somebody sleeps, and what happens meanwhile."""

    def __init__(self) -> None:
        self.at = 0.0
        self.ends: Presence | None = None

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        if self.ends is not None and self.at > 1.0:
            self.ends.close()


def come(folder: Path, waiting: Waiting, predecessor: str | None = None) -> tuple[Presence, str | None]:
    return be_the_one(folder, lambda: predecessor, sleep=waiting.sleep, now=waiting.now)


def test_second_server_is_refused_after_a_while_and_the_first_stays(tmp_path: Path) -> None:
    first, _ = come(tmp_path, Waiting())
    for _ in range(2):
        waiting = Waiting()
        with pytest.raises(ServesAlready, match=r"serves with .* already; `run --take-over` takes its place"):
            come(tmp_path, waiting)
        assert waiting.at == pytest.approx(PATIENCE_S, abs=0.2)
    first.close()


def test_who_comes_while_another_ends_waits_for_that(tmp_path: Path) -> None:
    waiting = Waiting()
    waiting.ends, _ = come(tmp_path, Waiting())
    second, predecessor = come(tmp_path, waiting)
    assert predecessor is None and 1.0 < waiting.at < PATIENCE_S
    second.close()


def test_who_takes_the_place_is_there_beside_it_and_keeps_others_out_afterwards(tmp_path: Path) -> None:
    first, _ = come(tmp_path, Waiting())
    second, predecessor = come(tmp_path, Waiting(), "first")
    assert predecessor == "first"
    first.close()
    with pytest.raises(ServesAlready):
        come(tmp_path, Waiting())
    second.close()
    third, _ = come(tmp_path, Waiting())
    third.close()


def test_folder_is_made_and_one_that_cannot_be_is_left_to_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    presence, _ = come(tmp_path / "new" / "state", Waiting())
    with pytest.raises(ServesAlready):
        come(tmp_path / "new" / "state", Waiting())
    presence.close()
    (tmp_path / "file").write_text("")
    for _ in range(2):
        come(tmp_path / "file", Waiting())
        assert "nothing keeps a second server away" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("predecessor", [None, "first"])
def test_who_cannot_lock_serves_and_says_that_nobody_is_kept_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    predecessor: str | None,
) -> None:
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    presence, found = come(tmp_path, Waiting(), predecessor)
    presence.close()
    assert found == predecessor
    assert "No locks available" in caplog.text and str(tmp_path) in caplog.text


def test_a_link_in_the_place_of_the_lock_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    come(tmp_path, Waiting())
    assert LOCK_FILE in caplog.text and not (tmp_path / "elsewhere").exists()


def test_who_cannot_take_the_place_leaves_nothing_locked(tmp_path: Path) -> None:
    def refused() -> str | None:
        raise LookupError("another protocol")

    with pytest.raises(LookupError):
        be_the_one(tmp_path, refused)
    presence, _ = come(tmp_path, Waiting())
    presence.close()
