"""A rig for restarts under load: a server after another in one place, an upstream and a load that both count.

Knows: the order of a restart, what must be accounted for.  Does not know: how places are changed.
"""

from __future__ import annotations

import heapq
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.loopback.process import Program, poll
from tests.loopback.server import ROOT, Server
from tests.loopback.steady_load import Account, hot_name

TTL_S = 3600
RARE_DELAY_S = 0.05
"""How long the upstream thinks about names that are asked once: some are always on their way."""


class CountingUpstream:
    """Answers every A question, hot names at once and others after a while, and notes each."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.asked: list[tuple[float, bytes]] = []
        """When, and which name in wire form."""
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def hot_asked(self, start: float, end: float) -> int:
        """Different hot names that were asked in this time."""
        return len({name for at, name in self.asked if start <= at < end and name[1:4] == b"hot"})

    def _serve(self) -> None:
        waiting: list[tuple[float, int, bytes, tuple[str, int]]] = []
        while not self._is_over:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, octets, client = heapq.heappop(waiting)
                self._socket.sendto(octets, client)
            self._socket.settimeout(max(waiting[0][0] - now, 0.0001) if waiting else 0.2)
            try:
                octets, client = self._socket.recvfrom(4096)
            except (TimeoutError, BlockingIOError):
                continue
            end = octets.index(b"\0", 12) + 5
            name = octets[12 : end - 4].lower()
            now = time.monotonic()
            self.asked.append((now, name))
            head = octets[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
            record = b"\xc0\x0c\0\1\0\1" + TTL_S.to_bytes(4, "big") + b"\0\4\xc0\0\2\x50"
            answer = head + octets[12:end] + record
            if name[1:4] == b"hot":
                self._socket.sendto(answer, client)
            else:
                heapq.heappush(waiting, (now + RARE_DELAY_S, len(self.asked), answer, client))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join(5.0)
        self._socket.close()


class Generation(Program):
    """One process in the place of a server: the same files, the same ports."""

    def __init__(self, server: Server, number: int, *words: str, prefix: tuple[str, ...] = ()) -> None:
        command = [
            *prefix,
            sys.executable,
            "-m",
            "resolver",
            "run",
            "--config",
            str(server.settings_path),
            *words,
        ]
        super().__init__(command, server.directory, name=f"resolver-{number}")

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: "\n" in self.stdout(), "the ready line")


@dataclass
class Restart:
    """When one began, and when both ends of it were over; monotonic seconds."""

    began: float
    served: float
    """The new process serves."""
    ended: float
    """The old one has ended."""
    code: int
    """With this exit code."""


@dataclass
class Run:
    """Everything that was seen."""

    upstream: CountingUpstream
    hot: int
    restarts: list[Restart] = field(default_factory=list)
    account: Account | None = None
    warm_at: float = 0.0

    def shares_from_cache(self) -> list[float]:
        """After each restart: the share of the hot names that were asked no upstream until the next one."""
        starts = [restart.served for restart in self.restarts]
        ends = [*(restart.began for restart in self.restarts[1:]), float("inf")]
        return [
            1 - self.upstream.hot_asked(start, end) / self.hot
            for start, end in zip(starts, ends, strict=True)
        ]


@contextmanager
def loaded(
    port: int,
    folder: Path,
    rate: float,
    run: Run,
    rare_every: int = 101,
    module: str = "tests.loopback.steady_load",
) -> Iterator[Callable[[], None]]:
    """A load on this port while the body runs; then `run.account` has its account."""
    path = folder / "account"
    words = [str(port), str(rate), str(run.hot), str(rare_every), str(path)]
    child = subprocess.Popen([sys.executable, "-m", module, *words], stdin=subprocess.PIPE, cwd=ROOT)
    try:

        def warm() -> None:
            names = {hot_name(number).encode() for number in range(run.hot)}
            poll(
                lambda: run.upstream.hot_asked(0.0, float("inf")) == len(names),
                timeout_s=30,
                what="a warm cache",
            )
            run.warm_at = time.monotonic()

        yield warm
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) == 0
        run.account = Account(path)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
