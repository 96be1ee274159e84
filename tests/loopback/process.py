"""Starts the programs a loopback run needs, watches them by process id, and ends them.

Knows: processes, free ports, /proc.  Does not know: DNS, settings.
Nothing here waits by time alone: every wait polls a condition and has a deadline.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_S = 0.01
POLL_S_MAX = 0.2
"""How often a condition is looked at, at first and after some seconds."""
START_S_MAX = 30.0
"""Deadline of a start: a loaded two-core machine needs seconds, a hang needs to be seen."""
STOP_S_MAX = 10.0
BUSY_MAX = 10.0
"""Processes that wait for each processor: more of them lengthen no wait."""
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def poll(condition: Callable[[], object], *, timeout_s: float, what: str) -> None:
    """Return once `condition()` is true; AssertionError naming `what` after `timeout_s`, on a busy machine later."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        if waited_s > patience_s(timeout_s):
            raise AssertionError(f"not within {timeout_s} s: {what}")
        # To look is work for who is looked at: what takes long is looked at seldom.
        time.sleep(min(max(waited_s / 10, POLL_S), POLL_S_MAX))


def patience_s(quiet_s: float) -> float:
    """How long to wait for what takes `quiet_s` at most where nobody waits for a processor."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return quiet_s * min(max(waiting, 1.0), BUSY_MAX)


_given: deque[int] = deque(maxlen=1000)
"""Ports that tests of this process have."""


def _servers_ports() -> range:
    """The longer of what is below and above those that the kernel chooses from (ip(7)); all, where that is little."""
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = map(int, text.split())
    longest = max(range(PORT_MIN, first), range(last + 1, PORT_MAX + 1), key=len)
    return longest if len(longest) >= PORTS_MIN else range(PORT_MIN, PORT_MAX + 1)


PORT_MIN, PORT_MAX = 10_000, 65_535
PORTS_MIN = 2_000
"""So many make it unlikely that two workers choose the same."""
_SERVERS_PORTS = _servers_ports()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free for UDP and for TCP right now, and that was not given before.

    No promise about a moment later; but a server has several, and they must differ.  None of those that the
    kernel gives to clients: thousands of connections of other tests have such, and a server finds its port taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        port = secrets.choice(_SERVERS_PORTS)
        if port in _given:
            continue
        with (
            socket.socket(family, socket.SOCK_STREAM) as stream,
            socket.socket(family, socket.SOCK_DGRAM) as datagram,
        ):
            try:
                stream.bind((host, port))
                datagram.bind((host, port))
            except OSError:
                continue
            _given.append(port)
            return port
    raise AssertionError(f"no port of {host} is free for both UDP and TCP")


PORT_TRIES_MAX = 5


class PortTaken(AssertionError):
    """A program ended because somebody else had its port: resolvers under test take random ports all the time."""


class Program:
    """One child process with its output in files; a context manager that always ends it."""

    def __init__(self, command: Sequence[str | Path], log_dir: Path, *, name: str = "") -> None:
        self.name = name or Path(command[0]).name
        self.command = [str(word) for word in command]
        log_dir.mkdir(parents=True, exist_ok=True)
        self.stdout_path = log_dir / f"{self.name}.out"
        self.stderr_path = log_dir / f"{self.name}.err"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        """Start it; output of an earlier life is overwritten."""
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running or ended process; AssertionError before `start`."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def stdout(self) -> str:
        """All it wrote to standard output so far."""
        return self.stdout_path.read_text(encoding="utf-8", errors="backslashreplace")

    def stderr(self) -> str:
        """All it wrote to standard error so far."""
        return self.stderr_path.read_text(encoding="utf-8", errors="backslashreplace")

    def wait_for(self, condition: Callable[[], object], what: str, timeout_s: float = START_S_MAX) -> None:
        """Poll until `condition()`; AssertionError with the program's output when it ends or is too late."""

        def met_or_ended() -> bool:
            self._let_children_run()
            return bool(condition()) or not self.is_running()

        try:
            poll(met_or_ended, timeout_s=timeout_s, what=f"{self.name}: {what}")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.stdout()}{self.stderr()}") from None
        if not condition():
            said = self.stdout() + self.stderr()
            failure = PortTaken if "ddress already in use" in said else AssertionError
            raise failure(f"{self.name} ended with {self.process.returncode} before: {what}\n{said}")

    def _let_children_run(self) -> None:
        """A server's children have time that nobody wants, of which tests side by side leave none."""
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            # Either may end meanwhile; who is not root may not do this, and waits longer.
            with contextlib.suppress(OSError):
                for child in map(int, children.read_text().split()):
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    # That of the block page stays, and is idle by what it is.
                    is_short = b"-m\0resolver." in command and b"block_page" not in command
                    if is_short and os.sched_getscheduler(child) == os.SCHED_IDLE:
                        os.sched_setscheduler(child, os.SCHED_OTHER, os.sched_param(0))

    def wait_for_end(self, timeout_s: float = STOP_S_MAX) -> int:
        """Exit status, once it has ended by itself; TimeoutExpired if it does not."""
        return self.process.wait(patience_s(timeout_s))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it, gently at first; its exit status."""
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(patience_s(STOP_S_MAX))
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def running_on_a_free_port(
    program_on: Callable[[int], Program],
    is_up: Callable[[int], object],
    what: str,
    first: int | None = None,
    *,
    start_s_max: float = START_S_MAX,
) -> Iterator[int]:
    """A program that `program_on` a port makes, once it `is_up` there; gives the port, `first` if that is free."""
    for tries_left in reversed(range(PORT_TRIES_MAX)):
        port = first or free_port()
        first = None
        with program_on(port) as program:
            try:
                program.wait_for(partial(is_up, port), what, start_s_max)
            except PortTaken:
                if not tries_left:
                    raise
                continue
            yield port
            return


def process_tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    found, left = [], [pid]
    while left:
        parent = left.pop()
        found.append(parent)
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                left += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # It ended between the listing and the reading.
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that `pid` and its living descendants have used."""
    ticks = 0
    for member in process_tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_TICKS_PER_S


def resident_mb(pid: int) -> float:
    """Megabytes (2**20) that the process itself holds in memory, without those that compile for it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def memory_mb(pid: int) -> float:
    """Megabytes (2**20) of memory of `pid` and its descendants, shared pages split among their users (PSS).

    Not for comparing two moments: it grows when another process of the same program ends.
    """
    kilobytes = 0
    for member in process_tree(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024
