"""Clients of DNS over HTTPS for tests: HTTP/2 frame by frame, HTTP/1.1 octet by octet.

Knows: TLS, h2's encoder and state machine, what a response consists of.  Does not know: servers, DNS.
"""

from __future__ import annotations

import socket
import ssl
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

PATIENCE_S = 10.0
TYPE = "application/dns-message"


def context(*protocols: str) -> ssl.SSLContext:
    """A client that believes any certificate, and speaks these protocols."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def connect(port: int, *protocols: str, name: str | None = "dns.example") -> ssl.SSLSocket:
    """A session with the server on this port of loopback."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context(*protocols).wrap_socket(plain, server_hostname=name)


def target_of(message: bytes) -> str:
    """Path and query that ask this message by GET."""
    return "/dns-query?dns=" + urlsafe_b64encode(message).rstrip(b"=").decode()


@dataclass
class Response:
    """What came for one request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False
    reset: int | None = None
    """The code with which its stream was reset."""


class Http2Client:
    """One connection of HTTP/2."""

    def __init__(self, port: int, *, name: str | None = "dns.example") -> None:
        self.sock = connect(port, "h2", name=name)
        assert self.sock.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.state = h2.connection.H2Connection(config)
        self.responses: dict[int, Response] = {}
        self.goaway: int | None = None
        self.is_closed = False
        self.state.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what there is to be sent."""
        self.sock.sendall(self.state.data_to_send())

    def raw(self, octets: bytes) -> None:
        """Send octets past the state machine."""
        self.sock.sendall(octets)

    def begin(self, method: str, target: str, *more: tuple[str, str], end: bool = True) -> int:
        """Send a request's head, not flushed; its stream."""
        stream = self.state.get_next_available_stream_id()
        head = [(":method", method), (":path", target), (":scheme", "https"), (":authority", "dns.example")]
        self.state.send_headers(stream, [*head, *more], end_stream=end)
        self.responses[stream] = Response()
        return stream

    def post(self, message: bytes, *more: tuple[str, str], kind: str = TYPE) -> int:
        """Send a query by POST, not flushed."""
        stream = self.begin("POST", "/dns-query", ("content-type", kind), *more, end=False)
        self.state.send_data(stream, message, end_stream=True)
        return stream

    def get(self, message: bytes, method: str = "GET") -> int:
        """Send a query by GET, not flushed."""
        return self.begin(method, target_of(message), ("accept", TYPE))

    def response(self, stream: int) -> Response:
        """What comes for this stream: whole, or reset, or as far as it was when the connection ended."""
        self.flush()
        response = self.responses[stream]
        while not (response.is_whole or response.reset is not None or self.is_closed):
            self.read()
        return response

    def read(self) -> None:
        """Take in what comes next."""
        try:
            octets = self.sock.recv(65536)
        except ConnectionResetError:
            octets = b""
        if not octets:
            self.is_closed = True
            return
        for event in self.state.receive_data(octets):
            self._take(event)
        self.flush()

    def until_closed(self) -> None:
        """Take in all that comes."""
        while not self.is_closed:
            try:
                self.read()
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self.is_closed = True

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                response = self.responses[event.stream_id]
                response.headers = {str(name): str(value) for name, value in event.headers}
                response.status = int(response.headers[":status"])
            case h2.events.DataReceived():
                self.responses[event.stream_id].body += event.data
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.responses[event.stream_id].is_whole = True
            case h2.events.StreamReset():
                self.responses[event.stream_id].reset = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = int(event.error_code or 0)

    def close(self) -> None:
        """Go."""
        self.sock.close()


class Http1Client:
    """One connection of HTTP/1.1."""

    def __init__(self, port: int, *, protocols: tuple[str, ...] = ("http/1.1",)) -> None:
        self.sock = connect(port, *protocols)
        self.unread = b""

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.sock.sendall(octets)

    def response(self, *, of_head: bool = False) -> Response | None:
        """The next response; None: the connection ended."""
        while b"\r\n\r\n" not in self.unread:
            if not self._more():
                return None
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if of_head else int(headers.get("content-length", "0"))
        while len(self.unread) < length:
            if not self._more():
                return None
        body, self.unread = self.unread[:length], self.unread[length:]
        return Response(int(first.split(" ")[1]), headers, body, is_whole=True)

    def _more(self) -> bool:
        try:
            octets = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return False
        self.unread += octets
        return bool(octets)

    def is_closed(self) -> bool:
        """Whether the server ends the connection without another word."""
        return self.response() is None and not self.unread

    def close(self) -> None:
        """Go."""
        self.sock.close()
