"""A notice in one language, as HTML, as text for terminals, and as JSON for programs.

Knows: where each text stands, how hostile words stay words.  Does not know: requests.
Theory: what a stranger wrote (the name asked for, an order's texts) may run from right to left or hold quotes
and angle brackets.  In HTML it is escaped and stands in `<bdi>`, in text between isolates (UAX 9 §2.4).
A name beyond ASCII is shown by its A-labels first, which no look-alike can imitate, then by its U-labels.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from html import escape
from typing import Any, Final, NamedTuple

from resolver.block_page.catalogue import COUNT, HOST, Texts
from resolver.block_page.look import STYLE
from resolver.block_page.notice import Kind, Notice
from resolver.block_page.subject import Order, web_address
from resolver.languages import LANGUAGES

TEXT_WIDTH: Final = 76
ISOLATE: Final = "\u2068"
"""First strong isolate: what follows has a direction of its own."""
LTR_ISOLATE: Final = "\u2066"
"""Left-to-right isolate."""
END_OF_ISOLATE: Final = "\u2069"

_LINKED: Final = ("mailto:", "tel:", "https://", "http://")


class Row(NamedTuple):
    """One line of a list: what it is, and what it says."""

    label: str
    text: str
    link: str = ""
    """Where it leads; empty: nowhere."""
    is_ltr: bool = False
    """A name or an address: its labels run from left to right whatever letters they have."""
    is_date: bool = False


def title_of(notice: Notice, texts: Texts) -> str:
    """The page's heading."""
    titles = {Kind.BLOCKED: texts.title, Kind.FREE: texts.title_free, Kind.LATER: texts.title_later}
    return titles[notice.kind]


def why(notice: Notice, texts: Texts) -> str:
    """Why a name is blocked, in one sentence."""
    assert notice.subject is not None
    if notice.is_withheld:
        return texts.withheld
    if notice.is_imposed:
        return texts.by_order
    if notice.orders or notice.subject.kind != "list":
        return texts.by_house
    return texts.by_list


def subject_rows(notice: Notice, texts: Texts) -> list[Row]:
    """What is blocked, and since when."""
    subject, host = notice.subject, notice.host
    assert subject is not None
    rows = [Row(texts.address, host.ascii_text, is_ltr=True)]
    if host.unicode_text:
        rows.append(Row("", host.unicode_text, is_ltr=True))
    if subject.name and not notice.is_withheld:
        rows.append(Row(texts.list if subject.kind == "list" else texts.platform, subject.name))
    if subject.since:
        rows.append(Row(texts.since, subject.since, is_date=True))
    return rows


def order_rows(order: Order, texts: Texts) -> list[Row]:
    """One order."""
    rows = [
        Row(texts.authority, order.authority),
        Row(texts.subject, order.title),
        Row(texts.reference, order.reference),
        Row(texts.date, order.date, is_date=True),
        Row(texts.in_force_since, order.since, is_date=True),
        Row(texts.read, order.url, order.url),
    ]
    return [row for row in rows if row.text]


def operator_rows(notice: Notice, texts: Texts) -> list[Row]:
    """Whom to ask."""
    contact = notice.contact
    is_linked = contact.lower().startswith(_LINKED)
    shown = contact.partition(":")[2] if contact.lower().startswith(("mailto:", "tel:")) else contact
    url = web_address(notice.operator.url)
    rows = [
        Row(texts.operator, notice.operator.name or url, url),
        Row(texts.contact, shown, contact if is_linked else ""),
    ]
    return [row for row in rows if row.text]


def sentences(notice: Notice, texts: Texts) -> list[str]:
    """What is said before any list; the first may hold `HOST`."""
    if notice.kind is Kind.LATER:
        return [texts.later]
    if notice.kind is Kind.FREE:
        return [texts.free_host if notice.host.name is not None else texts.free]
    return [texts.lead, texts.no_malfunction, why(notice, texts)]


def is_a_matter(notice: Notice) -> bool:
    """Whether somebody wanted to see something, and may want to ask about it."""
    return notice.kind is not Kind.LATER and notice.host.name is not None


# HTML.


