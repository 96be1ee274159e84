"""Pages for tests: a file of a few names, and a desk that has it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

from resolver.block_page.catalogue import read_catalogue
from resolver.block_page.conversation import Desk
from resolver.block_page.notice import Operator
from resolver.block_page.page_file import Outcome, PageFile, hash_of, page_octets
from resolver.block_page.subject import Order, Subject, Words
from resolver.languages import LANGUAGES
from resolver.wire.names import name_from_text

SEED = 20260101
CATALOGUE = read_catalogue()
AUTHORITY = Order(
    "Financial Markets Authority",
    "Order on platforms",
    "FMA 2026/17",
    "2026-01-15",
    "https://fma.example/17",
    True,
    "2026-02-01",
)
HOUSE = Order("The operator", "House rules", "", "", "", False, "")
WORDS = Words(
    (
        Subject("exchange", "NewCoin", (1, 0), 2, "2026-02-03"),
        Subject("exchange", "Beta", (1,)),
        Subject("confidential"),
        Subject("list", "ads"),
    ),
    (AUTHORITY, HOUSE),
    "mailto:noc@example.net",
)
NAMES: dict[str, Outcome] = {
    "newcoin.example": (1, 1),
    "ok.newcoin.example": (0, 0),
    "beta.example": (2, 2),
    "hidden.example": (3, 3),
    "only.example": (4, 0),
    "below.example": (0, 4),
}


def file_of(names: Mapping[str, Outcome] = NAMES, words: Words = WORDS) -> PageFile:
    """These names, with these words."""
    outcomes = {hash_of(name_from_text(name), SEED): outcome for name, outcome in names.items()}
    return mapped(b"".join(page_octets(outcomes, words, SEED)))


def mapped(octets: bytes) -> PageFile:
    """A page's file of these octets.  Raises PageFileUnusable."""
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        return PageFile(file.fileno())


def desk_of(
    page: PageFile | None = None,
    operator: Operator | None = None,
    languages: tuple[str, ...] = tuple(LANGUAGES),
) -> Desk:
    """What a conversation needs; the usual page."""
    return Desk(
        {code: CATALOGUE[code] for code in languages},
        operator or Operator("Example Networks"),
        page or file_of(),
    )
