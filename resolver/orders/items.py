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
from resolver.orders.words import (
    Address,
    broken_end,
    continued,
    is_comma_typo,
    plain_text,
    read_word,
    unglued,
    without_blanks,
)

_SEPARATOR = re.compile(
    # Only where a run of them begins, so that a long one is looked at once.
    r"(?<![,;|\n•·])[,;|\n•·]++(?=\s|$)|[;|\n]+|"
    r"\s(?:and|und|oder|or|et|ou|e|y|o|и|или|oraz|i|ve|dan|&|/|\+)\s",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[(\[].*|.*:|-|–|—|www|url|site|website|web|mirror|domain|host|app|also|see|cf\.?|"
    r"sito|siti|internet|pagina|pagine|relativa|relative|página|web|sitio|siteweb|"
    r"webseite|internetseite|сайт|домен|sitesi|and|und|sowie|oder|or|et|ou|oraz|ve|dan|или",
    re.IGNORECASE,
)
"""Words that may stand in front of an address without being part of it."""
_REMARK = re.compile(r"\([^)]{1,20}\)")
_LETTER = re.compile(r"[A-Za-z\u00c0-\U0010ffff]")
_ATTACHED = re.compile(r"([^\s/?#(\[]*\w)(\((?=[\w-]+\.\w).*)")
"""`Acme(acme.example)`."""
_SPACED_NAME = re.compile(
    # Few labels: where there are many dots each would be tried with all that follow.
    r"(?<![\w.-])[\w-]+(?:[^\S\n]*\.[^\S\n]*[\w-]+){0,9}"
    r"[^\S\n]+\.[^\S\n]+[\w-]+(?:[^\S\n]*\.[^\S\n]*[\w-]+){0,9}"
)
"""A name with blanks on both sides of one of its dots at least."""
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
        # Dates, figures and short remarks in brackets are no words.
        is_remark = self.after[:1] in "([-–—" or not _LETTER.search(_REMARK.sub("", self.after))
        before = self.before.split()
        is_labelled = len(before) <= 1 or all(map(_LABEL.fullmatch, before))
        return bool(self.addresses) and is_labelled and is_remark


def items_of(cell: Cell, *, is_listed: bool = True) -> list[Item]:
    """The items of a cell, in order."""
    items = []
    line = cell.line
    cut_from = cell.cut_from
    for text, ahead in _split(without_blanks(plain_text(cell.text))):
        stripped = text.strip()
        if stripped:
            at = line + text[: len(text) - len(text.lstrip())].count("\n")
            items.append(_item(stripped, at, is_listed, cut_from))
            cut_from = broken_end(stripped)
        line += ahead
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


def _item(text: str, line: int, is_listed: bool, cut_from: str) -> Item:
    """`cut_from`: the word that may be the beginning of the first."""
    before: list[str] = []
    after: list[str] = []
    addresses: list[Address] = []
    for word in _words(text):
        address = _spaced(word, line) if " " in word else read_word(word, line, is_listed=is_listed)
        if address is not None:
            if cut_from and address.owner:
                address = continued(address, cut_from, has_hyphen=word[0] in "-–")
            addresses.append(address)
        elif not addresses:
            before.append(word)
        else:
            after.append(word)
        cut_from = broken_end(word)
    return Item(text, line, " ".join(before), tuple(addresses), " ".join(after))


def _words(text: str) -> list[str]:
    """The words of an item; a name with blanks round its dots is one."""
    words: list[str] = []
    at = 0
    for found in _SPACED_NAME.finditer(text) if " . " in text else ():
        if _joined(found[0]) is not None:
            words += [*text[at : found.start()].split(), " ".join(found[0].split())]
            at = found.end()
    words += text[at:].split()
    words = [piece for word in words for piece in ([word] if " " in word else unglued(word))]
    parted = ((word, _ATTACHED.fullmatch(word)) for word in words)
    return [part for word, found in parted for part in (found.groups() if found else (word,))]


def _joined(spaced: str) -> Address | None:
    """What a name with blanks round its dots is without them; None: no name that anybody could have meant."""
    address = read_word("".join(spaced.split()), 0, is_listed=False)
    return address if address is not None and address.host else None


def _spaced(written: str, line: int) -> Address | None:
    """The address of a name with blanks round its dots, to be taken by a person only."""
    address = _joined(written)
    if address is None:
        return None
    why = "has blanks round its dots"
    if address.reason is not None:
        return replace(address, written=written, line=line)
    return replace(address.doubted(why), written=written, line=line, owner=b"", suggestions=(address.host,))


def is_label(word: str) -> bool:
    """Whether a word may stand in front of an address without being part of it."""
    return _LABEL.fullmatch(word) is not None


def with_blank(item: Item) -> Item:
    """The item of a list of addresses, with what is doubtful about a word in front of its address."""
    words = item.before.split()
    first = item.addresses[0] if item.addresses else None
    if first is None or not words or not first.owner or first.reason is not None:
        return item
    if len(words) == 2 and words[1] in "-–—" and words[0].islower() and words[0] not in first.host:
        # `livret - or.example`: a name and its address, or a name with blanks in it?
        words = words[:1]
    elif _LABEL.fullmatch(words[-1]):
        return item
    written = f"{words[-1]} {first.written}"
    word = words[-1].lower().removesuffix("-")
    near = tuple(f"{word}{glue}{first.host}" for glue in ("", "-") if word.isalnum())
    doubted = replace(
        first,
        written=written,
        owner=b"",
        reason=Reason.DOUBTFUL,
        why="has a blank in it: its end alone is another name",
        suggestions=near,
    )
    return replace(item, before=" ".join(words[:-1]), addresses=(doubted, *item.addresses[1:]))