def html_of(notice: Notice, texts: Texts, language: str) -> str:
    """A whole page."""
    direction = "rtl" if LANGUAGES[language].is_right_to_left else "ltr"
    title = escape(title_of(notice, texts))
    kind = "blocked" if notice.kind is Kind.BLOCKED else "free"
    return (
        f'<!doctype html>\n<html lang="{language}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n'
        "<body>\n"
        f'<main class="{kind}">\n<h1>{title}</h1>\n{"".join(_html_parts(notice, texts))}'
        f"<footer>{escape(texts.privacy)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _html_parts(notice: Notice, texts: Texts) -> Iterator[str]:
    host = f'<bdi dir="ltr"><strong>{escape(notice.host.ascii_text)}</strong></bdi>'
    for text, style in zip(sentences(notice, texts), ("lead", "calm", ""), strict=False):
        yield f'<p class="{style}">' if style else "<p>"
        yield escape(text).replace(HOST, host) + "</p>\n"
    if notice.subject is not None:
        yield _html_list(subject_rows(notice, texts))
        for order in notice.orders:
            yield f"<section>\n<h2>{escape(texts.order)}</h2>\n"
            yield _html_list(order_rows(order, texts)) + "</section>\n"
        if notice.subject.more_orders:
            yield f"<p>{escape(texts.more_orders.replace(COUNT, str(notice.subject.more_orders)))}</p>\n"
    if is_a_matter(notice):
        yield f"<p>{escape(texts.ask)}</p>\n"
    yield _html_list(operator_rows(notice, texts))


def _html_list(rows: list[Row]) -> str:
    if not rows:
        return ""
    lines = []
    for row in rows:
        direction = ' dir="ltr"' if row.is_ltr or row.is_date else ""
        shown = f"<bdi{direction}>{escape(row.text)}</bdi>"
        if row.is_date:
            shown = f'<time datetime="{escape(row.text)}">{shown}</time>'
        if row.link:
            shown = f'<a href="{escape(row.link)}" rel="noreferrer">{shown}</a>'
        # A row without a label belongs to the one before it.
        lines.append((f"<dt>{escape(row.label)}</dt>" if row.label else "") + f"<dd>{shown}</dd>\n")
    return "<dl>\n" + "".join(lines) + "</dl>\n"


# Text.


def text_of(notice: Notice, texts: Texts) -> str:
    """The same for a terminal, in lines of at most `TEXT_WIDTH` characters where words allow it."""
    shown = notice.host.ascii_text
    parts = [title_of(notice, texts)]
    parts += [_wrapped(text.replace(HOST, isolated(shown))) for text in sentences(notice, texts)]
    if notice.subject is not None:
        parts.append(_text_list(subject_rows(notice, texts)))
        for order in notice.orders:
            parts.append(f"{texts.order}\n{_text_list(order_rows(order, texts))}")
        if notice.subject.more_orders:
            parts.append(texts.more_orders.replace(COUNT, str(notice.subject.more_orders)))
    if is_a_matter(notice):
        parts.append(_wrapped(texts.ask))
    parts.append(_text_list(operator_rows(notice, texts)))
    return "\n\n".join(part for part in parts if part) + "\n"


def isolated(text: str, *, is_ltr: bool = False) -> str:
    """With a direction of its own, where it could have another than ASCII's."""
    return text if text.isascii() else f"{LTR_ISOLATE if is_ltr else ISOLATE}{text}{END_OF_ISOLATE}"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False))


def _text_list(rows: list[Row]) -> str:
    return "\n".join(
        f"  {row.label + ': ' if row.label else ''}{isolated(row.text, is_ltr=row.is_ltr)}" for row in rows
    )


# JSON.


def json_of(notice: Notice, texts: Texts, language: str) -> str:
    """The same for a program."""
    subject = notice.subject
    told: dict[str, Any] = {
        "status": int(notice.status),
        "blocked": notice.kind is Kind.BLOCKED,
        "host": notice.host.ascii_text or None,
        "host_unicode": notice.host.unicode_text or None,
        "language": language,
        "title": title_of(notice, texts),
        "operator": notice.operator.name or None,
        "contact": notice.contact or None,
    }
    if subject is not None:
        told |= {
            "reason": why(notice, texts),
            "kind": subject.kind,
            "name": subject.name or None,
            "since": subject.since or None,
            "orders": [_json_order(order) for order in notice.orders],
            "more_orders": subject.more_orders,
        }
    return json.dumps(told, ensure_ascii=True, indent=1) + "\n"


def _json_order(order: Order) -> dict[str, Any]:
    return {
        "authority": order.authority,
        "title": order.title,
        "reference": order.reference or None,
        "date": order.date or None,
        "in_force_since": order.since or None,
        "url": order.url or None,
        "imposed_by": "external" if order.is_external else "house",
    }
