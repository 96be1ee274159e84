"""An upstream with an oddity: what it says over UDP and over TCP is the test's to choose.

Knows: sockets on loopback, one thread for each.  Does not know: what is odd about it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import dns.message
import dns.rcode
import dns.rrset

from resolver.cli.demo_upstream import bind_pair

ADDRESS = "192.0.2.99"
"""What every name's A record is."""

Reply = Callable[[bytes], bytes | None]
"""What is said to a query, or nothing."""

Serve = Callable[["Stream", int], None]
"""Serves one TCP connection, given its number, counted from 0."""


def good(query: bytes, *, ttl_s: int = 60) -> bytes:
    """The right answer: one address for every name."""
    asked = dns.message.from_wire(query)
    reply = dns.message.make_response(asked, recursion_available=True)
    reply.answer.append(dns.rrset.from_text(asked.question[0].name, ttl_s, "IN", "A", ADDRESS))
    return reply.to_wire()


def failing(rcode: str) -> Reply:
    """Nothing but this rcode."""

    def reply(query: bytes) -> bytes:
        answer = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
        answer.set_rcode(dns.rcode.from_text(rcode))
        return answer.to_wire()

    return reply


def name_of(query: bytes) -> bytes:
    """The name asked, as it was spelt (wire form)."""
    return query[12 : query.index(b"\0", 12) + 1]


class Stream:
    """One TCP connection of a client."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb")

    def read(self) -> bytes:
        """The next query; empty: there is no other."""
        length = self._file.read(2)
        return self._file.read(int.from_bytes(length, "big")) if len(length) == 2 else b""

    def write(self, octets: bytes, *, length: int | None = None) -> None:
        """Send a message, with a wrong length where the test says so."""
        self._socket.sendall((len(octets) if length is None else length).to_bytes(2, "big") + octets)

    def write_raw(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._socket.sendall(octets)

    def wait_for_the_end(self) -> None:
        """Read and say nothing until the client closes."""
        while self.read():
            pass

    def close(self) -> None:
        """End it."""
        self._file.close()
        self._socket.close()


def serve_well(stream: Stream, number: int) -> None:
    """Answer everything."""
    while query := stream.read():
        stream.write(good(query))


class OddUpstream:
    """Answers over UDP by `udp`, and over TCP by `tcp`; None: it does not listen there."""

    def __init__(self, udp: Reply = good, tcp: Serve | None = None) -> None:
        self._udp, self._tcp = udp, tcp
        self.asked: list[bytes] = []
        """Names over UDP, as they were spelt."""
        self.connections = 0
        self._open: list[socket.socket] = []
        self._datagrams, self._streams = bind_pair("127.0.0.1")
        self.port = int(self._datagrams.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve_datagrams, daemon=True)]
        if tcp is None:
            self._streams.close()
        else:
            self._streams.listen(128)
            self._threads.append(threading.Thread(target=self._serve_streams, daemon=True))

    def _serve_datagrams(self) -> None:
        while True:
            octets, client = self._datagrams.recvfrom(4096)
            if not octets:
                return
            self.asked.append(name_of(octets))
            reply = self._udp(octets)
            if reply is not None:
                self._datagrams.sendto(reply, client)

    def _serve_streams(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._streams.accept()
                self._open.append(sock)
                number, self.connections = self.connections, self.connections + 1
                threading.Thread(target=self._serve_stream, args=(sock, number), daemon=True).start()

    def _serve_stream(self, sock: socket.socket, number: int) -> None:
        assert self._tcp is not None
        stream = Stream(sock)
        with suppress(OSError, ValueError):
            self._tcp(stream, number)
        stream.close()

    def __enter__(self) -> OddUpstream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        for sock in [self._streams, *self._open]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5.0)
        self._datagrams.close()
