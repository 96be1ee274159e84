"""Clients over every transport, told to send octets and asked what came of it.

Knows: sockets on loopback, TLS by a context, HTTP/2 and HTTP/1.1 as RFC 8484 uses them.
Does not know: what the octets mean, what should come of them.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

import h2.config
import h2.connection
import h2.events

PATIENCE_S = 10.0
"""Longer than any upstream's time limit on a busy machine."""
PIECE = 65_536
CLOSED = "closed"
"""What came: the end of the connection, or of the stream, without an answer."""
IGNORED = "ignored"
"""What came: nothing, though what was asked afterwards got its answer."""
MEDIA_TYPE = "application/dns-message"
PATH = "/dns-query"

Reply = bytes | str
"""An answer's octets; or a word: `closed`, `ignored`, or `status N` of HTTP."""


class Client(Protocol):
    """One client with its socket or connection open."""

    def send(self, octets: Sequence[bytes]) -> None:
        """Send messages, over a stream in one write."""

    def receive(self) -> Reply:
        """The next answer; `closed`: there is none."""

    def close(self) -> None:
        """End it."""


class UdpClient:
    """Datagrams from one socket."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect((host, port))

    def send(self, octets: Sequence[bytes]) -> None:
        for message in octets:
            self._socket.send(message)

    def receive(self) -> Reply:
        return self._socket.recv(PIECE)

    def close(self) -> None:
        self._socket.close()


class StreamClient:
    """One connection over TCP, or over TLS by `context` (RFC 7766, RFC 7858)."""

    def __init__(
        self, port: int, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", source: str = ""
    ) -> None:
        self.socket = connected(port, context, ["dot"], host, source)
        self._pending = b""

    def send(self, octets: Sequence[bytes]) -> None:
        with ended_is_no_fault():
            self.socket.sendall(b"".join(len(each).to_bytes(2, "big") + each for each in octets))

    def receive(self) -> Reply:
        while len(self._pending) < 2 or len(self._pending) < 2 + int.from_bytes(self._pending[:2], "big"):
            if not (more := received(self.socket)):
                return CLOSED
            self._pending += more
        end = 2 + int.from_bytes(self._pending[:2], "big")
        message, self._pending = self._pending[2:end], self._pending[end:]
        return message

    def close(self) -> None:
        self.socket.close()


class Http2Client:
    """One HTTP/2 connection; each message is a POST of its own."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str = "127.0.0.1", path: str = PATH) -> None:
        self.socket = connected(port, context, ["h2"], host)
        # Clients that break the rules are sent as they are told: nothing is checked or tidied here.
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        self._path = path
        self._order: list[int] = []
        self._bodies: dict[int, bytes] = {}
        self._done: dict[int, Reply] = {}
        self._status: dict[int, str] = {}
        self._is_over = False
        self._h2.initiate_connection()
        self.socket.sendall(self._h2.data_to_send())

    def send(self, octets: Sequence[bytes]) -> None:
        for message in octets:
            number = self._h2.get_next_available_stream_id()
            headers = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "localhost"),
                (":path", self._path),
                ("accept", MEDIA_TYPE),
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(message))),
            ]
            self._h2.send_headers(number, headers)
            for start in range(0, len(message), 16_384):
                self._h2.send_data(number, message[start : start + 16_384])
            self._h2.end_stream(number)
            self._order.append(number)
        with ended_is_no_fault():
            self.socket.sendall(self._h2.data_to_send())

    def receive(self) -> Reply:
        """Of those that wait, whichever is answered first."""
        while not self._done:
            if self._is_over or not (more := received(self.socket)):
                return CLOSED
            for event in self._h2.receive_data(more):
                self._take(event)
            with ended_is_no_fault():
                self.socket.sendall(self._h2.data_to_send())
        return self._done.pop(next(iter(self._done)))

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            fields = dict(event.headers)
            self._status[event.stream_id] = fields[b":status"].decode()
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] = self._bodies.get(event.stream_id, b"") + event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            status = self._status[event.stream_id]
            body = self._bodies.pop(event.stream_id, b"")
            self._done[event.stream_id] = body if status == "200" else f"status {status}"
        elif isinstance(event, h2.events.StreamReset):
            self._done[event.stream_id] = CLOSED
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._is_over = True

    def close(self) -> None:
        self.socket.close()


class Http1Client:
    """One HTTP/1.1 connection; messages are POSTs one behind the other."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str = "127.0.0.1", path: str = PATH) -> None:
        self.socket = connected(port, context, ["http/1.1"], host)
        self._path = path
        self._pending = b""

    def send(self, octets: Sequence[bytes]) -> None:
        requests = [
            f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(message)}\r\n\r\n".encode()
            + message
            for message in octets
        ]
        with ended_is_no_fault():
            self.socket.sendall(b"".join(requests))

    def receive(self) -> Reply:
        while b"\r\n\r\n" not in self._pending:
            if not (more := received(self.socket)):
                return CLOSED
            self._pending += more
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(fields.get(b"content-length", b"0"))
        while len(self._pending) < length:
            if not (more := received(self.socket)):
                return CLOSED
            self._pending += more
        body, self._pending = self._pending[:length], self._pending[length:]
        status = first.split()[1].decode()
        return body if status == "200" else f"status {status}"

    def close(self) -> None:
        self.socket.close()


class Asker:
    """A client of one transport as a context manager, asked one message at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def exchange(self, octets: bytes) -> Reply:
        """What comes back for `octets`, which must come to something."""
        self._client.send([octets])
        return self._client.receive()

    def exchange_or_nothing(self, octets: bytes, marker: bytes) -> Reply:
        """The same for octets that may be ignored: `marker` is asked behind them, and is known here."""
        self._client.send([octets, marker])
        reply = self._client.receive()
        if isinstance(reply, bytes) and reply[:2] == marker[:2] and octets[:2] != marker[:2]:
            return IGNORED
        return reply

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def connected(
    port: int, context: ssl.SSLContext | None, protocols: list[str], host: str, source: str = ""
) -> socket.socket:
    """A connection to 127.0.0.1; over TLS, which must agree on one of the protocols where it names any."""
    plain = socket.create_connection((host, port), PATIENCE_S, source_address=(source, 0) if source else None)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return plain
    context.set_alpn_protocols(protocols)
    return context.wrap_socket(plain, server_hostname="localhost")


def received(connection: socket.socket) -> bytes:
    """What comes next; empty: it was closed, politely or not."""
    try:
        return connection.recv(PIECE)
    except (ConnectionError, ssl.SSLError):
        return b""


@contextmanager
def ended_is_no_fault() -> Iterator[None]:
    """Of who writes to a connection that the server has closed meanwhile."""
    try:
        yield
    except (ConnectionError, ssl.SSLError):
        return
