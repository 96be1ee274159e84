"""Lists of names: bare (`domains`), behind `*.` (`wildcard`), or as lines of hosts(5) (`hosts`).

Knows: these three spellings.  Does not know: what a name on a list means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from resolver.lists.reading import (
    PLAIN,
    LineFormat,
    Said,
    Skipped,
    address_of,
    checked_name,
    name_of,
    words_of,
)
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text

OWN_NAMES = frozenset(
    (
        "localhost",
        "localhost.localdomain",
        "local",
        "broadcasthost",
        "0.0.0.0",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
    )
)
"""Names that stand in every hosts file for the machine's own sake: skipped without a word."""

_REST = rb"(?:[ \t]*#[^\n]*)?$"
"""What may follow the name on a plain line: a comment."""
_NOBODY = rb"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+(?!localhost\.localdomain\b)"
_SUBTREE = Said(RuleForm.SUBTREE)
_EXACT = Said(RuleForm.EXACT)


_WILD_SIGNS = ("*.", ".")
"""Signs before a name that say "and all below it", as many lists write them."""


class Domains(LineFormat):
    """One name a line, which stands for itself and all below it; `*.x` and `.x` say the same as `x`."""

    fast = re.compile(rb"^(" + PLAIN + rb")$", re.MULTILINE)
    fast_with_comments = re.compile(rb"^(" + PLAIN + rb")" + _REST, re.MULTILINE)
    plain = _SUBTREE
    native = "domains"

    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        word = _only_word(octets)
        if not word:
            return []
        name = _name_behind_sign(word)
        return [(name_of(word) if name is None else name, _SUBTREE)]


class Wildcard(LineFormat):
    """One name a line; behind `*.` (or a dot) it stands for all below it too, bare for itself alone.

    Such lists mean the name itself when they write `*.x`: their readers hold only that form.
    """

    fast = re.compile(rb"^\*\.(" + PLAIN + rb")$", re.MULTILINE)
    fast_with_comments = re.compile(rb"^\*\.(" + PLAIN + rb")" + _REST, re.MULTILINE)
    plain = _SUBTREE
    native = "wildcard"

    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        word = _only_word(octets)
        if not word:
            return []
        name = _name_behind_sign(word)
        if name is not None:
            return [(name, _SUBTREE)]
        if "*" in word:
            raise Skipped("name patterns")
        return [(name_of(word), _EXACT)]


def _only_word(octets: bytes) -> str:
    """The word of a line; empty: it has none.  Raises ValueError for more than one."""
    words = words_of(octets)
    if len(words) > 1:
        raise ValueError(f"{show(' '.join(words))}: more than one word")
    return words[0] if words else ""


def _name_behind_sign(word: str) -> bytes | None:
    """x of `*.x` and `.x`; None without such a sign.  Raises ValueError or `Skipped`."""
    for sign in _WILD_SIGNS:
        if word.startswith(sign) and len(word) > len(sign):
            text = word.removeprefix(sign)
            if "*" in text:
                raise Skipped("name patterns")
            return checked_name(name_from_text(text), word)
    return None


class Hosts(LineFormat):
    """An address and the names it is given: a list when the address is nobody's."""

    fast = re.compile(rb"^" + _NOBODY + rb"(" + PLAIN + rb")$", re.MULTILINE)
    fast_with_comments = re.compile(rb"^" + _NOBODY + rb"(" + PLAIN + rb")" + _REST, re.MULTILINE)
    plain = _EXACT
    native = "hosts"

    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        words = words_of(octets)
        if not words:
            return []
        address = address_of(words[0].partition("%")[0])
        if address is None:
            raise ValueError(f"{show(words[0])}: no address at the start of the line")
        names = [word for word in words[1:] if word.lower() not in OWN_NAMES]
        if not names:
            if len(words) == 1:
                raise ValueError(f"{show(words[0])}: an address without a name")
            return []
        if not (address.is_unspecified or address.is_loopback):
            # Such a line gives a name its address; taking it for a block would surprise.
            raise Skipped("real addresses")
        return [(name_of(word), _EXACT) for word in names]
