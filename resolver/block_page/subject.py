"""What the page can say of a blocked name: the platform or list, its orders, since when.

Knows: the words, and how they stand in the page's file.  Does not know: names, the policy, HTML.
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from typing import Any, Final

TEXT_CHARS_MAX: Final = 300
"""Of one text of an order; titles of 60 kB are cut, with a sign."""
URL_CHARS_MAX: Final = 1_000
"""A longer address of an order's text is left out."""
ORDERS_SHOWN_MAX: Final = 8
"""Of one platform or list; further ones are counted."""

_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Order:
    """An order that may be named."""

    authority: str
    title: str
    reference: str
    date: str
    """As written, `2026-01-31`; empty: none."""
    url: str
    """Where it can be read, http or https; empty: none."""
    is_external: bool
    """Imposed by an authority; else the house's own rule."""
    since: str
    """The first day on which it is in force; empty: not known."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What one or many names are blocked for."""

    kind: str
    """`exchange`, `list` or `confidential`; of the last nothing more is said."""
    name: str = ""
    orders: tuple[int, ...] = ()
    """Places in `Words.orders`; at most `ORDERS_SHOWN_MAX`."""
    more_orders: int = 0
    """How many others it cites."""
    since: str = ""
    """The first day on which it is blocked; empty: not known."""


@dataclass(frozen=True, slots=True)
class Words:
    """All that the page's file says in words."""

    subjects: tuple[Subject, ...] = ()
    orders: tuple[Order, ...] = ()
    contact: str = ""
    """`defaults.contact` of the blocklist."""

    def orders_of(self, subject: Subject) -> list[Order]:
        """Its orders, those of authorities first."""
        return sorted(
            (self.orders[place] for place in subject.orders), key=lambda order: not order.is_external
        )


def words_to_json(words: Words) -> dict[str, Any]:
    """For the page's file."""
    return asdict(words)


def words_from_json(fields: dict[str, Any]) -> Words:
    """What `words_to_json` gave.  Raises KeyError, TypeError, ValueError."""
    orders = tuple(Order(**order) for order in fields["orders"])
    subjects = tuple(
        Subject(**{**subject, "orders": tuple(subject["orders"])}) for subject in fields["subjects"]
    )
    if any(not 0 <= place < len(orders) for subject in subjects for place in subject.orders):
        raise ValueError("a subject cites an order that is not there")
    return Words(subjects, orders, fields["contact"])


def tidy(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> str:
    """One line of at most so many characters, without controls of any kind."""
    # Cut twice: nobody needs 60 kB tidied to see 300 characters.
    kept = (text or "")[: 4 * chars_max]
    words = "".join(
        " " if sign.isspace() else sign for sign in kept if sign.isspace() or _is_shown(sign)
    ).split()
    line = " ".join(words)
    is_whole = len(line) <= chars_max and len(text or "") <= len(kept)
    return line if is_whole else line[: chars_max - 1].rstrip() + "…"


def _is_shown(sign: str) -> bool:
    # Joiners (Cf) are part of some scripts; what turns the direction of a line, or hides, is not kept.
    if sign in _BIDI_CONTROLS:
        return False
    category = unicodedata.category(sign)
    return category[0] != "C" or sign in "\u200c\u200d"


def web_address(url: str | None) -> str:
    """An address that may become a link; empty for anything else."""
    is_plain = url is not None and len(url) <= URL_CHARS_MAX and all("!" <= sign <= "~" for sign in url)
    return url if url is not None and is_plain and url.lower().startswith(("https://", "http://")) else ""
