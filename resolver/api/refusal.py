"""Why the API does not answer as asked: a closed set of kinds, each with status and title (RFC 9457).

Knows: kinds, how one looks as `application/problem+json`.  Does not know: what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:exchange-resolver:refusal:"
"""A kind's `type` is this and its word: a URI that names it, and leads nowhere."""


class _Kind(NamedTuple):
    word: str
    status: int
    title: str


class Kind(Enum):
    """Every kind of refusal there is."""

    BAD_REQUEST = _Kind("bad-request", 400, "The request cannot be read")
    TOKEN_MISSING = _Kind("token-missing", 401, "A token is needed")
    TOKEN_WRONG = _Kind("token-wrong", 401, "The token is not one of this server")
    ROLE = _Kind("role", 403, "The role of the token does not allow this")
    ORIGIN = _Kind("origin", 403, "No page of another site may ask")
    NOT_FOUND = _Kind("not-found", 404, "There is no such thing here")
    METHOD = _Kind("method", 405, "The method does not exist here")
    TOO_SLOW = _Kind("too-slow", 408, "The body took too long")
    CONFLICT = _Kind("conflict", 409, "It cannot be done as things are")
    TOO_LARGE = _Kind("too-large", 413, "The body is too large")
    MEDIA = _Kind("media-type", 415, "The body must be JSON")
    INVALID = _Kind("invalid", 422, "What was asked for is not possible")
    GUESSES = _Kind("guesses", 429, "Too many wrong tokens")
    RATE = _Kind("rate", 429, "Too many ask")
    DEFECT = _Kind("defect", 500, "A defect of the program")
    BUSY = _Kind("busy", 503, "Too much is asked at once")
    NOT_READY = _Kind("not-ready", 503, "The server is not that far yet")

    @property
    def word(self) -> str:
        """The end of its `type`."""
        return self.value.word

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value.status

    @property
    def title(self) -> str:
        """What it is, always in the same words."""
        return self.value.title


_AGAIN_AFTER_S: Final = {Kind.GUESSES: 10, Kind.RATE: 1, Kind.BUSY: 1, Kind.NOT_READY: 1}
"""`Retry-After` of those kinds that pass by themselves."""


class Refusal(Exception):
    """The request is not answered; `detail` says why this one, `remedy` what to do about it."""

    def __init__(self, kind: Kind, detail: str, *, remedy: str = "", **members: Any) -> None:
        """`members`: further ones of the problem's JSON (RFC 9457 §3.2)."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
        self.members = members

    def as_json(self) -> dict[str, Any]:
        """The problem."""
        return {
            "type": f"{TYPE_PREFIX}{self.kind.word}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "remedy": self.remedy or None,
            **self.members,
        }


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None, media: str = "application/json"
) -> Response:
    """JSON in ASCII alone, on one whole line: a stranger's text is nothing but that text to any reader."""
    octets = json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
    octets += b"\n"
    return Response(octets, status, dict(headers or {}), media)


def response_to(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says so."""
    told = {"cache-control": "no-store", **(headers or {})}
    if refusal.kind in _AGAIN_AFTER_S:
        told["retry-after"] = str(_AGAIN_AFTER_S[refusal.kind])
    if refusal.kind.status == 401:
        # RFC 9110 §11.6.1 wants the scheme; RFC 6750 §3 the error, where a token was shown.
        error = ', error="invalid_token"' if refusal.kind is Kind.TOKEN_WRONG else ""
        told["www-authenticate"] = f'Bearer realm="exchange-resolver"{error}'
    return json_response(refusal.as_json(), refusal.kind.status, told, MEDIA_TYPE)
