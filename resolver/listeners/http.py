"""A request for DNS over HTTPS becomes a query or a status, an answer the headers it goes with (RFC 8484).

Knows: path, methods, base64url, media type, how long an answer may be kept by a cache on the way.  Does not
know: HTTP's framing (`http1`, `http2`), what the query asks.  `native/core/src/http.rs` decides the same, and
`tests/vectors/https.yaml` holds both to it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

PATH: Final = b"/dns-query"
"""Where queries are taken; `dohpath` of discovery says the same (RFC 9461 §5)."""

TARGET_OCTETS_MAX: Final = 8_192
"""Path and query of a request, then 414: a query of 6,000 octets.  RFC 9110 §4.1 asks for 8,000 octets."""

MESSAGE_OCTETS_MAX: Final = 65_535
"""A body, then 413: no DNS message is longer."""

MESSAGE_OCTETS_MIN: Final = 12
"""A query shorter than a header is 400, as over other transports it is no query."""

MEDIA_TYPE: Final = b"application/dns-message"

ALLOW: Final = b"GET, HEAD, POST"
"""What 405 goes with (RFC 9110 §15.5.6)."""

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
CONTENT_TOO_LARGE: Final = 413
URI_TOO_LONG: Final = 414
UNSUPPORTED_MEDIA_TYPE: Final = 415
HEADERS_TOO_LARGE: Final = 431

STATUSES: Final = (
    OK,
    BAD_REQUEST,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONTENT_TOO_LARGE,
    URI_TOO_LONG,
    UNSUPPORTED_MEDIA_TYPE,
    HEADERS_TOO_LARGE,
)
"""The closed set of statuses that a request can get."""

BROKEN: Final = "https_broken"
"""Why a connection ends: what came breaks HTTP's rules, or could be read in two ways."""

OVER_HEADERS: Final = "https_headers"
"""The headers of a request are over `limits.https_header_octets_max`."""

CONTROL: Final = "https_control_frames"
"""Too many frames that are no part of a request."""

RESETS: Final = "https_resets"
"""Too many requests were taken back before their answers."""

STREAMS: Final = "https_streams_max"
"""Why a request is refused: as many are open on its connection as may be."""

STALLED: Final = "https_stalled"
"""A request whose rest does not come, or whose answer is not taken, is given up."""

FORWARDED: Final = "https_forwarded"
"""What a trusted proxy says of its client cannot be read, or says two things: status 400."""

REASONS: Final = (BROKEN, OVER_HEADERS, CONTROL, RESETS, STREAMS, STALLED, FORWARDED)
"""The closed set of reasons why requests and connections end here."""

STALL_S: Final = 10.0
"""So long a request may be on its way, and an answer wait for its client to take more of it."""


class HttpRequest(NamedTuple):
    """A request that waits for its answer."""

    stream: int
    """Of HTTP/2; 0: HTTP/1.1 has one at a time."""
    is_head: bool
    headers: Sequence[tuple[bytes, bytes]]
    """As they came, names in lower case."""
    name: str = ""
    """The one that the client gave itself in the path; empty: none."""


class Arrived(NamedTuple):
    """A request that is here whole."""

    request: HttpRequest
    message: bytes
    """The query."""
    status: int = 0
    """If not 0, the answer: there is no query."""
    reason: str = ""
    """One of `REASONS`, where it is no request either."""


class HttpBroken(Exception):
    """The connection is over, for one of `REASONS`; what is to be sent of it stands in `outgoing`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class HttpSession(Protocol):
    """What is said inside TLS: HTTP/1.1 or HTTP/2, without a socket.  Both decide alike."""

    refused: int
    """Requests refused since this was last set to 0, because too many are open."""
    is_over: bool
    """Whether no more requests are taken."""

    @property
    def takes_more(self) -> bool:
        """Whether another request may be read now."""

    @property
    def owes(self) -> bool:
        """Whether an answer waits for its client to take more of it."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the rest of a request is to come, or an answer to be taken."""

    @property
    def held_octets(self) -> int:
        """Octets of requests that are not whole, and of answers that are not sent."""

    def receive(self, buffer: bytearray, start: int, now: float) -> tuple[int, Sequence[Arrived]]:
        """Take a frame or a part of a request from `buffer`: its octets, 0: it is not whole; and what it
        made.

        Raises HttpBroken.
        """

    def answer(self, request: HttpRequest, status: int, message: bytes, date: bytes, now: float) -> None:
        """Answer a request with a DNS message, or with a status alone; one that is gone: nothing."""

    def reset(self, request: HttpRequest) -> bool:
        """Give no answer; False: only the end of the connection says that."""

    def stop(self) -> None:
        """Take no more requests; those that are open are still answered."""

    def end(self) -> None:
        """Everything is answered: say that the connection ends."""

    def give_up(self, now: float) -> int:
        """Reset what has stalled for `STALL_S`; how many."""

    def outgoing(self) -> bytes:
        """What is to be sent now."""


