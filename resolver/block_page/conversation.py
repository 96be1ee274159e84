"""One client's connection, octets in and octets out: requests become answers.

Knows: HTTP/1.1 as h11 does, which headers the page has, how many requests a connection may make.
Does not know: sockets, time.
Theory: whatever is asked, the answer is the page: any method, any path.  A request's body is never read; the
connection ends behind the answer.  So does it after an error, and after `REQUESTS_MAX` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

from resolver.block_page.catalogue import Texts
from resolver.block_page.host import BadHost, host_of
from resolver.block_page.look import CONTENT_SECURITY_POLICY
from resolver.block_page.notice import Notice, Operator, link_target, notice_of
from resolver.block_page.page_file import PageFile
from resolver.block_page.wishes import Form, form_of, language_of
from resolver.block_page.writings import html_of, json_of, text_of

HEAD_OCTETS_MAX: Final = 8_192
"""Largest request line and headers together."""
REQUESTS_MAX: Final = 8
"""On one connection: a page and its pictures; a flood gains nothing by keeping one."""
VERSIONS: Final = (b"1.0", b"1.1")
RETRY_AFTER_S: Final = 5
"""While there is no policy yet."""

STATUSES: Final = tuple(
    int(status)
    for status in (
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
)
"""All that an answer can have."""

Headers = list[tuple[str, str]]

_FIXED: Final = (
    # A page that was blocked must not be shown when it is not any more, nor the other way round.
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Vary", "Accept, Accept-Language"),
)


@dataclass(slots=True)
class Desk:
    """What all connections share: the texts, the operator, the page's file of the moment."""

    catalogue: Mapping[str, Texts]
    operator: Operator
    page: PageFile | None = None
    """None: there is no policy yet."""


class Conversation:
    """One connection, from its first octet to its last."""

    def __init__(self, desk: Desk, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """`may_go_on`: asked at each request but the first whether it is answered, too."""
        self.statuses: list[int] = []
        """Of the answers given and not counted yet; whoever counts empties it."""
        self.is_over = False
        """Nothing more is read: send what is left and close."""
        self.leaves_octets_unread = False
        """More may have come than was read."""
        self._desk = desk
        self._may_go_on = may_go_on
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_OCTETS_MAX)
        self._requests = 0
        self._is_head = False

    @property
    def is_resting(self) -> bool:
        """Whether it has answers, and no part of a next request has come."""
        return self._requests > 0 and not self._http.trailing_data[0]

    def receive(self, octets: bytes) -> bytes:
        """What to send for what came; empty octets: the client has no more to say."""
        if self.is_over:
            return b""
        answers = bytearray()
        try:
            self._http.receive_data(octets)
            while not self.is_over:
                # Of the request that comes now, not of the one before: what is no request is no HEAD.
                self._is_head = False
                event = self._http.next_event()
                if not isinstance(event, h11.Request | h11.ConnectionClosed):
                    break
                if isinstance(event, h11.ConnectionClosed):
                    self.is_over = True
                else:
                    answers += self._answer(event)
        except h11.RemoteProtocolError as error:
            answers += self._refuse(error.error_status_hint)
        return bytes(answers)

    def _answer(self, request: h11.Request) -> bytes:
        self._requests += 1
        if self._requests > 1 and not self._may_go_on():
            # RFC 9112 §9.6: it may be closed at any time; whoever meant it comes again.
            self.is_over = True
            return b""
        self._is_head = request.method == b"HEAD"
        if request.http_version not in VERSIONS:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        # What follows a request with a body is that body: it is left unread.
        follows = self._http.next_event()
        is_whole = isinstance(follows, h11.EndOfMessage)
        is_last = not is_whole or self._requests >= REQUESTS_MAX
        headers = dict(request.headers)  # h11 has seen to it that there is one `Host` at most.
        try:
            host = host_of(request.target, headers.get(b"host"))
        except BadHost:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        notice = notice_of(host, self._desk.page, self._desk.operator)
        accepted = headers.get(b"accept-language", b"").decode("latin-1")
        language = language_of(accepted, tuple(self._desk.catalogue))
        form = form_of(headers.get(b"accept", b"").decode("latin-1"))
        body = self._body(notice, language, form)
        answer = self._send(notice.status, _headers_of(notice, language, form), body, is_last=is_last)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.is_over = True
            self.leaves_octets_unread = not is_whole or bool(self._http.trailing_data[0])
        return answer

    def _body(self, notice: Notice, language: str, form: Form) -> bytes:
        texts = self._desk.catalogue[language]
        if form is Form.HTML:
            return html_of(notice, texts, language).encode("utf-8", "replace")
        if form is Form.JSON:
            return json_of(notice, texts, language).encode()
        return text_of(notice, texts).encode("utf-8", "replace")

    def _refuse(self, hint: int) -> bytes:
        """An answer to what is no request; nothing more is read."""
        status = HTTPStatus(hint) if hint in STATUSES else HTTPStatus.BAD_REQUEST
        self.is_over = self.leaves_octets_unread = True
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        headers = [("Content-Type", Form.TEXT.value)]
        return self._send(status, headers, f"{status.value} {status.phrase}\n".encode(), is_last=True)

    def _send(self, status: HTTPStatus, headers: Headers, body: bytes, *, is_last: bool) -> bytes:
        self.statuses.append(int(status))
        headers = [*headers, *_FIXED, ("Content-Length", str(len(body)))]
        if self._is_head:
            body = b""
        if is_last:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        head = self._http.send(response) or b""
        return (
            head
            + (self._http.send(h11.Data(data=body)) or b"")
            + (self._http.send(h11.EndOfMessage()) or b"")
        )


def _headers_of(notice: Notice, language: str, form: Form) -> Headers:
    headers = [("Content-Type", form.value), ("Content-Language", language)]
    target = link_target(notice)
    if notice.subject is not None and target:
        headers.append(("Link", f'<{target}>; rel="blocked-by"'))
    if notice.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    return headers
