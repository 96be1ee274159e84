"""Whom a reported name imitates, decided without the scorer that is measured.

Knows: names of exchanges, difflib.  Does not know: `resolver.suggestions`.
Theory: all reported names are frauds around crypto money, so one that spells an exchange's name means it, and
so does one of which a part is nearly that (the ratio of difflib, by which `order import` finds slips).
Left out are names of exchanges that are words for the money itself, and parts of names that innocent names
have, too: words are no slips.  A suggestion that the judge does not share counts as wrong, and what it finds
beyond that as missed.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from resolver.blocklist.rules import Blocklist
from resolver.orders.platforms import Platforms, name_key
from resolver.wire.idn import u_label
from resolver.wire.names import name_to_text

CHARS_MIN = 5
"""Shorter spellings count only as a whole part, or before a word for what the exchange is."""
SHORT_BEFORE = ("", "market", "markets", "exchange", "exchanges", "wallet", "login", "trade", "app")
RATIO_MIN = 0.83
RATIO_MIN_FOREIGN = 0.75
"""Of labels with letters that are not Latin: they are left out, and only the rest can be compared."""
WORD_IN_MIN = 3
"""A part that so many innocent names have is a word."""
MONEY = re.compile(
    r"bitcoins?|blockchain|coins?|crypto|currency|btc|token|exchange|xchange|(btc|coin|bitcoin)(ex)?change|"
    r"getbtc|bitcoincom|cryptocom|change|bitbank|tokenmarket|btcmarkets|coinexchange|99bitcoins|network"
)
"""Spellings that reported names write for the money itself."""


class Judge:
    """The listed exchanges' names, words left out."""

    def __init__(self, policy: Blocklist, innocent: Iterable[str]) -> None:
        parts = Counter(part for name in innocent for part in set(_parts(name)[0]))
        self._words = {part for part, count in parts.items() if count >= WORD_IN_MIN}
        self._spellings: dict[str, set[str]] = defaultdict(set)
        self._short: dict[str, set[str]] = defaultdict(set)
        for platform in Platforms(policy).by_id.values():
            hosts = (name_to_text(rule.owner).split(".")[0] for rule in platform.names)
            for text in (platform.id, *platform.all_names(), *hosts):
                key = name_key(text)
                if key.isascii() and not MONEY.fullmatch(key):
                    if len(key) >= CHARS_MIN:
                        self._spellings[key].add(platform.id)
                    elif len(key) == CHARS_MIN - 1 and key not in self._words:
                        self._short[key].add(platform.id)
        self._by_pair: dict[str, set[str]] = defaultdict(set)
        for key in self._spellings:
            for at in range(len(key) - 1):
                self._by_pair[key[at : at + 2]].add(key)

    def imitated(self, name: str) -> set[str]:
        """Ids of the exchanges that a reported name imitates; none: nobody listed, as far as is seen."""
        parts, is_foreign = _parts(name)
        found: set[str] = set()
        whole = "".join(parts)
        for key, exchanges in self._spellings.items():
            if key in whole and (len(key) > CHARS_MIN or any(part.startswith(key) for part in parts)):
                found |= exchanges
        for part in parts:
            short = self._short.get(part[: CHARS_MIN - 1], set())
            if part[CHARS_MIN - 1 :] in SHORT_BEFORE:
                found |= short
            if len(part) >= CHARS_MIN and (is_foreign or part not in self._words):
                least = RATIO_MIN_FOREIGN if is_foreign else RATIO_MIN
                for key in self._near(part):
                    if difflib.SequenceMatcher(None, key, part).ratio() >= least:
                        found |= self._spellings[key]
        return found

    def _near(self, part: str) -> list[str]:
        """Spellings of about the same length with some of their pairs of letters."""
        shared: Counter[str] = Counter()
        for at in range(len(part) - 1):
            shared.update(self._by_pair.get(part[at : at + 2], ()))
        return [
            key for key, count in shared.items() if abs(len(key) - len(part)) <= 3 and count * 4 >= len(key)
        ]


def _parts(name: str) -> tuple[list[str], bool]:
    """What stands between dots and hyphens, in Latin letters as far as there are, each label also as a whole.

    And whether letters were left out.  The ending is none.
    """
    parts: list[str] = []
    is_foreign = False
    for label in name.lower().split(".")[:-1]:
        shown = unicodedata.normalize("NFKD", u_label(label) or label)
        bare = "".join(sign for sign in shown if not unicodedata.combining(sign))
        is_foreign = is_foreign or not bare.isascii()
        pieces = [re.sub(r"[^a-z0-9]", "", piece) for piece in bare.split("-")]
        parts += pieces
        if len(pieces) > 1:
            parts.append("".join(pieces))
    return [part for part in parts if part], is_foreign
