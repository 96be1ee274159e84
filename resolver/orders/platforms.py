"""Platforms by name, former name or address: which of those we know does an order mean?

Knows: the exchanges of the blocklist and of the catalogue, when two names are the same.
Does not know: rows of an order, what is written.
Theory: the blocklist comes first and the catalogue fills in what it lacks.  Two names are the same when their
letters and digits are, without case, accents, blanks and dots; what is near is a question for a person.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from resolver.blocklist.rules import Blocklist, NameRule
from resolver.policy.verdict import PolicyRule, RuleForm
from resolver.wire.names import suffix_offsets

SHIPPED = Path(__file__).resolve().with_name("catalogue.yaml")
"""The catalogue that comes with the program: a link to `blocklist.yaml`, a copy of it where installed."""
NEAR_RATIO = 0.84
"""From here on two names are so alike that one may be a slip of the other (difflib)."""
NEAR_CHARS_MIN = 5
"""Shorter names are all alike."""
NEAR_LOOKUPS_MAX = 1_000
"""So many names are held against all that are known; each takes a millisecond or more."""
NAME_CHARS_MAX = 200
"""Of a name, so much is looked at."""
_PARTS = re.compile(
    r"\s*(?:[/|;()\[\]]|,\s|\s[-–—]\s|"
    r"\b(?:aka|a\.k\.a\.|formerly|ehemals|früher|ex|also|d/b/a|trading as)\b)\s*",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"(.*?)\s*\((.*)\)\s*")


@dataclass(frozen=True, slots=True)
class Platform:
    """One exchange that we know."""

    id: str
    rule: PolicyRule
    aliases: tuple[str, ...]
    names: tuple[NameRule, ...]
    is_in_policy: bool
    """False: only the catalogue has it."""

    @property
    def name(self) -> str:
        """For people."""
        return self.rule.name

    def all_names(self) -> Iterator[str]:
        """Each name it goes by; what stands in brackets behind one is another."""
        yield self.rule.name
        if found := _IN_BRACKETS.fullmatch(self.rule.name):
            yield found[1]
            yield found[2]
        yield from self.aliases


def name_key(text: str) -> str:
    """What two spellings of one name have in common: letters and digits, without case and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in plain if sign.isalnum())


def name_parts(text: str) -> list[str]:
    """A name cell as a whole, and the names it is put together from."""
    parts = [part for part in _PARTS.split(text) if part]
    return list(dict.fromkeys([text.strip(), *parts]))


