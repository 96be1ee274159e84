"""Ledgers: what is new, what is written down, and that no kill loses it."""

from __future__ import annotations

import json
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resolver.acknowledging import ledger as ledger_module
from resolver.acknowledging.batch import Difference, Origin, Row, document_of, encoded, without
from resolver.acknowledging.ledger import Ledger, ledger_path, open_ledger

ROWS: list[Row] = [("r1", "a.example"), ("r1", "=b.example"), ("r2", "*.c.example")]


def begun(ledger: Ledger, rows: list[Row], most: int = 100) -> bool:
    difference = ledger.difference(rows, most)
    return ledger.begin(difference, 5.0, lambda batch, number: f"{number} {batch}".encode())


def acknowledged(ledger: Ledger, rows: list[Row]) -> None:
    assert begun(ledger, rows)
    pending = ledger.standing().pending
    assert pending is not None
    ledger.acknowledge(pending.number, 9.0)


def test_everything_is_new_once_and_then_only_what_changes(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "x" / "a.sqlite3") as ledger:
        assert ledger.difference(ROWS, 100) == Difference(tuple(sorted(ROWS)), ())
        acknowledged(ledger, ROWS)
        assert not ledger.difference(ROWS, 100)
        changed: list[Row] = [*ROWS[:2], ("r3", "d.example")]
        assert ledger.difference(changed, 100) == Difference((("r3", "d.example"),), (ROWS[2],))
        acknowledged(ledger, changed)
        assert not ledger.difference(changed, 100)


