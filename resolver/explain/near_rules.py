"""The rules that nearly spoke of a name, and why each did not: what `explain --why-not` lists.

Knows: the image's names, which of them are near another one.  Does not know: how a name is judged, how it is
printed.
Theory: a rule is near by its place in the tree (at or above the name, below it, beside it under the same
registrable name), or by its spelling (one letter of the registrable name).  What is below or beside is found
by looking for the name's octets in the image and asking the table of names whether a record ends there; what
is spelt alike by looking up every such spelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from resolver.explain.trace import RuleResult, TracedRule, form_text, state_of
from resolver.known_names.public_suffixes import is_public_suffix
from resolver.policy.image import Effect, Image
from resolver.policy.table import PolicyTable, reaches
from resolver.policy.verdict import PolicyAction, PolicyRule, RuleForm
from resolver.wire.names import LABEL_OCTETS_MAX, NAME_OCTETS_MAX, name_to_text, suffix_offsets

NEAR_MAX = 12
"""Rules that are listed: more is a list of names, not an explanation."""
OF_ONE_RELATION_MAX = 5
HITS_MAX = 5_000
"""Places of a name's octets that are looked at; under a name with more the first ones found stand for all."""
_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789-"
_WWW = b"\x03www"


class Relation(Enum):
    """How a rule is near."""

    ABOVE = "above"
    """It stands at the name or above it."""
    WWW = "www"
    """It is about the name with `www.` before it, or without."""
    SPELLING = "spelling"
    """Its name differs from this one in one letter."""
    BELOW = "below"
    """It stands below the name."""
    BESIDE = "beside"
    """It stands under the same registrable name."""


@dataclass(slots=True, frozen=True)
class NearRule:
    """One rule that blocks, or would, and does not decide here."""

    relation: Relation
    why: str
    """Why it does not decide, in words."""
    rule: PolicyRule
    text: str
    """As the blocklist writes it."""
    file: str
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        rule = self.rule
        return {
            "relation": self.relation.value,
            "why": self.why,
            "rule": self.text,
            "file": self.file,
            "line": self.line,
            "kind": rule.kind,
            "label": rule.id,
            "name": rule.full_name,
            "action": rule.action.value,
            "mode": rule.mode.value,
        }


def nearest_rules(table: PolicyTable, qname: bytes, traced: list[TracedRule], wall: float) -> list[NearRule]:
    """The nearest first, at most `NEAR_MAX`; `traced`: the rules at or above `qname` as of `wall`.

    A look at a large image: some milliseconds for each 10 MB.
    """
    decider = next((one for one in traced if one.fate is RuleResult.DECIDES), None)
    found = [
        NearRule(Relation.ABOVE, _why_above(one, decider), one.rule, one.text, one.file, one.line)
        for one in traced
        if one.effect == "block" and one.fate is not RuleResult.DECIDES
    ][:OF_ONE_RELATION_MAX]
    apex = registrable_name(qname)
    finder = _Finder(table, wall)
    found += finder.www(qname)
    if apex is not None:
        found += finder.spelt_alike(qname, apex)
    if _label_count(qname) >= 2:  # Under a top-level domain everything is below.
        found += finder.below(qname, qname, Relation.BELOW)
        if apex is not None and apex != qname:
            found += finder.below(apex, qname, Relation.BESIDE)
    seen: set[tuple[str, str, int]] = set()
    once = []
    for near in found:
        key = (near.text, near.file, near.line)
        if key not in seen:
            seen.add(key)
            once.append(near)
    return once[:NEAR_MAX]


def registrable_name(qname: bytes) -> bytes | None:
    """The name one label below the public suffix that `qname` is under; None: it is one, or above one."""
    for offset in reversed(suffix_offsets(qname)):
        name = qname[offset:]
        if not is_public_suffix(name):
            return name
    return None


def _label_count(name: bytes) -> int:
    return len(suffix_offsets(name))


def _why_above(one: TracedRule, decider: TracedRule | None) -> str:
    rule = one.rule
    owner = one.text.lstrip("=").removeprefix("*.")
    if is_check(rule):
        return "its list is of kind check: it says who is authorised, and blocks nothing"
    if one.fate is RuleResult.OUT_OF_REACH:
        if one.text.startswith("="):
            return f"'=' makes it about {owner} alone, not about names under it"
        return f"'*.' makes it about names under {owner}, not about {owner} itself"
    if one.fate is RuleResult.OUTRANKED and decider is not None and decider.effect != "block":
        kind = "a protected name" if decider.effect == "protect" else "an exception"
        return f"{decider.text} ({decider.place}) is {kind} and lets it through: {one.why}"
    return one.why


def is_check(rule: PolicyRule) -> bool:
    """Whether it is that of a list of kind check: it has a block's place and lets everything pass."""
    return rule.kind == "list" and rule.action is PolicyAction.PASSTHRU


