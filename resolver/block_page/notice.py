"""What is said of one name: blocked or not, with which status, by which orders, and whom to ask.

Knows: the page's file, the operator.  Does not know: requests, languages, HTML.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from resolver.block_page.host import Host
from resolver.block_page.page_file import PageFile
from resolver.block_page.subject import Order, Subject


class Kind(Enum):
    """What a page is about."""

    BLOCKED = "blocked"
    FREE = "free"
    """No rule names it."""
    LATER = "later"
    """There is no policy yet."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs this network, as far as anybody has said."""

    name: str = ""
    contact: str = ""
    """Of the settings; empty: that of the blocklist."""
    url: str = ""
    """For `Link: rel="blocked-by"`; empty: the contact."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said."""

    kind: Kind
    status: HTTPStatus
    host: Host
    operator: Operator
    contact: str = ""
    subject: Subject | None = None
    orders: tuple[Order, ...] = ()

    @property
    def is_imposed(self) -> bool:
        """Whether an order of an authority is cited."""
        return any(order.is_external for order in self.orders)

    @property
    def is_withheld(self) -> bool:
        """Whether nobody may be told why."""
        return self.subject is not None and self.subject.kind == "confidential"


def notice_of(host: Host, page: PageFile | None, operator: Operator) -> Notice:
    """What to say to who wants to see `host`."""
    if page is None:
        return Notice(Kind.LATER, HTTPStatus.SERVICE_UNAVAILABLE, host, operator, operator.contact)
    contact = operator.contact or page.words.contact
    subject = None if host.name is None else page.subject_of(host.name)
    if subject is None:
        return Notice(Kind.FREE, HTTPStatus.NOT_FOUND, host, operator, contact)
    orders = tuple(page.words.orders_of(subject))
    # RFC 7725 §3: for a legal demand, which is to be named; the house's own rules are a plain refusal, and
    # what is confidential is no demand that could be named.
    is_imposed = any(order.is_external for order in orders)
    status = HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS if is_imposed else HTTPStatus.FORBIDDEN
    return Notice(Kind.BLOCKED, status, host, operator, contact, subject, orders)


def link_target(notice: Notice) -> str:
    """Who implements the blocking, as a URI (RFC 7725 §4); empty: nothing that is one is known."""
    for text in (notice.operator.url, notice.contact):
        scheme = text.partition(":")[0].lower()
        is_plain = all("!" <= sign <= "~" and sign not in '<>"' for sign in text)
        if is_plain and scheme in ("https", "http", "mailto", "tel") and len(text) > len(scheme) + 1:
            return text
    return ""
