"""Ids of new exchanges: readable, in the form that metric labels have, and nobody else's.

Knows: the form of an id, which ids are there.  Does not know: why an entry is new.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

ID_CHARS_MAX = 63

_SHARP = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


class Ids:
    """Gives out ids."""

    def __init__(self, order_id: str, taken: Iterable[str]) -> None:
        self._order_id = order_id
        self._taken = set(taken)

    def new(self, name: str, host: str, *, is_taken: bool = False) -> str:
        """An id for a platform of this name; where it has no Latin letters, its host's.

        `is_taken`: a platform that we know has the name, so the order's id is added.
        """
        label = host.partition(".")[0]
        base = slug(name) or (label if label.startswith("xn--") else slug(label)) or self._order_id
        if is_taken or base in self._taken:
            base = f"{base[: ID_CHARS_MAX - len(self._order_id) - 1]}-{self._order_id}".strip("-_")
        base = base[:ID_CHARS_MAX]
        found, number = base, 2
        while found in self._taken:
            found = f"{base[: ID_CHARS_MAX - 4]}-{number}"
            number += 1
        self._taken.add(found)
        return found


def slug(text: str) -> str:
    """Latin letters and digits in lower case, hyphens between the words; empty where half of it is other."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_SHARP))
    letters = [sign for sign in plain if sign.isalnum()]
    kept = [sign for sign in letters if sign.isascii()]
    if not kept or len(kept) * 2 < len(letters):
        return ""
    plain = "".join(sign for sign in plain if sign.isascii() or not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:ID_CHARS_MAX].strip("-")
