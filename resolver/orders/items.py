"""A cell's text -> its items, and the addresses in them.

Knows: separators, words beside an address, names that were broken or mistyped.
Does not know: rows, platforms.
Theory: in a list of addresses an item is one address.  Two words where the second is one
(`delta bits.example`) may be a name with a blank in it, and its end alone is somebody else's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from resolver.orders.reach import Reason
from resolver.orders.rows import Cell
from resolver.orders.words import Address, is_comma_typo, plain_text, read_word

_SEPARATOR = re.compile(
    # Only where a run of them begins, so that a long one is looked at once.
    r"(?<![,;|\n•·])[,;|\n•·]++(?=\s|$)|[;|\n]+|"
    r"\s(?:and|und|oder|or|et|ou|e|y|o|и|или|oraz|i|ve|dan|&|/|\+)\s",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[(\[].*|.*:|-|–|—|www|url|site|website|web|mirror|domain|host|app|also|see|cf\.?", re.IGNORECASE
)
"""Words that may stand in front of an address without being part of it."""
NAME_WORDS_MAX = 8
"""A platform's name has no more words."""


@dataclass(frozen=True, slots=True)
class Item:
    """What stands between two separators."""

    text: str
    line: int
    before: str
    """The words in front of its first address, or all of them where it has none."""
    addresses: tuple[Address, ...]
    after: str = ""
    """The words behind its first address that are none."""

    @property
    def is_address(self) -> bool:
        """Whether an address is all it is (with a word in front of it, or a remark in brackets behind it)."""
        is_remark = not self.after or self.after[0] in "([-–—"
        return bool(self.addresses) and len(self.before.split()) <= 1 and is_remark


def items_of(cell: Cell, *, is_listed: bool = True) -> list[Item]:
    """The items of a cell, in order."""
    items = []
    line = cell.line
    for text, ahead in _split(plain_text(cell.text)):
        stripped = text.strip()
        if stripped:
            items.append(
                _item(stripped, line + text[: len(text) - len(text.lstrip())].count("\n"), is_listed)
            )
        line += ahead
    if cell.is_cut and items and items[0].addresses and not items[0].before:
        items[0] = _cut(items[0])
    return items


def _split(text: str) -> list[tuple[str, int]]:
    """The texts between separators, each with the line ends up to the next one."""
    pieces = []
    start = at = 0
    for found in [*_SEPARATOR.finditer(text), None]:
        end, after = (found.start(), found.end()) if found is not None else (len(text), len(text))
        piece = text[start:end]
        # A comma with no blank behind it parts two names, or stands for a dot.
        at = start
        for word in _inner_pieces(piece):
            stop = at + len(word)
            pieces.append((word, text.count("\n", at, stop)))
            at = stop + 1
        if pieces:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + text.count("\n", end, after))
        start = after
    return pieces


def _inner_pieces(piece: str) -> list[str]:
    if "," not in piece:
        return [piece]
    parts = piece.split(",")
    whole = [parts[0]]
    for part in parts[1:]:
        # `a,example` stays one word where it is a typo; elsewhere the comma parts.
        left = whole[-1].split()[-1:] or [""]
        right = part.split()[:1] or [""]
        word = f"{left[0]},{right[0]}"
        if not part[:1].isspace() and (is_comma_typo(word) or _is_in_path(left[0], right[0])):
            whole[-1] += "," + part
        else:
            whole.append(part)
    return whole


def _is_in_path(left: str, right: str) -> bool:
    """Whether a comma belongs to the path of a URL."""
    return "/" in left.rpartition("://")[2] and read_word(right, 0, is_listed=False) is None


def _item(text: str, line: int, is_listed: bool) -> Item:
    before: list[str] = []
    after: list[str] = []
    addresses: list[Address] = []
    for word in text.split():
        address = read_word(word, line, is_listed=is_listed)
        if address is not None:
            addresses.append(address)
        elif not addresses:
            before.append(word)
        else:
            after.append(word)
    return Item(text, line, " ".join(before), tuple(addresses), " ".join(after))


def with_blank(item: Item) -> Item:
    """The item of a list of addresses, with what is doubtful about a word in front of its address."""
    words = item.before.split()
    first = item.addresses[0] if item.addresses else None
    if first is None or not words or _LABEL.fullmatch(words[-1]) or not first.owner:
        return item
    written = f"{words[-1]} {first.written}"
    near = tuple(f"{words[-1].lower()}{glue}{first.host}" for glue in ("", "-") if words[-1].isalnum())
    doubted = replace(
        first,
        written=written,
        owner=b"",
        reason=Reason.DOUBTFUL,
        why="has a blank in it: its end alone is another name",
        suggestions=near,
    )
    return replace(item, before=" ".join(words[:-1]), addresses=(doubted, *item.addresses[1:]))


def _cut(item: Item) -> Item:
    first = item.addresses[0]
    doubted = first.doubted("may be the end of a name that is broken over two lines")
    return replace(item, addresses=(doubted, *item.addresses[1:]))
