"""The page's texts, one file for each language in the folder `texts`.

Knows: which texts there are, and which of them have a place for something.  Does not know: readers, HTML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from resolver.languages import LANGUAGES

FOLDER: Final = Path(__file__).parent / "texts"
HOST: Final = "{host}"
COUNT: Final = "{count}"


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts in one language; those with `HOST` or `COUNT` have it once."""

    title: str
    """Of the page of a blocked name."""
    lead: str
    """With `HOST`: that it is blocked."""
    no_malfunction: str
    by_order: str
    """Why: an authority's order."""
    by_house: str
    """Why: the operator's own decision."""
    by_list: str
    """Why: a list, without an order."""
    withheld: str
    """Why: not to be told."""
    order: str
    authority: str
    subject: str
    reference: str
    date: str
    in_force_since: str
    read: str
    """Where the order can be read."""
    platform: str
    list: str
    address: str
    since: str
    more_orders: str
    """With `COUNT`."""
    contact: str
    operator: str
    ask: str
    """What to do about a mistake."""
    title_free: str
    """Of the page of anything else."""
    free_host: str
    """With `HOST`: that no rule names it."""
    free: str
    """That the address itself was opened."""
    title_later: str
    later: str
    """While there is no policy yet."""
    privacy: str


KEYS: Final = tuple(field.name for field in fields(Texts))
WITH_HOST: Final = frozenset({"lead", "free_host"})
WITH_COUNT: Final = frozenset({"more_orders"})


def texts_from(text: str) -> Texts:
    """A file's content.  Raises ValueError: a text is missing, unknown or empty, or its place is wrong."""
    found = tomllib.loads(text)
    if set(found) != set(KEYS):
        raise ValueError(f"missing or unknown: {', '.join(sorted(set(found) ^ set(KEYS)))}")
    for key, value in found.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{key}: no text")
        for place, keys in ((HOST, WITH_HOST), (COUNT, WITH_COUNT)):
            if value.count(place) != (key in keys):
                raise ValueError(f"{key}: {place} stands there {value.count(place)} times")
    return Texts(**found)


def read_catalogue(codes: Iterable[str] = LANGUAGES) -> dict[str, Texts]:
    """The texts of these languages, in this order.  Raises ValueError, OSError."""
    return {code: texts_from((FOLDER / f"{code}.toml").read_text("utf-8")) for code in codes}
