"""What a supervisor is told, and when it is told nothing."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from resolver.server.supervised import BEATS, Supervised
from resolver.supervision import Supervisor


class Clock:
    """Time that the test lets pass."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Clock:
        self._count += 1
        heapq.heappush(self._due, (self._now + delay_s, self._count, callback))
        return self

    def cancel(self) -> None:
        self._due.clear()

    def pass_by(self, seconds: float) -> None:
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _, callback = heapq.heappop(self._due)
            callback()
        self._now = end


class Heard(Supervisor):
    """Keeps what is told."""

    def __init__(self, watchdog_s: float = 0.0) -> None:
        super().__init__({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": str(int(watchdog_s * 1e6))})
        self.told: list[str] = []

    def _tell(self, text: str, descriptors: object = ()) -> None:
        self.told.append(text.split("\n")[0])

    def _mention(self, text: str) -> None:
        self._tell(text)


class Server:
    """Threads that live or hang, reloads that end when the test says so."""

    def __init__(self) -> None:
        self.reloads = 0
        self.asked = 0
        self.alive = True

    def reload(self) -> None:
        self.asked += 1

    def are_threads_alive(self) -> bool:
        return self.alive


def test_it_lives_as_long_as_every_thread_does_something() -> None:
    server, heard, clock = Server(), Heard(watchdog_s=30.0), Clock()
    supervised = Supervised(server, heard, clock)
    supervised.ready("ready")
    clock.pass_by(60.0)
    assert heard.told.count("WATCHDOG=1") == 1 + 2 * BEATS
    heard.told.clear()
    server.alive = False
    clock.pass_by(60.0)
    assert heard.told == []
    server.alive = True
    clock.pass_by(30.0)
    assert heard.told == ["WATCHDOG=1"] * BEATS
    supervised.stop()
    clock.pass_by(60.0)
    assert heard.told[BEATS:] == ["STOPPING=1"]


def test_nobody_is_told_of_life_who_did_not_ask() -> None:
    heard, clock = Heard(), Clock()
    Supervised(Server(), heard, clock).ready("ready")
    clock.pass_by(60.0)
    assert heard.told == ["READY=1"]


def test_a_service_that_goes_on_in_another_process_does_not_stop() -> None:
    heard = Heard()
    Supervised(Server(), heard, Clock()).stop(is_told=False)
    assert heard.told == []


def test_a_long_start_asks_for_more_time_until_it_is_over() -> None:
    async def act() -> None:
        heard = Heard()
        start = asyncio.get_running_loop().create_future()
        telling = asyncio.create_task(Supervised(Server(), heard, Clock()).starting(start))
        await asyncio.sleep(0)
        assert heard.told == ["EXTEND_TIMEOUT_USEC=30000000"]
        start.set_result(None)
        await telling
        assert heard.told == ["EXTEND_TIMEOUT_USEC=30000000"]

    asyncio.run(act())


def test_a_reload_is_over_when_it_has_ended_well_or_not() -> None:
    async def act() -> None:
        server, heard = Server(), Heard()
        supervised = Supervised(server, heard, Clock())
        supervised.ready("ready")
        supervised.reload()
        supervised.reload()
        assert server.asked == 2
        await asyncio.sleep(0)
        assert heard.told == ["READY=1", "RELOADING=1"]
        server.reloads = 1
        for _ in range(200):
            if len(heard.told) == 3:
                break
            await asyncio.sleep(0.005)
        assert heard.told == ["READY=1", "RELOADING=1", "READY=1"]

    asyncio.run(act())
