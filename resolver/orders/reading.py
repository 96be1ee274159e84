"""An order's file -> its rows, whatever it is: text, CSV, HTML; a PDF's text once somebody has taken it out.

Knows: sizes, encodings, what a file is by its octets and its name.  Does not know: how rows are told apart.
Theory: an order decides what a network blocks, so nothing of it is guessed: an encoding that is not UTF-8 and
is not declared is asked for, and a file that is none of the kinds is refused in words.
"""

from __future__ import annotations

import codecs
import re

from resolver.orders.csv_rows import csv_rows, sniff
from resolver.orders.headers import roles_of
from resolver.orders.html_rows import html_rows
from resolver.orders.rows import Document, Unreadable
from resolver.orders.text_rows import text_rows

ORDER_OCTETS_MAX = 8 * 1024 * 1024
"""Largest order that is read: a thousand pages of text.  Registers of more come as `lists`."""

KINDS = ("auto", "text", "csv", "html", "pdf")

HEADER_WORDS_MAX = 4
"""The head of a column has no more words; a sentence with a comma in it has."""

_FOREIGN = (
    (b"PK\x03\x04", "is a ZIP archive or an office document"),
    (b"\xd0\xcf\x11\xe0", "is an old office document"),
    (b"{\\rtf", "is rich text (RTF)"),
    (b"\x1f\x8b", "is packed with gzip"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
)
"""Begins of files that are often sent instead, and what they are."""
_AS_TEXT = "save it as text, CSV, HTML or PDF"
_HTML_START = re.compile(
    r"\s*<(?:!doctype|html|head|body|table|div|p|ul|ol|h[1-6]|\?xml|!--)\b", re.IGNORECASE
)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
_HEAD_OCTETS = 4096
"""Where a page declares its encoding."""


def is_pdf(octets: bytes) -> bool:
    """Whether it is a PDF: its mark stands within the first octets."""
    return b"%PDF-" in octets[:1024]


def read_order(octets: bytes, *, name: str = "", kind: str = "auto", encoding: str | None = None) -> Document:
    """The rows of an order's file.  Raises Unreadable.

    `name`: the file's, for its ending.  `kind`: one of `KINDS`; of a `pdf` these are the octets of its text.
    """
    if len(octets) > ORDER_OCTETS_MAX:
        message = f"is too large: {len(octets):,} bytes; allowed: at most {ORDER_OCTETS_MAX:,}"
        raise Unreadable(0, f"{message}; a register of this size is configured under 'lists'")
    for start, what in _FOREIGN:
        if octets.startswith(start):
            raise Unreadable(0, f"{what}; {_AS_TEXT}")
    text = _decoded(octets, encoding)
    if kind == "auto":
        kind = _kind_of(text, name)
    rows = {"csv": csv_rows, "html": html_rows}.get(kind, text_rows)(text)
    if not rows:
        raise Unreadable(
            0, "has no text in it" + ("; a scanned page has none: type it" if kind == "pdf" else "")
        )
    return Document(kind, rows)


def _decoded(octets: bytes, encoding: str | None) -> str:
    if encoding is not None:
        return _as(octets, _known(encoding), f"--encoding {encoding}")
    for mark, found in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if octets.startswith(mark):
            return _as(octets[len(mark) :], found, "its byte order mark")
    if declared := _CHARSET.search(octets[:_HEAD_OCTETS]):
        name = declared[1].decode("ascii")
        return _as(octets, _known(name, "the page says"), f"charset={name}, which the page declares")
    return _as(octets, "utf-8", "")


def _known(name: str, who: str = "--encoding") -> str:
    try:
        info = codecs.lookup(name)
    except LookupError:
        raise Unreadable(0, f"{who} {name!r}: there is no such encoding") from None
    # Codecs such as zlib or rot13 are no encodings of text.
    if not getattr(info, "_is_text_encoding", True) or info.name.replace("_", "-") in (
        "idna",
        "punycode",
        "unicode-escape",
        "raw-unicode-escape",
        "undefined",
    ):
        raise Unreadable(0, f"{who} {name!r}: there is no such encoding")
    return info.name


def _as(octets: bytes, encoding: str, who: str) -> str:
    try:
        text = octets.decode(encoding)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        shown = f"byte 0x{octets[error.start]:02x} is not {encoding.upper()}"
        if who:
            raise Unreadable(line, f"{shown}, although {who} says so") from None
        raise Unreadable(line, f"{shown}; say how it is written, e.g. --encoding windows-1252") from None
    nul = text.find("\0")
    if nul >= 0:
        raise Unreadable(text.count("\n", 0, nul) + 1, "contains a NUL (0x00); this is not a text")
    return text


def _kind_of(text: str, name: str) -> str:
    ending = name.rpartition(".")[2].lower()
    if ending in ("csv", "tsv"):
        return "csv"
    if ending in ("html", "htm", "xhtml") or _HTML_START.match(text):
        return "html"
    first = next((line for line in text.split("\n", 50)[:50] if line.strip()), "")
    delimiter = sniff(first)
    header = [cell.strip(' "') for cell in first.split(delimiter)] if delimiter else []
    is_header = all(0 < len(cell.split()) <= HEADER_WORDS_MAX and cell[-1] != "." for cell in header)
    if len(header) > 1 and is_header and roles_of(header) and text.rstrip().count("\n"):
        return "csv"
    return "text"
