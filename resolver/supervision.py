"""What a supervisor like systemd hands to a service at its start, and hears from it.

Knows: sd_listen_fds(3), sd_notify(3), sd_notify_barrier(3), sd_watchdog_enabled(3).  Does not know: what the
sockets are for, who serves, when it is ready.
Theory: a supervisor names its socket in NOTIFY_SOCKET, and each message is one datagram of lines `KEY=value`;
descriptors ride along.  Sockets are handed over open, from number 3 on, counted in LISTEN_FDS.  All of it is
plain system calls, so nothing is linked for it.  A supervisor that is gone, or never was there, costs
nothing: what cannot be told is not told.  One that is there and does not read for a while (it is busy with
the start of a machine) hears all that it must know when it reads again, in order: a thread waits for that.
Signs of life and remarks for people are left out meanwhile, for others come after them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import MutableMapping, Sequence
from typing import Final, NamedTuple

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START: the first behind standard input, output and error."""

DESCRIPTORS_MAX: Final = 1024
"""More than any configuration has; a larger LISTEN_FDS is a mistake, and none is taken."""

STORED_AT_ONCE: Final = 64
"""Descriptors in one message; the kernel takes 253 (SCM_MAX_FD)."""

WAITING_MAX: Final = DESCRIPTORS_MAX + 64
"""Messages that wait for a supervisor that does not read: those of all sockets, and of some states.  Beyond
it the oldest go, for the newest say how it is now."""

RETRY_S: Final = 0.02
"""How often it is tried again meanwhile; poll(2) does not tell when another's socket has room."""

HEARD_S_MAX: Final = 20.0
"""How long the word that another process serves now is waited for; a supervisor that hangs longer is lost."""

EXTENSION_S: Final = 30.0
"""How much longer than now a start that goes on is given, each time it is told (EXTEND_TIMEOUT_USEC)."""


class _Message(NamedTuple):
    """One datagram."""

    text: str
    descriptors: tuple[int, ...] = ()
    """Copies of ours, closed when it is told."""


class Handed(NamedTuple):
    """A descriptor that was handed to us, and its name."""

    name: str
    """As FileDescriptorName= of the socket unit or FDNAME= of the store has it; `unknown`: it has none."""
    descriptor: int


def handed_descriptors(environment: MutableMapping[str, str], pid: int | None = None) -> list[Handed]:
    """What a supervisor handed to this process; none: nothing, or it was meant for another.

    The variables are taken out of `environment`, so that no child takes them for its own, and no child
    inherits the descriptors.
    """
    owner = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    environment.pop("LISTEN_PIDFDID", None)
    if owner != str(os.getpid() if pid is None else pid) or not count.isdecimal():
        return []
    if int(count) > DESCRIPTORS_MAX:
        return []
    found = []
    for index in range(int(count)):
        descriptor = FIRST_DESCRIPTOR + index
        try:
            os.set_inheritable(descriptor, False)
        except OSError:  # It is not open.
            continue
        found.append(Handed(names[index] if index < len(names) else "unknown", descriptor))
    return found


