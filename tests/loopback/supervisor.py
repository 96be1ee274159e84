"""A supervisor as systemd is one: it holds sockets, starts a server on them, and hears how that is.

Knows: sd_listen_fds(3), sd_notify(3), processes.  Does not know: what a server does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.loopback.process import Program, poll


class NotifySocket:
    """Everything that was told, in order, with the process that told it."""

    def __init__(self) -> None:
        self._address = f"\0exchange-resolver-test-{os.getpid()}-{time.monotonic_ns()}"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._sock.bind(self._address)
        self.told: list[tuple[int, list[str]]] = []
        self.kept: dict[str, list[int]] = {}
        """Descriptors to be kept, by name."""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds in its own."""
        return {**os.environ, "NOTIFY_SOCKET": self._address.replace("\0", "@", 1)}

    def count(self, word: str, pid: int = 0) -> int:
        """How often this was told; `pid`: by whom, 0: anybody."""
        return sum(1 for sender, lines in list(self.told) if word in lines and pid in (0, sender))

    def wait_for(self, word: str, count: int = 1, pid: int = 0) -> None:
        poll(
            lambda: self.count(word, pid) >= count, timeout_s=30.0, what=f"{count} times {word}: {self.told}"
        )

    def _listen(self) -> None:
        while True:
            octets, controls, _, _ = self._sock.recvmsg(4096, 4096)
            if not octets:
                return
            sender, descriptors = 0, list[int]()
            for level, kind, given in controls:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors += memoryview(given).cast("i").tolist()
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    sender = int.from_bytes(given[:4], "little")
            lines = octets.decode().splitlines()
            if "BARRIER=1" in lines:
                # All that came before is done.
                for descriptor in descriptors:
                    os.close(descriptor)
                continue
            for line in lines:
                if line.startswith("FDNAME="):
                    self.kept.setdefault(line.partition("=")[2], []).extend(descriptors)
            self.told.append((sender, lines))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._address)
        self._thread.join(5.0)
        self._sock.close()
        for descriptors in self.kept.values():
            for descriptor in descriptors:
                os.close(descriptor)


class Activated(Program):
    """A program that is started with sockets, from descriptor 3 on."""

    def __init__(self, command: list[str], folder: Path, named: dict[str, list[int]], *, name: str) -> None:
        super().__init__(command, folder, name=name)
        self._handed = [(word, descriptor) for word, found in named.items() for descriptor in found]

    def start(self, *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        descriptors = [descriptor for _, descriptor in self._handed]

        def lay() -> None:
            # Above all of them first, so that none is written over before it is moved.
            high = [os.dup2(one, 500 + at) for at, one in enumerate(descriptors)]
            for at, one in enumerate(high):
                os.dup2(one, 3 + at)

        names = ":".join(name for name, _ in self._handed)
        environment = {**(env or os.environ), "LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": names}
        # `sh` has the number that the program has then.
        words = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *self.command]
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=cwd,
                preexec_fn=lay,
                pass_fds=range(3, 3 + len(descriptors)),
            )
