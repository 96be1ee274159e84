"""Ad blockers' filter lists (`adblock`), as far as they speak of whole names.

Knows: `||x^` (x and all below), `|x^` (x alone), `@@` before either (an exception), comments, hosts
lines and bare names among them.  Does not know: pages, elements, paths; those rules are skipped, and
counted by kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from resolver.lists.hosts import Hosts
from resolver.lists.reading import (
    LINE_OCTETS_MAX,
    PLAIN,
    LineFormat,
    Said,
    Skipped,
    address_of,
    checked_name,
    name_of,
    text_of,
)
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.names import name_from_text

_COSMETIC = re.compile(rb"#@?(?:\?|\$\??|%)?#|\$@?\$")
"""Rules on elements of a page: `##`, `#@#`, `#?#`, `#$#`, `#%#`, `$$` and their like (AdGuard, uBlock)."""

_BARE_NAME = re.compile(r"(?:[\w\x80-\U0010ffff-]{1,63}\.)+[^\W\d_][\w\x80-\U0010ffff-]{0,62}\Z")
"""A line that is a name and nothing else, whatever is beyond ASCII; browsers take it for a piece of a URL."""
_HOSTS_LINE = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]")
_PORT = re.compile(r":(?:\d|\*|$)")
_HARMLESS_OPTIONS = frozenset(("important", "all"))
"""Options that leave a rule on a whole name what it is: here the longest name wins anyway."""
_ANCHORS = (b"||", b"@@", b"|", b"/")

_BLOCKS = {form: Said(form) for form in RuleForm}
_ALLOWS = {form: Said(form, "allow") for form in RuleForm}


CANCELLED_MAX = 100_000
"""Rules that one list may cancel; those beyond stay."""
_BADFILTER = "badfilter"
_NOTHING = re.compile(rb"(?!)")
"""Matches no line: all go the slow way."""


class _Rule(NamedTuple):
    name: bytes
    said: Said
    options: frozenset[str]


class Adblock(LineFormat):
    """One filter a line."""

    fast = re.compile(rb"^\|\|(" + PLAIN + rb")\^$", re.MULTILINE)
    plain = _BLOCKS[RuleForm.SUBTREE]
    native = "adblock"
    looks_ahead = True

    def __init__(self) -> None:
        super().__init__()
        self._hosts = Hosts()
        self._cancelled: set[_Rule] = set()
        """What `$badfilter` takes back, wherever it stands."""

    def look_ahead(self, chunk: bytes) -> None:
        """Note the rules that this chunk cancels."""
        if _BADFILTER.encode() not in chunk.lower():
            return
        for line in chunk.split(b"\n"):
            if _BADFILTER.encode() in line.lower() and len(self._cancelled) < CANCELLED_MAX:
                try:
                    rule = _rule(text_of(line))
                except (Skipped, ValueError):
                    continue  # Said when the line is read.
                if _BADFILTER in rule.options:
                    self._cancelled.add(rule._replace(options=rule.options - {_BADFILTER}))
                    self.fast, self.native = _NOTHING, ""

    def read_line(self, octets: bytes) -> Iterable[tuple[bytes, Said]]:
        octets = octets.strip()
        if octets.startswith(b"[$"):
            raise Skipped("cosmetic rules")
        if not octets or octets.startswith((b"!", b"[", b"####", b"## ")):
            return []
        if not octets.startswith(_ANCHORS) and _COSMETIC.search(octets):
            raise Skipped("cosmetic rules")
        if octets.startswith(b"#"):
            return []
        if len(octets) > LINE_OCTETS_MAX and b"$" in octets:
            # Options may name a thousand sites.
            raise Skipped("rules with options")
        text = text_of(octets)
        if _HOSTS_LINE.match(text):
            return self._hosts.read_line(octets)
        if _BARE_NAME.match(text):
            # As AdGuard Home ("domains-only syntax") and Pi-hole read it: this name, and none below it.
            return [(name_of(text), _BLOCKS[RuleForm.EXACT])]
        rule = _rule(text)
        if _BADFILTER in rule.options or (self._cancelled and rule in self._cancelled):
            raise Skipped("cancelled rules")
        return [(rule.name, rule.said)]


def _rule(text: str) -> _Rule:
    """A network filter.  Raises `Skipped` or ValueError."""
    said = _ALLOWS if text.startswith("@@") else _BLOCKS
    pattern, options = _split_options(text.removeprefix("@@"))
    if pattern.startswith("/"):
        raise Skipped("regular expressions" if pattern.endswith("/") and len(pattern) > 2 else "path rules")
    if len(pattern.split()) > 1 or not pattern.isprintable():
        raise ValueError(f"{show(text)} is not a filter")
    form = RuleForm.SUBTREE if pattern.startswith("||") else RuleForm.EXACT
    name = pattern.lstrip("|").removesuffix("|")
    is_whole = pattern.startswith("|") and name.endswith("^")
    name = name.removesuffix("^")
    if is_whole and not name.endswith(".."):
        name = name.removesuffix(".")
    if form is RuleForm.SUBTREE and name.startswith("*."):
        form, name = RuleForm.BELOW, name[2:]
    if any(sign in name for sign in "/?=&%") or _PORT.search(name):
        raise Skipped("path rules")
    if (
        not is_whole
        or any(sign in name for sign in "*^|,;~!()")
        or name.startswith(".")
        or name.endswith(".")
    ):
        raise Skipped("name patterns")
    if address_of(name.strip("[]")) is not None:
        raise Skipped("addresses")
    if not options - {_BADFILTER} <= _HARMLESS_OPTIONS:
        raise Skipped("cancelled rules" if _BADFILTER in options else "rules with options")
    return _Rule(checked_name(name_from_text(name), text), said[form], options)


def _split_options(text: str) -> tuple[str, frozenset[str]]:
    pattern, sign, options = text.rpartition("$")
    # A `$` inside a regular expression or a path begins no options.
    if not sign or (pattern.startswith("/") and options.endswith("/")) or not options:
        return text, frozenset()
    return pattern, frozenset(option.strip().lower() for option in options.split(","))
