"""A full disk, a locked or damaged file, another server: hits wait, and go with the next write."""

from __future__ import annotations

import contextlib
import logging
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.hits import recorder as recorder_module
from resolver.hits.file import LOCK_FILE, Failure, HitsUnusable, connect, hits_path
from resolver.hits.recorder import ASIDE_MAX, HitRecorder
from resolver.hits.store import HitStore
from resolver.hits.writing import Limits, add
from tests.hits.support import ALPHA, BETA, NOON, Driver, sum_of_hours, totals

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr("resolver.hits.file.WAIT_S", 0.0)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """A process that has written five hits."""
    made = Driver(tmp_path)
    made.count_and_write(5)
    return made


def test_what_is_written_waits_no_more(driver: Driver) -> None:
    recorder = driver.recorder
    assert (recorder.waiting, recorder.problem, recorder.last_success) == (0, "", NOON + 30)
    driver.count(2)
    assert recorder.waiting == 2


# A full disk.


@contextlib.contextmanager
def no_file_may_grow(octets: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_no_file_may_grow_hits_wait_and_go_with_the_next_write(driver: Driver, tmp_path: Path) -> None:
    with no_file_may_grow(100):
        for _ in range(3):
            driver.count_and_write(1)
        assert driver.recorder.problem != ""
        assert driver.recorder.failures.total() == 3
        assert driver.recorder.waiting == 3
    driver.count_and_write(1)
    assert (driver.recorder.problem, driver.recorder.waiting) == ("", 0)
    assert totals(tmp_path) == {ALPHA: 9}
    assert sum_of_hours(tmp_path) == 9


def test_a_full_disk_is_called_one(driver: Driver, tmp_path: Path) -> None:
    pages = hits_path(tmp_path).stat().st_size // 4096
    many = {ALPHA._replace(label=f"x-{number}"): 1 for number in range(2_000)}

    def connect_small(path: Path, *, create: bool = False) -> sqlite3.Connection:
        connection = connect(path, create=create)
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "connect", connect_small)
        driver.count_and_write(many)
        assert driver.recorder.failures == {Failure.FULL: 1}
        assert driver.recorder.waiting == 2_000
        assert totals(tmp_path) == {ALPHA: 5}, "all or nothing"
    driver.count_and_write(0)
    assert totals(tmp_path) == {ALPHA: 5, **many}


# A file that is held.


