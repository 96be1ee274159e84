"""From how many ports the questions of one client leave, as its upstream sees them."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.loopback.server import Server, running_server
from tests.loopback.test_flood import encoded

pytestmark = [pytest.mark.slow, pytest.mark.loopback]

QUESTIONS = 100_000
PORTS_MIN = 20_000
AT_ONCE = 60


class CountingUpstream:
    """Answers every A question, and remembers from which ports it was asked."""

    def __init__(self) -> None:
        self.ports: set[int] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(600)
            if not octets:
                return
            self.ports.add(client[1])
            question = octets[12 : octets.index(b"\0", 12) + 5]
            answer = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2\1"
            self._socket.sendto(octets[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + answer, client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@contextmanager
def asked_upstream() -> Iterator[CountingUpstream]:
    upstream = CountingUpstream()
    try:
        yield upstream
    finally:
        upstream.close()


def ask_all(server: Server) -> None:
    """Ask for `QUESTIONS` names from one socket, `AT_ONCE` of them on their way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port))
        sent = open_ = 0
        while sent < QUESTIONS or open_:
            while sent < QUESTIONS and open_ < AT_ONCE:
                client.send(sent.to_bytes(3, "big")[1:] + encoded(f"n{sent}.example.org")[2:])
                sent, open_ = sent + 1, open_ + 1
            if not select.select([client], [], [], 5.0)[0]:
                open_ = 0  # lost
                continue
            client.recv(600)
            open_ -= 1


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_hundred_thousand_questions_of_one_client_leave_from_twenty_thousand_ports(
    tmp_path: Path, serving_engine: str, threads: int
) -> None:
    if serving_engine == "python" and threads > 1:
        pytest.skip("the Python engine has one thread")
    with (
        asked_upstream() as upstream,
        running_server(tmp_path, upstream.port, changes={"threads": threads}) as server,
    ):
        ask_all(server)
        assert len(upstream.ports) >= PORTS_MIN