class Supervisor:
    """Whoever started us and wants to know how we are; where nobody does, each call does nothing."""

    def __init__(self, environment: MutableMapping[str, str], pid: int | None = None) -> None:
        """The watchdog's variables are taken out of `environment`: it watches no child of ours."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        if not self._address.startswith(("/", "@")):
            # Also `vsock:` of a virtual machine, which no service of ours has.
            self._address = ""
        interval = environment.get("WATCHDOG_USEC", "")
        self.for_successor = {"WATCHDOG_USEC": interval} if interval else {}
        """What a process of ours that takes this one's place finds in its environment."""
        self.watchdog_s = _watchdog_s(environment, os.getpid() if pid is None else pid)
        """Within this time it wants to hear that we live; 0.0: it does not."""
        self._lock = threading.Lock()
        self._waiting: deque[_Message] = deque()
        """What it must hear, and did not read yet."""
        self._is_telling = False
        """A thread waits until it reads."""

    @property
    def is_there(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """We serve; also after `reloading`."""
        self._tell(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """How we are, for people."""
        self._mention(f"STATUS={_line(status)}")

    def starting(self, status: str) -> None:
        """The start goes on, and may take a while longer; to be told more often than `EXTENSION_S`."""
        self._mention(f"EXTEND_TIMEOUT_USEC={EXTENSION_S * 1e6:.0f}\nSTATUS={_line(status)}")

    def reloading(self) -> None:
        """We read our files again; `ready` ends it."""
        now_us = time.monotonic_ns() // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reading the blocklist again")

    def stopping(self) -> None:
        """We end."""
        self._tell("STOPPING=1\nSTATUS=answering what was asked")

    def alive(self) -> None:
        """We live, all of us."""
        self._mention("WATCHDOG=1")

    def main_is(self, pid: int, patience_s: float = HEARD_S_MAX) -> bool:
        """Another process of ours serves from now on, and it is the service.  It blocks until that is heard.

        False: it was not, within the time.  Whoever ends then is taken for the service, and the process that
        serves is ended with it.
        """
        if not self._address:
            return True
        self._tell(f"MAINPID={pid}\nREADY=1\nSTATUS=another process has taken over")
        # It closes the other end when it has done all that was told before (sd_notify_barrier(3)).
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._tell("BARRIER=1", [writing])
            os.close(writing)
            heard = select.poll()
            heard.register(reading, select.POLLHUP)
            return bool(heard.poll(patience_s * 1000))
        finally:
            os.close(reading)

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """Keep these open for the next of us, under this name.

        What the supervisor has already it does not keep twice.  It does not look whether they are broken: a
        socket with a message of an error is none the worse.
        """
        for start in range(0, len(descriptors), STORED_AT_ONCE):
            self._tell(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", descriptors[start : start + STORED_AT_ONCE])

    def forget(self, name: str) -> None:
        """Keep nothing of this name any more."""
        self._tell(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _mention(self, text: str) -> None:
        """Say what may be lost: the next of its kind says more."""
        with self._lock:
            if self._address and not self._waiting:
                self._send(_Message(text))

    def _tell(self, text: str, descriptors: Sequence[int] = ()) -> None:
        """Say what must be heard, behind what waits already."""
        with self._lock:
            if not self._address or (not self._waiting and self._send(_Message(text, tuple(descriptors)))):
                return
            # Whose descriptors these are may close them before.
            self._waiting.append(_Message(text, tuple(map(os.dup, descriptors))))
            if len(self._waiting) > WAITING_MAX:
                self._drop(self._waiting.popleft())
            if not self._is_telling:
                self._is_telling = True
                threading.Thread(target=self._tell_waiting, name="notify", daemon=True).start()

    def _tell_waiting(self) -> None:
        """Tell all that waits, as fast as it is read."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_telling = False
                    return
                if self._send(self._waiting[0]):
                    self._drop(self._waiting.popleft())
                    continue
            time.sleep(RETRY_S)

    @staticmethod
    def _drop(message: _Message) -> None:
        for descriptor in message.descriptors:
            os.close(descriptor)

    def _send(self, message: _Message) -> bool:
        """Whether it was sent, or never will be; false: the supervisor does not read now."""
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Nobody's query waits for a supervisor that does not read.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.connect(address)
                socket.send_fds(sock, [message.text.encode()], list(message.descriptors))
        except BlockingIOError:
            return False
        except OSError as error:
            # ENOBUFS, ENOMEM: the kernel's shortage passes; whoever is not there will not come.
            return error.errno not in (errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        return True


def _line(text: str) -> str:
    return " ".join(text.split())


def _watchdog_s(environment: MutableMapping[str, str], pid: int) -> float:
    interval = environment.pop("WATCHDOG_USEC", "")
    owner = environment.pop("WATCHDOG_PID", "")
    if not interval.isdecimal() or owner not in ("", str(pid)):
        return 0.0
    return int(interval) / 1e6
