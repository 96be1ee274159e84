"""What a blocked person is told of a rule, as members of a structured DNS error.

Knows: which contacts may be told, JSON that any reader takes (RFC 7493).  Does not know: who asks, the member
for the organisation (`config`).
Theory: `j` holds the operator's own words alone (the name, the orders' references and titles), so that the
one language tag of the settings can be true of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

REASON_OCTETS_MAX = 200
"""Longest value of `j`, escapes counted: an explanation, not a page."""
CONTACTS_MAX = 4
"""Contacts that are told; who is blocked needs one."""
ORGANIZATION_OCTETS_MAX = 100
"""Longest value of `o`, escapes counted."""
MARK = "..."

_CONTACT = re.compile(r"(?:mailto|tel):[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.IGNORECASE)
"""The two schemes that the draft registers, and the octets that a URI may have (RFC 3986 §2)."""
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
"""Surrogates and noncharacters, which I-JSON forbids (RFC 7493 §2.1); controls, and marks that turn the order
of what stands around them: no reader shows them as they are meant."""


def contacts_in(contact: str | None) -> list[str]:
    """The `mailto:` and `tel:` URIs among the words of a contact; what else it says is for people."""
    words = (word.strip("<>()\"'.,;") for word in (contact or "").split())
    return [word for word in words if _CONTACT.fullmatch(word)][:CONTACTS_MAX]


def contacts_json(contact: str | None) -> str:
    """The member `c`; empty: there is no contact that it may hold."""
    found = contacts_in(contact)
    return '"c":' + json.dumps(found, separators=(",", ":")) if found else ""


def reason_json(name: str, cited: Sequence[tuple[str, str]]) -> str:
    """The member `j` for what is blocked: its name, then the orders as (reference, title).

    Titles are left out where they do not all fit, and then what is over `REASON_OCTETS_MAX` is cut.
    """
    whole = "; ".join(", ".join(filter(None, order)) for order in cited)
    short = "; ".join(reference or title for reference, title in cited)
    texts = [f"{name}: {orders}" if orders else name for orders in (whole, short)]
    text = texts[0] if _octets(texts[0]) <= REASON_OCTETS_MAX else texts[1]
    return member("j", text, REASON_OCTETS_MAX)


def member(key: str, text: str, octets_max: int) -> str:
    """One member whose value is a text, cut so that it has at most `octets_max` octets with its escapes."""
    value = _escaped(text)
    if len(value.encode()) > octets_max:
        room = octets_max - len(MARK)
        pieces = []
        for character in text:
            piece = _escaped(character)
            room -= len(piece.encode())
            if room < 0:
                break
            pieces.append(piece)
        value = "".join(pieces) + MARK
    return f'"{key}":"{value}"'


def _escaped(text: str) -> str:
    return json.dumps(_UNFIT.sub("\ufffd", text), ensure_ascii=False)[1:-1]


def _octets(text: str) -> int:
    return len(_escaped(text).encode())