class Platforms:
    """All that are known."""

    def __init__(self, policy: Blocklist, catalogue: Blocklist | None = None) -> None:
        own = list(_platforms(policy, is_in_policy=True))
        self.by_id = {platform.id: platform for platform in own}
        self._by_key: dict[str, list[Platform]] = {}
        self._by_owner: dict[bytes, list[tuple[NameRule, Platform]]] = {}
        self._near: dict[str, list[Platform]] = {}
        for platform in own:
            self._add(platform)
        if catalogue is not None and catalogue.path != policy.path:
            for platform in _platforms(catalogue, is_in_policy=False):
                self._add_known(platform)

    def _add_known(self, platform: Platform) -> None:
        """Take from the catalogue what the blocklist lacks; of a platform that both have, the names."""
        twin = self.by_id.get(platform.id)
        if twin is None:
            twin = next(
                (self._by_owner[rule.owner][0][1] for rule in platform.names if rule.owner in self._by_owner),
                None,
            )
        elif not is_same(twin, platform):
            return
        if twin is None:
            self.by_id[platform.id] = platform
            self._add(platform)
            return
        for rule in platform.names:
            self._by_owner.setdefault(rule.owner, []).append((rule, twin))
        for name in platform.all_names():
            self._add_name(name, twin)

    def _add(self, platform: Platform) -> None:
        for rule in platform.names:
            self._by_owner.setdefault(rule.owner, []).append((rule, platform))
        for name in platform.all_names():
            self._add_name(name, platform)

    def _add_name(self, name: str, platform: Platform) -> None:
        key = name_key(name)
        if key and platform not in self._by_key.setdefault(key, []):
            self._by_key[key].append(platform)

    def of_host(self, owner: bytes) -> Platform | None:
        """The one with the longest name at or above a host (wire form) that covers it."""
        for at in suffix_offsets(owner):
            for rule, platform in self._by_owner.get(owner[at:], ()):
                if covers(rule, owner):
                    return platform
        return None

    def below(self, owner: bytes) -> list[str]:
        """Ids of those that have a name under a host: a rule for the host does not decide there."""
        return sorted(self._above.get(owner, ()))

    @cached_property
    def _above(self) -> dict[bytes, set[str]]:
        """Each name above one that is known -> the ids of those it is of."""
        above: dict[bytes, set[str]] = {}
        for known, found in self._by_owner.items():
            for at in suffix_offsets(known)[1:]:
                above.setdefault(known[at:], set()).update(platform.id for _, platform in found)
        return above

    def of_name(self, text: str) -> list[Platform]:
        """Those with exactly this name, or with one that the text is put together from."""
        found = [
            platform
            for part in name_parts(text[:NAME_CHARS_MAX])
            for platform in self._by_key.get(name_key(part), ())
        ]
        return list(dict.fromkeys(found))

    def near_name(self, text: str) -> list[Platform]:
        """Those with a name so much like it that it may be a slip, or that is a part of it."""
        if text in self._near:
            return self._near[text]
        if len(self._near) >= NEAR_LOOKUPS_MAX:
            return []
        text = text[:NAME_CHARS_MAX]
        found: list[Platform] = []
        keys = [key for part in name_parts(text) if len(key := name_key(part)) >= NEAR_CHARS_MIN]
        for key in keys:
            for near in difflib.get_close_matches(key[:64], self._long_keys, n=2, cutoff=NEAR_RATIO):
                found += self._by_key[near]
        words = re.findall(r"\w+", text)
        runs = {
            name_key("".join(words[a:b]))
            for a in range(len(words))
            for b in range(a + 1, min(a + 4, len(words)) + 1)
        }
        for key in runs:
            if len(key) >= NEAR_CHARS_MIN or key.upper() in words:
                found += self._by_key.get(key, [])
        self._near[text] = list(dict.fromkeys(found))
        return self._near[text]

    def named_in(self, text: str) -> list[Platform]:
        """Those whose name stands in running text, spelt as they spell it."""
        words = re.findall(r"[\w.+-]*\w", text)
        found: list[Platform] = []
        for first, word in enumerate(words):
            if word not in self._first_words:
                continue
            for last in range(first + 1, min(first + 3, len(words)) + 1):
                run = " ".join(words[first:last])
                for platform in self._by_key.get(name_key(run), ()):
                    if any(run == name for name in platform.all_names()) and not run.islower():
                        found.append(platform)
        return list(dict.fromkeys(found))

    @cached_property
    def _first_words(self) -> set[str]:
        names = (name for platform in self.by_id.values() for name in platform.all_names())
        return {word for name in names for word in name.split()[:1]}

    @cached_property
    def _long_keys(self) -> list[str]:
        return [key for key in self._by_key if len(key) >= NEAR_CHARS_MIN]


def covers(rule: NameRule, owner: bytes) -> bool:
    """Whether a rule whose name is at or above a host is about that host."""
    is_itself = rule.owner == owner
    return rule.form is RuleForm.SUBTREE or (rule.form is RuleForm.EXACT) == is_itself


def is_same(one: Platform, other: Platform) -> bool:
    """Whether two entries of one id are one platform: they share a name or an address."""
    names = {name_key(name) for name in one.all_names()} & {name_key(name) for name in other.all_names()}
    return bool(names) or bool({rule.owner for rule in one.names} & {rule.owner for rule in other.names})


def _platforms(blocklist: Blocklist, *, is_in_policy: bool) -> Iterator[Platform]:
    names: dict[str, list[NameRule]] = {}
    for rule in blocklist.name_rules:
        if rule.effect == "block":
            names.setdefault(rule.rule.label, []).append(rule)
    for exchange in blocklist.exchanges:
        aliases: Iterable[str] = blocklist.aliases.get(exchange.label, ())
        yield Platform(
            exchange.label, exchange, tuple(aliases), tuple(names.get(exchange.label, ())), is_in_policy
        )