def test_a_ledger_outlives_its_process_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = ledger_path(tmp_path, "authority")
    with open_ledger(path) as ledger:
        acknowledged(ledger, ROWS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_ledger(path) as ledger:
        assert not ledger.difference(ROWS, 100)
        assert ledger.standing()[:2] == (1, 9.0)


def test_a_large_list_is_told_in_parts(tmp_path: Path) -> None:
    rows = [(f"r{number}", f"n{number}.example") for number in range(25)]
    told: list[Row] = []
    with open_ledger(tmp_path / "a.sqlite3") as ledger:
        while part := ledger.difference(rows, 10):
            assert len(part.added) <= 10
            told += part.added
            ledger.begin(part, 5.0, lambda batch, number: b"")
            ledger.acknowledge(ledger.standing().batches + 1, 9.0)
    assert sorted(told) == sorted(rows)


def test_one_batch_waits_at_a_time_under_one_name(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a.sqlite3") as ledger:
        assert begun(ledger, ROWS)
        assert not begun(ledger, [("other", "e.example")])
        first = ledger.standing().pending
        ledger.note_failure(1, "exit code 3")
        ledger.note_failure(1, "not done in 1 s")
        pending = ledger.standing().pending
        assert first is not None and pending is not None
        assert (pending.number, pending.attempts, pending.problem) == (1, 2, "not done in 1 s")
        assert pending.document == first.document
        ledger.acknowledge(1, 9.0)
        assert begun(ledger, [("other", "e.example")])
        second = ledger.standing().pending
        assert second is not None and second.document.startswith(b"2 ") and second.document != first.document


def test_a_batch_is_acknowledged_once_whoever_says_so_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a.sqlite3") as ledger:
        acknowledged(ledger, ROWS)
        assert begun(ledger, ROWS[:1])
        ledger.acknowledge(1, 99.0)
        standing = ledger.standing()
        assert (standing.batches, standing.last_at) == (1, 9.0)
        assert standing.pending is not None and standing.pending.number == 2


@pytest.mark.parametrize("octets", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(4080)])
def test_a_damaged_ledger_is_put_aside_and_another_begun(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(octets)
    with open_ledger(path) as ledger:
        assert ledger.difference(ROWS, 100).added == tuple(sorted(ROWS))
        acknowledged(ledger, ROWS)
    assert path.with_name("a.sqlite3.damaged").read_bytes() == octets


def test_another_programs_database_is_put_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    with open_ledger(path) as ledger:
        assert ledger.standing() == (0, 0.0, None)
    assert path.with_name("a.sqlite3.damaged").exists()


def test_two_who_make_a_ledger_at_once_make_one(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.sqlite3"
        barrier = threading.Barrier(4)

        def make(path: Path = path, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            with open_ledger(path) as ledger:
                return ledger.standing().batches

        with ThreadPoolExecutor(4) as pool:
            assert [made.result() for made in [pool.submit(make) for _ in range(4)]] == [0] * 4
        assert list(tmp_path.glob("*.damaged")) == []


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with open_ledger(path) as ledger:
        acknowledged(ledger, ROWS)
        ledger._connection.execute("PRAGMA max_page_count = 1")
        many = [(f"r{number}", "x" * 200) for number in range(1000)]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            begun(ledger, many, 1000)
        assert ledger.standing().pending is None
    with open_ledger(path) as ledger:
        assert not ledger.difference(ROWS, 100)
    assert not path.with_name("a.sqlite3.damaged").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from resolver.acknowledging import ledger as room
from resolver.acknowledging.ledger import open_ledger

path, step = Path(sys.argv[1]), int(sys.argv[2])
ROWS = [(f"r{number}", f"n{number}.example") for number in range(500)]
steps = 0

def tick(*_):
    global steps
    steps += 1
    if steps == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0

with open_ledger(path) as ledger:
    ledger._connection.set_progress_handler(tick, 400)
    pending = ledger.standing().pending
    if pending is None:
        ledger.begin(ledger.difference(ROWS, 1000), 5.0, lambda batch, number: batch.encode())
        pending = ledger.standing().pending
    # The command runs here, and succeeds.
    print(pending.document.decode(), flush=True)
    ledger.acknowledge(pending.number, 9.0)
    print("over", flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_batch_and_tells_no_other(tmp_path: Path) -> None:
    rows = [(f"r{number}", f"n{number}.example") for number in range(500)]
    killed = 0
    for step in range(1, 400, 3):
        path = tmp_path / f"{step}.sqlite3"
        with open_ledger(path):
            pass
        told: list[str] = []
        for attempt in range(3):
            argument = str(step if attempt == 0 else 0)
            ended = subprocess.run(
                [sys.executable, "-c", KILLED, str(path), argument],
                capture_output=True,
                text=True,
                check=False,
                cwd=Path(__file__).parents[2],
            )
            told += ended.stdout.split()
            killed += ended.returncode == -signal.SIGKILL
            if ended.returncode == 0:
                break
        names = [word for word in told if word != "over"]
        # At least once, and always the same.
        assert names and len(set(names)) == 1 and told[-1] == "over", (step, told)
        with open_ledger(path) as ledger:
            assert not ledger.difference(rows, 1000)
            assert ledger.standing() == (1, 9.0, None)
        if attempt == 0:
            break
    assert killed > 5


# The document.


def test_a_document_says_which_records_came_and_went() -> None:
    difference = Difference(
        (("r1", "a.example"), ("r1", "=b.example"), ("r2", "c.example")), (("r0", "d.example"),)
    )
    origin = Origin("authority", 7, 1.7e9, "5eed")
    document = document_of(origin, difference, batch="ab-1", number=1, proved_at=1.7e9 + 60)
    assert document == {
        "version": 1,
        "batch": "ab-1",
        "number": 1,
        "list": "authority",
        "serial": 7,
        "updated": "2023-11-14T22:13:20Z",
        "proved": "2023-11-14T22:14:20Z",
        "policy": "5eed",
        "added": [{"id": "r1", "rules": ["a.example", "=b.example"]}, {"id": "r2", "rules": ["c.example"]}],
        "removed": [{"id": "r0", "rules": ["d.example"]}],
    }
    assert document_of(Origin("x"), difference, batch="b", number=1, proved_at=1.0)["serial"] is None


def test_hostile_ids_stay_inside_one_line_of_json() -> None:
    record = 'x"\n\u2028</script>\u202e=cmd|'
    octets = encoded({"added": [{"id": record}]})
    assert octets.count(b"\n") == 1 and octets.endswith(b"\n")
    assert json.loads(octets)["added"][0]["id"] == record


def test_a_record_waits_for_the_proof_of_all_its_rules() -> None:
    rows = (("r1", "a.example"), ("r1", "b.example"), ("r2", "c.example"))
    assert without(rows, frozenset({"b.example"})) == ((("r2", "c.example"),), 1)
    assert without(rows, frozenset()) == (rows, 0)


@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_what_is_beside_a_damaged_ledger_goes_with_it(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"damaged")
    beside = path.with_name(path.name + suffix)
    beside.write_bytes(b"of the damaged one")
    connected = ledger_module._connected

    def damaged_at_first(path: Path) -> sqlite3.Connection:
        if path.exists() and path.read_bytes() == b"damaged":
            raise sqlite3.DatabaseError("database disk image is malformed")
        return connected(path)

    monkeypatch.setattr(ledger_module, "_connected", lambda path: damaged_at_first(path))
    path.with_name("a.sqlite3.damaged").touch()  # Of an earlier time.
    with open_ledger(path) as ledger:
        acknowledged(ledger, ROWS)
        assert not ledger.difference(ROWS, 100)
    assert path.with_name("a.sqlite3.damaged").read_bytes() == b"damaged"
    assert path.with_name(f"a.sqlite3.damaged{suffix}").read_bytes() == b"of the damaged one"
    assert not beside.exists() or beside.read_bytes() != b"of the damaged one"
