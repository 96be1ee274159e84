"""What is said of a blocklist to readers outside: nothing that names what is confidential.

Knows: which words are of confidential orders and what they alone block.  Does not know: where text goes.
Theory: a remark names what it is about, so one that holds such a word is replaced as a whole; whoever may
read the blocklist gets it from `check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.rules import Blocklist
from resolver.policy.verdict import PolicyRule
from resolver.problems import Problem

HINT = "something confidential is concerned: 'exchange-resolver check' says what"

PHRASE_CHARS_MIN = 4

_WORD = re.compile(r"[\w.-]+")


class Concealment:
    """The words of one blocklist that nobody outside may read."""

    def __init__(self, blocklist: Blocklist | None) -> None:
        """None: of no blocklist, so there are none."""
        self._words: set[str] = set()
        self._phrases: set[str] = set()
        if blocklist is None:
            return
        for order in blocklist.orders.values():
            if order.is_confidential:
                self._words.add(order.id)
                self._phrases |= {order.title, order.reference or order.title, *order.asks}
        secret = {id(rule) for rule in blocklist.exchanges if is_concealed(rule)}
        rules = [rule for rule in blocklist.exchanges if id(rule) in secret]
        rules += [spec.rule for spec in blocklist.lists if is_concealed(spec.rule)]
        self._words |= {rule.label for rule in rules}
        self._phrases |= {rule.name for rule in rules}
        for owner, form, effect, rule, _, _ in blocklist.name_rules:
            if effect == "block" and id(rule) in secret:
                self._words.add(entry_text(owner, form).lstrip("=*."))
        self._phrases |= {str(rule.network) for rule in blocklist.address_rules if id(rule.rule) in secret}
        # A phrase of two letters is in every text: it counts as a word.
        short = {phrase for phrase in self._phrases if len(phrase) < PHRASE_CHARS_MIN}
        self._words |= short
        self._phrases -= short

    def holds(self, text: str) -> bool:
        """Whether the text has such a word in it."""
        if not (self._words or self._phrases):
            return False
        for word in _WORD.findall(text):
            if word in self._words or not self._words.isdisjoint(word.split(".")):
                return True
        return any(phrase in text for phrase in self._phrases)

    def problems(self, problems: Iterable[Problem]) -> list[Problem]:
        """The same, without what they may not say."""
        return [
            replace(problem, message=HINT) if self.holds(problem.message) else problem for problem in problems
        ]

    def lines(self, lines: Iterable[str]) -> list[str]:
        """The same lines, those that may not be read replaced."""
        return list(dict.fromkeys(HINT if self.holds(line) else line for line in lines))


def is_concealed(rule: PolicyRule) -> bool:
    """Whether something is confidential of it at some time."""
    return any(phase.is_confidential for phase in rule.phases or (rule,))
