"""Commands whose reader goes away, or which are interrupted: no traceback, nothing left behind.

Real processes: what is tested is how they end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resolver.cli import process
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, record
from tests.support.list_server import ca_pem, web_server

ROOT = Path(__file__).parents[2]
BLOCKLIST = "version: 1\nexchanges:\n  acme: {name: Acme, domains: [acme.example, a.example]}\n"
WAIT_S_MAX = 60.0


class Place:
    """Settings, a blocklist with a history, and a folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "tmp"
        self.config = folder / "resolver.yaml"
        self.blocklist = folder / "blocklist.yaml"
        for name in ("tmp", "state"):
            (folder / name).mkdir()
        self.config.write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(BLOCKLIST)
        for number in range(3):
            record(folder / "state", Applied(1.7e9 + number, [hash_file(self.blocklist)], {}))

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "resolver", *words]
        if words[-1] != "-h" and words[0] not in ("demo", "schema"):
            command += ["--config", str(self.config)]
        env = {**os.environ, "TMPDIR": str(self.scratch), "SSL_CERT_FILE": str(self.folder / "ca.pem")}
        # A session of its own: whoever is left in it is found.
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def left(self) -> list[str]:
        """Temporary files, wherever they may be."""
        beside = [entry.name for entry in self.folder.rglob(".*.new")]
        return beside + [entry.name for entry in self.scratch.iterdir()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


LISTING = [
    ("-h",),
    ("schema", "blocklist"),
    ("check",),
    ("check", "--json"),
    ("explain", "acme.example"),
    ("diff", "1", "2"),
    ("history",),
    ("history", "show", "1"),
    ("history", "show", "1", "--text"),
    ("lists",),
    ("fmt", "--check"),
    ("apply",),
    ("rollback", "1", "--dry-run"),
    ("export", "--format", "unbound"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", LISTING, ids=" ".join)
def test_a_reader_that_goes_away_is_no_trouble(place: Place, words: tuple[str, ...]) -> None:
    expected = place.start(*words)
    expected.communicate(timeout=WAIT_S_MAX)
    reading, writing = os.pipe()
    os.close(reading)
    ended = place.start(*words, stdout=writing)
    os.close(writing)
    _, complaint = ended.communicate(timeout=WAIT_S_MAX)
    assert ended.returncode == expected.returncode
    assert "Broken pipe" not in complaint and "Traceback" not in complaint


@pytest.mark.slow
def test_a_full_disk_behind_standard_output_is_said_without_a_traceback(place: Place) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device.
        ended = place.start("history", stdout=full.fileno())
        _, complaint = ended.communicate(timeout=WAIT_S_MAX)
    assert ended.returncode == 2
    assert complaint == "exchange-resolver: [Errno 28] No space left on device\n"


def interrupted(place: Place, ended: subprocess.Popen[str], is_busy: Callable[[], object]) -> str:
    """Press Ctrl-C, twice as people do, once the command is at work; what it wrote to standard error."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_busy():
        assert ended.poll() is None, ended.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for _ in range(2):
        os.killpg(ended.pid, signal.SIGINT)
    _, complaint = ended.communicate(timeout=WAIT_S_MAX)
    assert ended.returncode == 130, complaint
    with pytest.raises(ProcessLookupError):
        os.killpg(ended.pid, 0)
    assert place.left() == []
    return complaint


def add_long_list(place: Place) -> None:
    """Enough lines for the reading to take a while, natively too."""
    names = "".join(f"||n{number}.example^\n" for number in range(400_000))
    (place.folder / "long.txt").write_text(names)
    place.blocklist.write_text(BLOCKLIST + "lists: [{name: long, path: long.txt, format: adblock}]\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("apply",),
        ("explain", "acme.example"),
        ("export", "--format", "domains", "--output", "OUT"),
    ],
    ids=lambda words: words[0],
)
def test_ctrl_c_leaves_nothing_behind(place: Place, words: tuple[str, ...]) -> None:
    add_long_list(place)
    output = place.folder / "out.txt"
    ended = place.start(*(str(output) if word == "OUT" else word for word in words))
    complaint = interrupted(place, ended, lambda: any(place.scratch.iterdir()))
    assert "Traceback" not in complaint and not output.exists()


@pytest.mark.slow
@pytest.mark.loopback
def test_ctrl_c_ends_the_demo_with_all_its_children(place: Place) -> None:
    ended = place.start("demo")
    complaint = interrupted(place, ended, lambda: any(place.scratch.glob("*/state")))
    assert "Traceback" not in complaint


@pytest.mark.slow
@pytest.mark.loopback
def test_ctrl_c_ends_a_download_and_keeps_the_old_copy(place: Place) -> None:
    (place.folder / "ca.pem").write_bytes(ca_pem())
    asked = threading.Event()

    async def never_ends(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nads.example\n")
        await writer.drain()
        asked.set()
        await asyncio.sleep(WAIT_S_MAX)

    def act(url: str) -> str:
        entry = f"{{name: ads, url: '{url}', allow_private: true}}"
        place.blocklist.write_text(BLOCKLIST + f"lists: [{entry}]\n")
        return interrupted(place, place.start("lists", "update"), asked.is_set)

    async def whole() -> str:
        async with web_server(place.folder) as web:
            web.pages["/list"] = never_ends
            return await asyncio.to_thread(act, web.url("/list"))

    assert "Traceback" not in asyncio.run(whole())


@pytest.fixture
def signals() -> Iterator[process._Signals]:
    """The handler, as no signal has come to it yet, in place for SIGUSR1."""
    handler = process._Signals()
    before = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_ends_by_an_exception_and_its_repetition_does_not(signals: process._Signals) -> None:
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGUSR1)
    assert ended.value.code == 128 + signal.SIGUSR1
    signal.raise_signal(signal.SIGUSR1)


def test_a_signal_waits_for_what_must_not_be_cut_short(signals: process._Signals) -> None:
    done = []

    def hold() -> None:
        with signals.held():
            signal.raise_signal(signal.SIGUSR1)
            done.append("all of it")

    with pytest.raises(SystemExit):
        hold()
    assert done == ["all of it"]


def test_a_scratch_folder_goes_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        with process.scratch_folder() as folder:
            (folder / "sub").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