_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_UNUSED_BITS: Final = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
"""Signs after which no bits are left over, where a text of so many signs beyond a multiple of 4 ends."""


class Asked(NamedTuple):
    """A query in a URL; HEAD gets everything but the body."""

    message: bytes


class Refused(NamedTuple):
    """No query; the answer is this status."""

    status: int


class WantsBody(NamedTuple):
    """The query is the body, which may be read now."""


WANTS_BODY: Final = WantsBody()


def asked_by(
    method: bytes, target: bytes, content_type: bytes | None, content_length: int | None
) -> Asked | Refused | WantsBody:
    """What a request's head asks.  `target`: path and query, as they came.  None: the header is not there."""
    # Before anything looks into it.
    if len(target) > TARGET_OCTETS_MAX:
        return Refused(URI_TOO_LONG)
    path, _, query = target.partition(b"?")
    if path != PATH:
        return Refused(NOT_FOUND)
    if method in (b"GET", b"HEAD"):
        message = _message_in(query)
        return Refused(BAD_REQUEST) if message is None else Asked(message)
    if method != b"POST":
        return Refused(METHOD_NOT_ALLOWED)
    if content_type is None or content_type.partition(b";")[0].strip(b" \t").lower() != MEDIA_TYPE:
        return Refused(UNSUPPORTED_MEDIA_TYPE)
    # Before a single octet of it is read.
    if content_length is not None and content_length > MESSAGE_OCTETS_MAX:
        return Refused(CONTENT_TOO_LARGE)
    return WANTS_BODY


def refusal_of_body(octets: int) -> int:
    """The status for a body of so many octets; 0: it is a query."""
    if octets > MESSAGE_OCTETS_MAX:
        return CONTENT_TOO_LARGE
    return BAD_REQUEST if octets < MESSAGE_OCTETS_MIN else 0


def headers_of(status: int, message: bytes, date: bytes) -> list[tuple[bytes, bytes]]:
    """What an answer goes with, beside the status: of a query that was answered, and of one that is none."""
    headers = [(b"content-length", b"%d" % len(message)), (b"date", date)]
    if status == OK:
        headers.append((b"content-type", MEDIA_TYPE))
        headers.append((b"cache-control", b"max-age=%d" % max_age_s(message)))
    elif status == METHOD_NOT_ALLOWED:
        headers.append((b"allow", ALLOW))
    return headers


def max_age_s(answer: bytes) -> int:
    """How long a cache on the way may keep an answer of ours: its lowest TTL, and of a denial no more than
    its SOA's MINIMUM; 0 for failures (RFC 8484 §5.1).

    `answer`: a whole message that this server has made, so that nothing in it has to be checked.
    """
    if answer[3] & 15 not in (0, 3):
        return 0
    questions, answers, authorities, additionals = (answer[at] << 8 | answer[at + 1] for at in (4, 6, 8, 10))
    at = 12
    for _ in range(questions):
        at = _after_name(answer, at) + 4
    lowest_s = -1
    for _ in range(answers + authorities + additionals):
        at = _after_name(answer, at)
        # What stands in OPT's place of a TTL is none (RFC 6891 §6.1.3).
        if answer[at : at + 2] != b"\0\x29":
            ttl_s = int.from_bytes(answer[at + 4 : at + 8], "big")
            if answer[at : at + 2] == b"\0\x06":
                end = at + 10 + (answer[at + 8] << 8 | answer[at + 9])
                ttl_s = min(ttl_s, int.from_bytes(answer[end - 4 : end], "big"))
            if ttl_s < lowest_s or lowest_s < 0:
                lowest_s = ttl_s
        at += 10 + (answer[at + 8] << 8 | answer[at + 9])
    return max(lowest_s, 0)


def _message_in(query: bytes) -> bytes | None:
    """The message of `dns=`, the only one of its name; None: there is none, or it is broken.

    RFC 8484 §6: base64url without padding, and one text for each message (RFC 4648 §3.5).
    """
    found = None
    for parameter in query.split(b"&"):
        if parameter.startswith(b"dns=") or parameter == b"dns":
            if found is not None:
                return None
            found = parameter[4:]
    if not found or not _BASE64URL.fullmatch(found):
        return None
    beyond = len(found) % 4
    if beyond == 1 or (beyond and found[-1] not in _UNUSED_BITS[beyond]):
        return None
    message = urlsafe_b64decode(found + b"=" * (-beyond % 4))
    return message if len(message) >= MESSAGE_OCTETS_MIN else None


def _after_name(octets: bytes, at: int) -> int:
    while (length := octets[at]) != 0:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1