class _Finder:
    """Looks for rules that block in one image."""

    def __init__(self, table: PolicyTable, wall: float) -> None:
        self._table = table
        self._image: Image = table.image
        self._wall = wall

    def www(self, qname: bytes) -> list[NearRule]:
        """Rules for the name with `www.` before it."""
        name = _WWW + qname
        if len(name) > NAME_OCTETS_MAX:
            return []
        why = f"it is about {name_to_text(name)}; {name_to_text(qname)} is another name"
        return [self._near(Relation.WWW, why, ref, name) for ref in self._refs(name)]

    def spelt_alike(self, qname: bytes, apex: bytes) -> list[NearRule]:
        """Rules that would reach the name, were its registrable part spelt with one other letter."""
        above = qname[: len(qname) - len(apex)]
        found = []
        for spelling in _spellings(apex):
            for ref in self._refs(spelling):
                form = self._table.class_state(ref[0]).origin.form
                if not reaches(form, len(above)):
                    continue
                why = f"spelt alike: {name_to_text(spelling)} and {name_to_text(apex)} are two names"
                found.append(self._near(Relation.SPELLING, why, ref, spelling))
                if len(found) == OF_ONE_RELATION_MAX:
                    return found
        return found

    def below(self, apex: bytes, qname: bytes, relation: Relation) -> list[NearRule]:
        """Rules of names below `apex` that are neither `qname` nor above it."""
        found = []
        for name in sorted(self._names_below(apex), key=_depth_and_text):
            if qname.endswith(name) or (relation is Relation.BESIDE and name.endswith(qname)):
                continue
            for ref in self._refs(name):
                where = "below" if relation is Relation.BELOW else "beside"
                why = f"it stands {where} {name_to_text(qname)}, and reaches only {self._reach(ref, name)}"
                found.append(self._near(relation, why, ref, name))
                if len(found) == OF_ONE_RELATION_MAX:
                    return found
        return found

    def _refs(self, name: bytes) -> list[tuple[int, int]]:
        """The (class, line) references of rules that block, at exactly this owner."""
        end = self._image.find(name)
        refs = self._image.refs_at(end) if end else []
        return [ref for ref in refs if self._table.class_state(ref[0]).origin.effect is Effect.BLOCK]

    def _reach(self, ref: tuple[int, int], name: bytes) -> str:
        text = name_to_text(name)
        match self._table.class_state(ref[0]).origin.form:
            case RuleForm.EXACT:
                return f"{text} itself"
            case RuleForm.BELOW:
                return f"names under {text}"
            case _:
                return f"{text} and names under it"

    def _near(self, relation: Relation, why: str, ref: tuple[int, int], name: bytes) -> NearRule:
        class_id, line = ref
        state = self._table.class_state(class_id)
        not_in_force = state_of(state.rule, state.origin.is_for(self._table.group), self._wall)
        if is_check(state.rule):
            not_in_force = "its list is of kind check"
        if not_in_force:
            why += f" (and besides: {not_in_force})"
        text = form_text(name, state.origin.form)
        return NearRule(relation, why, state.rule, text, state.origin.file, line)

    def _names_below(self, apex: bytes) -> set[bytes]:
        """Names in the image that end in `apex` and are longer."""
        octets, start = self._image.octets, self._image.blob_offset
        end = start + len(self._image.blob)
        names = set[bytes]()
        at = start
        for _ in range(HITS_MAX):
            at = octets.find(apex, at + 1, end)
            if at < 0:
                break
            for name in _names_that_end(octets[max(start, at - NAME_OCTETS_MAX) : at], apex):
                if self._image.find(name) == at + len(apex) - start:
                    names.add(name)
                    break
        return names


def _names_that_end(before: bytes, apex: bytes) -> Iterator[bytes]:
    """What the octets before `apex` may be the first labels of, whole names, the shortest first."""
    room = NAME_OCTETS_MAX - len(apex)
    starts = {len(before)}
    for first in range(len(before) - 2, max(-1, len(before) - room - 1), -1):
        following = first + before[first] + 1
        if 0 < before[first] <= LABEL_OCTETS_MAX and following in starts:
            starts.add(first)
            yield before[first:] + apex


def _depth_and_text(name: bytes) -> tuple[int, str]:
    return _label_count(name), name_to_text(name)


def _spellings(apex: bytes) -> Iterator[bytes]:
    """Names whose text is one letter more, one less, one other than `apex`, or has two neighbours swapped."""
    labels = []
    for offset in suffix_offsets(apex):
        labels.append(apex[offset + 1 : offset + 1 + apex[offset]])
    seen = {apex}
    for number, label in enumerate(labels):
        for changed in _changed(label):
            if not 0 < len(changed) <= LABEL_OCTETS_MAX:
                continue
            parts = [*labels[:number], changed, *labels[number + 1 :]]
            name = b"".join(bytes((len(part),)) + part for part in parts) + b"\0"
            if name not in seen and len(name) <= NAME_OCTETS_MAX:
                seen.add(name)
                yield name


def _changed(label: bytes) -> Iterator[bytes]:
    for at in range(len(label)):
        yield label[:at] + label[at + 1 :]
        yield label[:at] + label[at + 1 : at + 2] + label[at : at + 1] + label[at + 2 :]
        for letter in _LETTERS:
            yield label[:at] + bytes((letter,)) + label[at + 1 :]
    for at in range(len(label) + 1):
        for letter in _LETTERS:
            yield label[:at] + bytes((letter,)) + label[at:]
