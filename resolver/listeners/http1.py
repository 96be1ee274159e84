"""HTTP/1.1 of one connection, on h11: requests out of octets, one at a time (RFC 9112).

Knows: heads, bodies, when a connection may be used again.  Does not know: sockets, TLS, DNS, what a request
asks (`http`).
Theory: what two programs can read in two ways is refused, though the library would take one of them: there
may be a proxy in front, and it may have taken the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import h11

from resolver.flow.client_names import NO_NAMES, ClientNames
from resolver.listeners.http import (
    BAD_REQUEST,
    BROKEN,
    CONTENT_TOO_LARGE,
    CONTROL,
    HEADERS_TOO_LARGE,
    MESSAGE_OCTETS_MAX,
    OVER_HEADERS,
    PATH,
    TARGET_OCTETS_MAX,
    URI_TOO_LONG,
    Arrived,
    Asked,
    HttpRequest,
    Refused,
    asked_by,
    headers_of,
    refusal_of_body,
)

PART_OCTETS: Final = 4_096
"""Octets of a body that are looked at in one go."""

CHUNKS_MAX: Final = 2_000
"""Pieces that a body may come in."""

_TWO_WAYS: Final = re.compile(rb"[^\r]\n|\r[^\n]|\0|\n[ \t]")
"""Bare line ends, NUL and folded lines: what one program skips and another reads (RFC 9112 §2.2, §5.2,
§11.2)."""

_REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    431: b"Request Header Fields Too Large",
}

_NOBODY: Final = HttpRequest(0, False, ())
"""Whose answer is that to what is no request."""


class Http1Session:
    """See `http.HttpSession`."""

    def __init__(self, *, header_octets_max: int, names: ClientNames = NO_NAMES) -> None:
        self._names = names
        self._header_octets_max = header_octets_max
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=header_octets_max + PART_OCTETS)
        self._request: HttpRequest | None = None
        """The one that is read or answered."""
        self._body = bytearray()
        self._is_reading_body = False
        self._left = 0
        """Octets of its body that may still come; with chunks, at most so many."""
        self._pieces = 0
        self._looked_at = 0
        """Octets of a head that is not whole, in which neither its end nor anything odd was found."""
        self._out = bytearray()
        self._is_last = False
        """Whether the connection ends with the answer: what stands behind the request may be part of it."""
        self.refused = 0
        self.is_over = False

    @property
    def takes_more(self) -> bool:
        """See `http.HttpSession`: one request at a time."""
        return self._request is None or self._is_reading_body

    @property
    def owes(self) -> bool:
        """See `http.HttpSession`: what is written is the socket's."""
        return False

    @property
    def waits_for_client(self) -> bool:
        """See `http.HttpSession`."""
        return self._is_reading_body

    @property
    def held_octets(self) -> int:
        """See `http.HttpSession`."""
        return len(self._body)

    def receive(self, buffer: bytearray, start: int, now: float) -> tuple[int, Sequence[Arrived]]:
        """See `http.HttpSession`."""
        if self.is_over or not self.takes_more:
            return 0, ()
        try:
            return self._read_body(buffer, start) if self._is_reading_body else self._read_head(buffer, start)
        except h11.RemoteProtocolError:
            return len(buffer) - start, self._refused(BAD_REQUEST, BROKEN)

    def answer(self, request: HttpRequest, status: int, message: bytes, date: bytes, now: float) -> None:
        """See `http.HttpSession`."""
        if self._request is not request:
            return
        self._request = None
        headers = headers_of(status, message, date)
        if self._is_last or self.is_over:
            headers.append((b"connection", b"close"))
        machine = self._h11
        if machine.our_state in (h11.SEND_RESPONSE, h11.IDLE):
            said = h11.Response(status_code=status, headers=headers, reason=_REASONS[status])
            self._out += machine.send(said) or b""
            if message and not request.is_head:
                self._out += machine.send(h11.Data(data=message)) or b""
            self._out += machine.send(h11.EndOfMessage()) or b""
        if machine.our_state is h11.DONE and machine.their_state is h11.DONE and not self._is_last:
            machine.start_next_cycle()
        else:
            self.is_over = True

    def reset(self, request: HttpRequest) -> bool:
        """See `http.HttpSession`."""
        return self._request is not request

    def stop(self) -> None:
        """See `http.HttpSession`: the next answer is the last."""
        self._is_last = True

    def end(self) -> None:
        """See `http.HttpSession`: the end of the stream says so."""
        self.is_over = True

    def give_up(self, now: float) -> int:
        """See `http.HttpSession`: whoever sends no whole request is quiet, and ends so."""
        return 0

    def outgoing(self) -> bytes:
        """See `http.HttpSession`."""
        octets = bytes(self._out)
        self._out.clear()
        return octets

    def _read_head(self, buffer: bytearray, start: int) -> tuple[int, Sequence[Arrived]]:
        # Empty lines before a request are passed over (RFC 9112 §2.2).
        while buffer[start : start + 2] == b"\r\n":
            return 2, ()
        # Behind what was looked at before, and three octets of it: a client may send one octet at a time.
        unseen = start + max(self._looked_at - 3, 0)
        end = buffer.find(b"\r\n\r\n", unseen, start + self._header_octets_max)
        if end < 0:
            if len(buffer) - start < self._header_octets_max:
                # What can never become a head is not waited for.
                if not _TWO_WAYS.search(buffer, unseen):
                    self._looked_at = len(buffer) - start
                    return 0, ()
                return len(buffer) - start, self._refused(BAD_REQUEST, BROKEN)
            is_long_target = buffer.find(b"\r\n", start, start + TARGET_OCTETS_MAX) < 0
            status = URI_TOO_LONG if is_long_target else HEADERS_TOO_LARGE
            return len(buffer) - start, self._refused(status, OVER_HEADERS)
        self._looked_at = 0
        head = bytes(buffer[start : end + 4])
        if _TWO_WAYS.search(head):
            return len(buffer) - start, self._refused(BAD_REQUEST, BROKEN)
        self._h11.receive_data(head)
        event = self._h11.next_event()
        if not isinstance(event, h11.Request) or not event.http_version.startswith(b"1."):
            return len(buffer) - start, self._refused(BAD_REQUEST, BROKEN)
        headers = [(bytes(name), bytes(value)) for name, value in event.headers]
        target, name = self._names.split_target(_origin_form(bytes(event.target)), PATH)
        self._request = HttpRequest(0, bytes(event.method) == b"HEAD", headers, name)
        return len(head), self._decide(event, target, headers)

    def _decide(self, event: h11.Request, target: bytes, headers: list[tuple[bytes, bytes]]) -> list[Arrived]:
        """What a whole head asks."""
        assert self._request is not None
        request = self._request
        named = dict(headers)
        lengths = [value for name, value in headers if name == b"content-length"]
        is_chunked = b"transfer-encoding" in named
        if is_chunked and (lengths or event.http_version != b"1.1"):
            # Two lengths of one body (§6.1).
            self._is_last = True
            return [Arrived(request, b"", BAD_REQUEST)]
        length = int(lengths[0]) if lengths else None
        asked = asked_by(bytes(event.method), target, named.get(b"content-type"), length)
        if isinstance(asked, Asked | Refused):
            if is_chunked or length:
                # Its body is not read, and so neither is what stands behind it.
                self._is_last = True
            else:
                self._h11.next_event()  # the end of the request
            return [
                Arrived(request, asked.message)
                if isinstance(asked, Asked)
                else Arrived(request, b"", asked.status)
            ]
        self._is_reading_body, self._pieces = True, 0
        self._left = MESSAGE_OCTETS_MAX * 2 if length is None else length
        if self._h11.they_are_waiting_for_100_continue:
            self._out += self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
        return self._take_body()

    def _read_body(self, buffer: bytearray, start: int) -> tuple[int, Sequence[Arrived]]:
        # Only what belongs to this request, as far as that is known: the library would keep the rest from us.
        part = bytes(buffer[start : start + min(PART_OCTETS, self._left)])
        if not part:
            return 0, ()
        self._left -= len(part)
        self._h11.receive_data(part)
        arrived = self._take_body()
        if self._h11.trailing_data[0]:
            # It came behind the last chunk, and is not answered.
            self._is_last = True
        return len(part), arrived

    def _take_body(self) -> list[Arrived]:
        assert self._request is not None
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return []
            if isinstance(event, h11.Data):
                self._pieces += 1
                self._body += event.data
                if self._pieces > CHUNKS_MAX:
                    return self._refused(BAD_REQUEST, CONTROL)
                if len(self._body) <= MESSAGE_OCTETS_MAX:
                    continue
                self._is_last = True
                status = CONTENT_TOO_LARGE
            elif isinstance(event, h11.EndOfMessage):
                status = refusal_of_body(len(self._body))
            else:
                raise h11.RemoteProtocolError("no body")
            message = b"" if status else bytes(self._body)
            self._body.clear()
            self._is_reading_body = False
            return [Arrived(self._request, message, status)]

    def _refused(self, status: int, reason: str) -> list[Arrived]:
        """What came is no request; nothing behind it is read."""
        self._request = self._request or _NOBODY
        self._is_reading_body = False
        self._body.clear()
        self._is_last = True
        return [Arrived(self._request, b"", status, reason)]


def _origin_form(target: bytes) -> bytes:
    """Path and query of a target, which may be written with scheme and host (RFC 9112 §3.2.2)."""
    found = re.match(rb"(?i:https?)://[^/?#]*", target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest
