"""What is said of a blocklist to readers outside: nothing that names what is confidential.

Knows: which words are of confidential orders and what they alone block.  Does not know: where text goes.
Theory: a remark names what it is about, so one that holds such a word is replaced as a whole; whoever may
read the blocklist gets it from `check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.downloads import at_their_places
from resolver.blocklist.reader import read_what_served
from resolver.blocklist.rules import Blocklist
from resolver.config.yamlsource import YamlMapping, YamlSequence, read_yaml
from resolver.problems import Problem

HINT = "something confidential is concerned: 'exchange-resolver check' says what"

PHRASE_CHARS_MIN = 4

_WORD = re.compile(r"[\w.-]+")


class Concealment:
    """The words of one blocklist that nobody outside may read."""

    def __init__(self, path: Path, octets: bytes, state_dir: Path | None = None) -> None:
        """Of the blocklist with this text, which may have errors.  `state_dir`: where downloads are kept."""
        self._words: set[str] = set()
        self._phrases: set[str] = set()
        self._file = str(path)
        self._list_files: set[str] = set()
        """Files of confidential lists: what is said of one quotes its lines, and its path names the list."""
        tree, _ = read_yaml(octets, file=str(path))
        blocklist = read_what_served(path, octets)
        self._is_unreadable = blocklist is None or not isinstance(tree, YamlMapping)
        if blocklist is not None and isinstance(tree, YamlMapping):
            self._take_what_is_read(blocklist, state_dir)
            self._take_what_is_written(tree)
        # A phrase of two letters is in every text: it counts as a word.
        short = {phrase for phrase in self._phrases if len(phrase) < PHRASE_CHARS_MIN}
        self._words |= short
        self._phrases -= short

    def _take_what_is_written(self, tree: YamlMapping) -> None:
        """The words of entries with slips in them, which could not be read."""
        orders = {
            label: order
            for label, order in _entries(tree, "orders")
            if order.items.get("confidential", False) is not False
        }
        self._words |= orders.keys()
        for order in orders.values():
            self._phrases |= {text for key in ("title", "reference") if (text := _text(order, key))}
        named = [*_entries(tree, "exchanges"), *((_text(one, "name"), one) for one in _listed(tree, "lists"))]
        for label, entry in named:
            cited = entry.items.get("order")
            ids = cited.items if isinstance(cited, YamlSequence) else [cited]
            if any(isinstance(order, str) and order in orders for order in ids) and all(
                isinstance(order, str) and order in orders for order in ids
            ):
                domains = entry.items.get("domains")
                texts = domains.items if isinstance(domains, YamlSequence) else []
                self._words |= {label, *(text.strip("=*. ") for text in texts if isinstance(text, str))}
                self._phrases.add(_text(entry, "name") or label)

    def _take_what_is_read(self, blocklist: Blocklist, state_dir: Path | None) -> None:
        for order in blocklist.orders.values():
            if order.is_confidential:
                self._words.add(order.id)
                self._phrases |= {order.title, order.reference or order.title, *order.asks}
        secret = {id(rule) for rule in blocklist.exchanges if rule.is_ever_confidential}
        rules = [rule for rule in blocklist.exchanges if id(rule) in secret]
        lists = [
            spec for spec in at_their_places(blocklist.lists, state_dir) if spec.rule.is_ever_confidential
        ]
        rules += [spec.rule for spec in lists]
        self._list_files = {str(spec.path) for spec in lists}
        self._phrases |= self._list_files
        self._words |= {rule.label for rule in rules}
        self._phrases |= {rule.name for rule in rules}
        for owner, form, effect, rule, _, _ in blocklist.name_rules:
            if effect == "block" and id(rule) in secret:
                self._words.add(entry_text(owner, form).lstrip("=*."))
        self._phrases |= {str(rule.network) for rule in blocklist.address_rules if id(rule.rule) in secret}

    def holds(self, text: str) -> bool:
        """Whether the text has such a word in it."""
        if self._is_unreadable:
            return True  # Nobody can tell what it quotes.
        if not (self._words or self._phrases):
            return False
        for word in _WORD.findall(text):
            if word in self._words or not self._words.isdisjoint(word.split(".")):
                return True
        return any(phrase in text for phrase in self._phrases)

    def problems(self, problems: Iterable[Problem]) -> list[Problem]:
        """The same, without what they may not say."""
        return [self._concealed(problem) for problem in problems]

    def _concealed(self, problem: Problem) -> Problem:
        if problem.file in self._list_files:
            return replace(problem, file=self._file, line=0, message=HINT)
        return replace(problem, message=HINT) if self.holds(problem.message) else problem

    def lines(self, lines: Iterable[str]) -> list[str]:
        """The same lines, those that may not be read replaced."""
        return list(dict.fromkeys(HINT if self.holds(line) else line for line in lines))


def _entries(tree: YamlMapping, section: str) -> Iterator[tuple[str, YamlMapping]]:
    content = tree.items.get(section)
    for label, entry in content.items.items() if isinstance(content, YamlMapping) else ():
        if isinstance(entry, YamlMapping):
            yield label, entry


def _listed(tree: YamlMapping, section: str) -> Iterator[YamlMapping]:
    content = tree.items.get(section)
    for entry in content.items if isinstance(content, YamlSequence) else ():
        if isinstance(entry, YamlMapping):
            yield entry


def _text(entry: YamlMapping, key: str) -> str:
    value = entry.items.get(key)
    return value if isinstance(value, str) else ""