def test_a_locked_file_is_written_when_it_is_free(driver: Driver, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        driver.count_and_write(2)
        driver.count_and_write(2)
        assert driver.recorder.failures == {Failure.LOCKED: 2}
        assert driver.recorder.waiting == 4
        assert "4 hits waiting" in driver.recorder.remark()
    driver.write()
    assert (driver.recorder.remark(), driver.recorder.waiting) == ("", 0)
    assert totals(tmp_path) == {ALPHA: 9}


def test_a_reader_in_the_middle_of_reading_costs_no_hit(driver: Driver, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(tmp_path), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM hour").fetchone()
        driver.count_and_write(2)
        assert driver.recorder.failures == {Failure.LOCKED: 1}
    driver.count_and_write(1)
    assert totals(tmp_path) == {ALPHA: 8}


def test_minutes_that_waited_are_the_minutes_in_which_they_were_counted(
    driver: Driver, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(10):
            driver.count_and_write(1, after_s=60.0)
    driver.write()
    with HitStore.open_for_reading(tmp_path) as store:
        assert [span.hits[ALPHA] for span in store.per_minute(0, 1e12)] == [6, *[1] * 9]


# A failure whose end nobody heard of.


def test_a_batch_that_was_written_although_an_error_came_is_not_added_twice(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_and_fail(*arguments: object) -> int:
        add(*arguments)  # type: ignore[arg-type]
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(recorder_module, "add", add_and_fail)
    driver.count_and_write(2)
    monkeypatch.setattr(recorder_module, "add", add)
    assert (driver.recorder.failures, driver.recorder.waiting) == ({Failure.OTHER: 1}, 2)
    driver.count_and_write(4)
    assert totals(tmp_path) == {ALPHA: 11}
    assert sum_of_hours(tmp_path) == 11


@pytest.mark.parametrize("statement", ["INSERT INTO hour ", "UPDATE series", "INSERT INTO writer", "COMMIT"])
def test_an_error_at_any_statement_adds_nothing_and_loses_nothing(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            self.fail_at(sql)
            return super().execute(sql, *arguments)

        def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            self.fail_at(sql)
            return super().executemany(sql, *arguments)

        def fail_at(self, sql: str) -> None:
            if sql.startswith(statement):
                raise sqlite3.OperationalError("disk I/O error")

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr("sqlite3.connect", lambda *a, **k: real(*a, **k, factory=Failing))
        driver.count_and_write({ALPHA: 2, BETA: 1})
        assert driver.recorder.failures == {Failure.OTHER: 1}
    assert totals(tmp_path) == {ALPHA: 5}
    driver.count_and_write(4)
    assert totals(tmp_path) == {ALPHA: 11, BETA: 1}
    assert sum_of_hours(tmp_path) == 11


# A kill.

WRITES_FOR_EVER = """
import sys
from pathlib import Path
from tests.hits.support import NOON, ALPHA, Driver
driver = Driver(Path(sys.argv[1]), at=NOON)
for number in range(1, 100_000):
    driver.count_and_write({ALPHA._replace(label=f"x-{number % 50}"): 1, ALPHA: 1})
    assert not driver.recorder.problem
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_file_with_all_that_was_written(tmp_path: Path) -> None:
    killed_with = 0
    for round_number in range(12):
        command = [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            last = 0
            while last < 5 + 7 * round_number:
                last = int(writer.stdout.readline())
            writer.kill()
            last = max([last, *map(int, writer.stdout.read().split())])
        killed_with += last
        written = totals(tmp_path)[ALPHA]
        assert killed_with <= written <= killed_with + 1, "the last may be written and not told"
        assert sum_of_hours(tmp_path) == written
        assert sum(count for key, count in totals(tmp_path).items() if key != ALPHA) == written
        killed_with = written
    assert asides(tmp_path) == []


# A damaged file.


def asides(state_dir: Path) -> list[str]:
    return sorted(path.name for path in state_dir.glob("*.damaged-*"))


@pytest.mark.parametrize("at", [0, 100, 4096])
def test_a_damaged_file_is_set_aside_and_begun_anew(
    driver: Driver, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    driver.recorder.close()
    octets = bytearray(hits_path(tmp_path).read_bytes())
    octets[at : at + 64] = b"\xa5" * 64
    hits_path(tmp_path).write_bytes(octets)
    after = Driver(tmp_path, at=NOON + 60)
    with caplog.at_level(logging.ERROR):
        after.count_and_write(3)
    assert totals(tmp_path) == {ALPHA: 3}
    assert asides(tmp_path) == ["hits.sqlite3.damaged-1"]
    assert (tmp_path / "hits.sqlite3.damaged-1").read_bytes() == octets
    assert (after.recorder.damaged, after.recorder.problem) == (1, "")
    assert after.recorder.failures == {Failure.DAMAGED: 1}
    assert "hits.sqlite3.damaged-1, and begins anew" in caplog.text


@pytest.mark.parametrize("content", [b"", b"x", b"nonsense\n" * 1000])
def test_whatever_stands_there_instead_hits_are_written(tmp_path: Path, content: bytes) -> None:
    hits_path(tmp_path).write_bytes(content)
    driver = Driver(tmp_path)
    driver.count_and_write(3)
    assert totals(tmp_path) == {ALPHA: 3}


def test_a_file_damaged_while_the_server_runs_is_set_aside(driver: Driver, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(tmp_path))) as other:
        other.execute("DROP TABLE hour_hits")
    driver.count_and_write(3)
    assert totals(tmp_path) == {ALPHA: 3}
    assert asides(tmp_path) == ["hits.sqlite3.damaged-1"]


def test_damaged_files_are_few_and_the_oldest_goes(driver: Driver, tmp_path: Path) -> None:
    for number in range(ASIDE_MAX + 2):
        hits_path(tmp_path).write_bytes(b"nonsense %d" % number + b"\n" * 1000)
        driver.count_and_write(1)
    kept = {path.read_bytes().split(b"\n")[0] for path in tmp_path.glob("*.damaged-*")}
    assert kept == {b"nonsense 2", b"nonsense 3", b"nonsense 4"}


def test_where_new_files_are_damaged_too_the_first_is_not_replaced(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_to_damaged(*arguments: object) -> int:
        raise HitsUnusable("malformed", Failure.DAMAGED)

    first = hits_path(tmp_path).read_bytes()
    monkeypatch.setattr(recorder_module, "add", add_to_damaged)
    for _ in range(10):
        driver.count_and_write(1)
    assert asides(tmp_path) == ["hits.sqlite3.damaged-1"]
    assert (tmp_path / "hits.sqlite3.damaged-1").read_bytes() == first
    assert driver.recorder.waiting == 10


def test_a_journal_goes_with_the_damaged_file(driver: Driver, tmp_path: Path) -> None:
    hits_path(tmp_path).write_bytes(b"nonsense\n" * 1000)
    journal = tmp_path / "hits.sqlite3-journal"
    journal.write_bytes(b"half a journal")
    driver.count_and_write(3)
    assert totals(tmp_path) == {ALPHA: 3}
    assert not journal.exists()


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(hits_path(tmp_path))) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    before = hits_path(tmp_path).read_bytes()
    driver = Driver(tmp_path)
    driver.count_and_write(3)
    assert driver.recorder.failures == {Failure.FOREIGN: 1}
    assert "move it away" in driver.recorder.remark()
    assert hits_path(tmp_path).read_bytes() == before
    hits_path(tmp_path).unlink()
    driver.count_and_write(1)
    assert totals(tmp_path) == {ALPHA: 4}


def test_a_file_that_was_moved_away_is_made_again(driver: Driver, tmp_path: Path) -> None:
    hits_path(tmp_path).rename(tmp_path / "elsewhere")
    driver.count_and_write(3)
    assert totals(tmp_path) == {ALPHA: 3}
    assert driver.recorder.failures == {}


@pytest.mark.parametrize("thing", ["folder", "nowhere", "no state_dir"])
def test_where_no_file_can_be_hits_wait(tmp_path: Path, thing: str) -> None:
    state_dir = tmp_path / "state"
    if thing == "folder":
        hits_path(state_dir).mkdir(parents=True)
    if thing == "nowhere":
        state_dir.mkdir()
        hits_path(state_dir).symlink_to(tmp_path / "no" / "such" / "folder")
    driver = Driver(state_dir)
    driver.count_and_write(3)
    assert driver.recorder.failures == {Failure.OTHER: 1}
    assert driver.recorder.waiting == 3
    assert str(hits_path(state_dir)) in driver.recorder.remark()


# Two servers.


def test_two_servers_on_one_state_dir_do_not_both_write(
    driver: Driver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = Driver(tmp_path)
    with caplog.at_level(logging.ERROR):
        second.count_and_write(100)
        second.count_and_write(100)
    assert second.recorder.failures == {Failure.TAKEN: 2}
    assert "another server writes it" in second.recorder.remark()
    assert caplog.text.count("another server writes it") == 1, "said once"
    driver.count_and_write(1)
    assert totals(tmp_path) == {ALPHA: 6}


def test_the_second_server_writes_all_of_its_hits_when_the_first_is_gone(
    driver: Driver, tmp_path: Path
) -> None:
    second = Driver(tmp_path)
    second.count_and_write(100)
    driver.recorder.close()
    second.count_and_write(10)
    assert totals(tmp_path) == {ALPHA: 115}
    assert second.recorder.remark() == ""


def test_the_lock_is_no_link_that_is_followed(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    recorder = HitRecorder(tmp_path, Limits(hours=1), at=NOON, now=0.0)
    recorder.write(NOON)
    assert recorder.problem != ""
    assert not (tmp_path / "elsewhere").exists()
