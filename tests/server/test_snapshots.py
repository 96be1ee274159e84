"""The file between a stop and the next start: believed when it is whole, ours and of the same upstreams."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolver.cache import AnyCache, NativeCache, ResponseCache
from resolver.cache.snapshot import records_of
from resolver.clock import LoopClock
from resolver.config.settings import Settings, load_settings
from resolver.server import snapshots as snapshots_module
from resolver.server.snapshots import AWAY_S_MAX, FILE, Snapshots, hash_of_upstreams
from resolver.wire.question import Question
from tests.support import fake_native
from tests.support.wirebuild import accepted, rr, sent, wire_name

SAME = 'servers: ["tls://192.0.2.1#dns.example"]'


def settings(folder: Path, upstreams: str = SAME, cache: str = "{}") -> Settings:
    text = f"listen: {{dns: ['127.0.0.1:53']}}\nupstreams: {{{upstreams}}}\ncache: {cache}\nstate_dir: .\n"
    found, problems = load_settings(folder / "resolver.yaml", octets=text.encode())
    assert found is not None, problems
    return found


def make_cache(engine: str) -> AnyCache:
    if engine == "python":
        return ResponseCache(1 << 20)
    module: Any = fake_native if engine == "fake" else pytest.importorskip("resolver_native")
    return NativeCache(module.Cache(1 << 20))


def filled(cache: AnyCache, now: float, names: int = 300) -> AnyCache:
    for number in range(names):
        text = f"n{number}.example.org"
        answer = accepted(sent(text), [rr(wire_name(text), 1, number.to_bytes(4, "big"), ttl=3600)])
        cache.store(Question(wire_name(text), 1), answer, now)
    return cache


class Case:
    """One file, written at 1,000,000 s and read when `wall` says."""

    def __init__(self, folder: Path, engine: str = "python") -> None:
        self.folder = folder
        self.engine = engine
        self.path = folder / FILE
        self.wall = 1_000_000.0

    def write(self, cache: AnyCache | None = None, of: Settings | None = None) -> str:
        async def act() -> str:
            clock = LoopClock(asyncio.get_running_loop())
            kept = filled(make_cache(self.engine), clock.now()) if cache is None else cache
            return await Snapshots(of or settings(self.folder), kept, clock, lambda: self.wall).write()

        return asyncio.run(act())

    def read(self, of: Settings | None = None) -> tuple[AnyCache, Snapshots]:
        async def act() -> tuple[AnyCache, Snapshots]:
            clock = LoopClock(asyncio.get_running_loop())
            cache = make_cache(self.engine)
            found = Snapshots(of or settings(self.folder), cache, clock, lambda: self.wall)
            await found.load()
            return cache, found

        return asyncio.run(act())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("engine", ["python", "native"])
def test_the_next_start_knows_what_this_one_knew_and_removes_it(tmp_path: Path, engine: str) -> None:
    case = Case(tmp_path, engine)
    assert case.write() == ""
    assert stat.S_IMODE(case.path.stat().st_mode) == 0o600
    case.wall += 60.0
    cache, found = case.read()
    assert (cache.entries, found.loaded.kept, found.loaded.refused, found.remark) == (300, 300, 0, "")
    assert not case.path.exists()
    # Nobody is told twice.
    assert case.read()[0].entries == 0


def test_either_engine_reads_what_the_other_wrote(tmp_path: Path) -> None:
    case = Case(tmp_path, "native")
    case.write()
    case.engine = "python"
    assert case.read()[0].entries == 300
    case.write()
    case.engine = "native"
    assert case.read()[0].entries == 300


def test_ttls_have_run_down_meanwhile(case: Case) -> None:
    case.write()
    case.wall += 3000.0

    async def act() -> None:
        clock = LoopClock(asyncio.get_running_loop())
        cache = make_cache("python")
        await Snapshots(settings(case.folder), cache, clock, lambda: case.wall).load()
        entry = cache.lookup(Question(wire_name("n7.example.org"), 1), clock.now())
        assert entry is not None and 590.0 < entry.expires_at - clock.now() <= 600.0

    asyncio.run(act())


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda octets: octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda octets: b"", "cut short"),
    "cut": (lambda octets: octets[:-1], "damaged"),
    "longer": (lambda octets: octets + b"\0", "damaged"),
    "a record's octet": (_flip(200), "damaged"),
    "the sum": (_flip(80), "damaged"),
    "the time": (_flip(20), "damaged"),
    "another file": (lambda octets: b"%PDF-1.7" + octets[8:], "no snapshot"),
    "another byte order": (lambda octets: octets[:8] + octets[8:12][::-1] + octets[12:], "no snapshot"),
    "another format": (
        lambda octets: octets[:12] + b"\7\0\0\0" + octets[16:],
        "format 7, and this version reads 1",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_damaged_or_foreign_is_ignored_said_and_gone(case: Case, what: str) -> None:
    case.write()
    change, why = BROKEN[what]
    case.path.write_bytes(change(case.path.read_bytes()))
    cache, found = case.read()
    assert cache.entries == 0 and why in found.remark
    assert not case.path.exists()


def test_one_that_others_may_read_or_that_is_a_link_is_not_believed(case: Case) -> None:
    case.write()
    case.path.chmod(0o640)
    assert "this user alone" in case.read()[1].remark
    case.write()
    moved = case.path.rename(case.folder / "elsewhere")
    case.path.symlink_to(moved)
    cache, found = case.read()
    assert cache.entries == 0 and found.remark
    os.mkfifo(case.path) if not case.path.is_symlink() else None
    assert case.read()[0].entries == 0


def test_one_of_another_user_is_not_believed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.write()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert "this user alone" in case.read()[1].remark


def test_other_upstreams_are_not_answered_for(case: Case) -> None:
    case.write()
    cache, found = case.read(settings(case.folder, 'servers: ["tls://192.0.2.2#dns.example"]'))
    assert cache.entries == 0 and "settings of upstreams have changed" in found.remark


@pytest.mark.parametrize(
    ("upstreams", "is_same"),
    [
        (f"{SAME}, strategy: ordered, timeout_s: 3", True),
        ("servers: [{url: 'tls://192.0.2.1#dns.example', letter_case: lower}]", True),
        ("servers: [{url: 'tls://192.0.2.1#dns.example', trust_ad: true}]", False),
        ("servers: ['tls://192.0.2.1#other.example']", False),
        (f"{SAME}, forward: {{example.net: ['udp://192.0.2.9']}}", False),
    ],
)
def test_the_same_upstreams_are_those_that_would_say_the_same(
    tmp_path: Path, upstreams: str, is_same: bool
) -> None:
    one, other = settings(tmp_path).upstreams, settings(tmp_path, upstreams).upstreams
    assert (hash_of_upstreams(one) == hash_of_upstreams(other)) is is_same


def test_a_clock_that_was_set_back_or_a_long_rest_makes_it_useless(case: Case) -> None:
    case.write()
    case.wall -= 10.0
    assert "the clock was set back" in case.read()[1].remark
    case.write()
    case.wall += AWAY_S_MAX + 1
    assert "7 days old" in case.read()[1].remark


@pytest.mark.parametrize("written_at", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_none_makes_it_useless(case: Case, written_at: float) -> None:
    right, case.wall = case.wall, written_at
    case.write()
    case.wall = right
    cache, found = case.read()
    assert cache.entries == 0 and found.remark


def test_a_stop_does_not_wait_for_the_disk(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(descriptor: int) -> None:
        raise AssertionError("a slow disk")

    monkeypatch.setattr(os, "fsync", hang)
    assert case.write() == ""
    assert case.read()[0].entries == 300


def test_the_time_that_writing_takes_counts_as_time_away(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    began = case.wall

    def gather(cache: ResponseCache, now: float) -> Iterator[bytes]:
        yield from records_of(cache, now)
        case.wall += 5.0

    monkeypatch.setattr(snapshots_module, "records_of", gather)
    case.write()
    assert case.wall == began + 5.0
    assert snapshots_module._HEAD.unpack_from(case.path.read_bytes())[3] == began


def test_it_can_be_turned_off_and_then_an_older_one_goes(case: Case) -> None:
    off = settings(case.folder, cache="{snapshot: false}")
    assert case.write(of=off) == "cache.snapshot is false" and not case.path.exists()
    case.write()
    cache, found = case.read(off)
    assert (cache.entries, found.remark) == (0, "") and not case.path.exists()


def test_a_disk_that_takes_nothing_is_said_and_stops_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots_module, "Replacement", refuse)
    assert "No space left" in case.write()
    assert "the cache is not kept for the next start" in caplog.text


def test_a_defect_of_ours_keeps_no_server_from_ending_or_starting(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.write()

    def fail(*_: object) -> None:
        raise AssertionError("no such thing")

    monkeypatch.setattr(snapshots_module, "load_records", fail)
    assert "a defect: no such thing" in case.read()[1].remark
    monkeypatch.setattr(snapshots_module, "records_of", fail)
    assert "a defect: no such thing" in case.write()


@dataclasses.dataclass
class SteppingClock:
    """A clock that each look sets forward."""

    step_s: float
    at: float = 0.0

    def now(self) -> float:
        self.at += self.step_s
        return self.at

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        raise AssertionError("nobody waits here")


def test_writing_and_reading_are_bounded_in_time_and_what_was_done_counts(case: Case) -> None:
    async def write() -> None:
        cache = filled(make_cache("python"), 0.0)
        await Snapshots(settings(case.folder), cache, SteppingClock(0.01), lambda: case.wall).write()

    asyncio.run(write())
    written = case.read()[0].entries
    assert 50 < written < 300

    case.write()

    async def read() -> AnyCache:
        cache = make_cache("python")
        await Snapshots(settings(case.folder), cache, SteppingClock(0.02), lambda: case.wall).load()
        return cache

    assert 20 < asyncio.run(read()).entries < 300


def test_others_have_their_turn_between_the_steps(case: Case) -> None:
    async def act() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        cache = filled(make_cache("python"), 0.0)
        found = Snapshots(settings(case.folder), cache, SteppingClock(0.0005), lambda: case.wall)
        await found.write()
        await found.load()
        counting.cancel()
        return turns

    assert asyncio.run(act()) > 200


def test_its_size_is_bounded_by_the_caches(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.write()
    case.path.write_bytes(case.path.read_bytes() + bytes(3 << 20))
    small = settings(case.folder, cache="{size_mb: 1}")
    assert "larger than the cache" in case.read(small)[1].remark
