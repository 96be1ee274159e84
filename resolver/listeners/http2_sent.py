"""What an HTTP/2 server says: frames, and the headers of answers (RFC 9113, RFC 7541).

Knows: how a frame is written, HPACK without a table of its own.  Does not know: streams, windows, when
anything is said.
Theory: nothing of an answer is put into the client's table, so octets that were made once say the same at any
time and on any connection.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from h2.errors import ErrorCodes

from resolver.listeners.http import MEDIA_TYPE, headers_of, max_age_s

GOAWAY_OCTETS: Final = 17
"""Of the frame that ends a connection, as the library and we write it."""

DATA: Final = 0
HEADERS: Final = 1
GOAWAY: Final = 7
END_STREAM: Final = 1
END_HEADERS: Final = 4
HAS_PRIORITY: Final = 32
"""A flag of HEADERS: five octets stand in front of the headers."""

_NAME_NUMBERS: Final = {
    b":status": b"\x08",
    b"allow": b"\x0f\x07",
    b"cache-control": b"\x0f\x09",
    b"content-length": b"\x0f\x0d",
    b"content-type": b"\x0f\x10",
    b"date": b"\x0f\x12",
}
"""The names of an answer's headers in HPACK's table (RFC 7541, appendix A), as fields that nobody keeps."""


def goaway(last_stream: int, code: int = ErrorCodes.NO_ERROR) -> bytes:
    """The frame that ends a connection (RFC 9113 §6.8)."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + int(code).to_bytes(4, "big"))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(header: tuple[bytes, bytes]) -> bytes:
    """A header in HPACK, its name by number and its value as it stands (RFC 7541 §6.2.2).

    The library's own encoder takes a fourth of a request's time, to spare a client some octets.
    """
    name, value = header
    return _NAME_NUMBERS[name] + bytes((len(value),)) + value


_STATUS_OK: Final = b"\x88"
"""`:status: 200`, which stands in everybody's table (RFC 7541 §6.1, appendix A)."""

_OF_MEDIA_TYPE: Final = field((b"content-type", MEDIA_TYPE))


def answer_head(message: bytes, date: bytes) -> bytes:
    """The block of headers of a query's answer, as `headers_of` has them."""
    fields = _length_field(len(message)), _date_field(date), _OF_MEDIA_TYPE, _age_field(max_age_s(message))
    return _STATUS_OK + b"".join(fields)


def refusal_head(status: int, date: bytes) -> bytes:
    """The same of an answer that is a status alone."""
    return b"".join(map(field, [(b":status", b"%d" % status), *headers_of(status, b"", date)]))


@lru_cache(maxsize=4_096)
def _length_field(octets: int) -> bytes:
    return field((b"content-length", b"%d" % octets))


@lru_cache(maxsize=4_096)
def _age_field(seconds: int) -> bytes:
    return field((b"cache-control", b"max-age=%d" % seconds))


@lru_cache(maxsize=8)
def _date_field(date: bytes) -> bytes:
    return field((b"date", date))
