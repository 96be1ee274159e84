"""The enforced policy as a tree of outcomes: what an export writes down, whatever the format.

Knows: which names the policy image holds, how to ask the table about them.  Does not know: formats.
Theory: the decision about a name depends only on the rules at or above it, so it changes only at the
names that own rules (and at the ancestors of exceptions, which the image marks).  Such a name is a
*point*.  Three outcomes describe it: of the name itself, of the names below it that have no nearer
point, and of itself were it no point.  All three are asked of the table, never worked out again
here, so an export can not decide otherwise than the server does.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from resolver.policy.image import ADDRESS_REF, REF, Effect
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import Exemption, PolicyAction, PolicyRule, RuleForm, Verdict

ROOT = b"\0"
_STRANGERS = (b"\x03\xff\xff\xff", b"\x04\xff\xfe\xff\xfd", b"\x05\xfe\x01\xff\x02\xfd")
"""Labels that no list holds, tried in turn: a child of this name stands for all that are not points."""
_ONE_REF = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a question; equal when clients see the same."""

    action: PolicyAction
    """As answered: an NXDOMAIN that would lie about names below is NODATA here (RFC 8020)."""
    addresses: tuple[bytes, ...] = ()
    """Of a sinkhole (a list's local addresses are one too), 4 or 16 octets each."""
    target: bytes = b""
    """Of local data that leads elsewhere: wire form; a label `*` in front stands for the denied name."""
    ttl_s: int = 0
    is_exception: bool = False
    """An allow or protected rule won, rather than no rule at all."""
    is_whole: bool = field(default=False, compare=False)
    """Blocked, and so is every name below."""
    is_listed: bool = field(default=False, compare=False)
    """A list's rule decided, not an exchange's."""

    @property
    def is_blocked(self) -> bool:
        """Whether clients do not get the ordinary answer."""
        return self.action is not PolicyAction.PASSTHRU


NOTHING = Outcome(PolicyAction.PASSTHRU)
"""No enforced rule speaks of the name."""
EXCEPTION = Outcome(PolicyAction.PASSTHRU, is_exception=True)
EXCEPTION_TO_LISTS = Outcome(PolicyAction.PASSTHRU, is_exception=True, is_listed=True)


class Point(NamedTuple):
    """A name at which the decision may change."""

    name: bytes
    """Wire form, lower case."""
    here: Outcome
    below: Outcome
    """Of names under it with no nearer point."""
    inherited: Outcome
    """Of the name itself, did it own no rule."""

    @property
    def is_new(self) -> bool:
        """Whether it says anything that its surroundings do not."""
        if self.inherited is NOTHING:  # Nearly always; comparing fields costs as much as the rest.
            return self.here is not NOTHING or self.below is not NOTHING
        return self.here != self.inherited or self.below != self.inherited


class Network(NamedTuple):
    """Addresses that answers must not hold."""

    packed: bytes
    """4 or 16 octets."""
    prefix_length: int
    outcome: Outcome


class PolicyTree:
    """The points of one table."""

    def __init__(self, table: PolicyTable, *, knows_tcp_only: bool = False) -> None:
        """`knows_tcp_only`: the format can send clients to TCP; else they are let alone."""
        self.table = table
        self._knows_tcp_only = knows_tcp_only
        self._outcomes: dict[tuple[int, bool], Outcome] = {}
        class_ids = range(len(table.image.classes))
        self._is_enforced = [table.class_state(class_id).is_enforced for class_id in class_ids]
        self._alone = [self._alone_outcomes(class_id) for class_id in class_ids]

    def points(self) -> Iterator[Point]:
        """Every point, in the order in which the image holds their names, about 4 µs each."""
        image = self.table.image
        octets, blob, find = image.octets, image.blob_offset, image.find
        alone, is_enforced = self._alone, self._is_enforced
        skips_top = not image.has_top_level_owner
        # The table's order is random: names that were read together stay together.
        for offset in array("I", sorted(filter(None, image.places))):
            start = position = blob + offset
            has_owner_above = image.has_root_owner
            while length := octets[position]:
                position += length + 1
            name = octets[start : position + 1]
            count = octets[position + 1]
            class_id, _ = REF.unpack_from(octets, position + 2)
            if count == _ONE_REF and not is_enforced[class_id]:
                continue  # Nothing is decided here now.
            cut = name[0] + 1
            while not has_owner_above and (length := name[cut]):
                following = cut + length + 1
                if skips_top and not name[following]:
                    break
                has_owner_above = find(name[cut:]) != 0
                cut = following
            outcomes = alone[class_id]
            if count == _ONE_REF and outcomes is not None and not has_owner_above:
                here, below = outcomes
                yield Point(name, here, below, NOTHING)
            else:
                yield self.point(name)

    def point(self, name: bytes) -> Point:
        """The point at `name`, whether or not it owns a rule."""
        parent = name[name[0] + 1 :]
        here = self._outcome(self.table.judge_name(name, 0.0))
        # The root has no parent, and a rule of the root none above it.
        inherited = self._of_strangers(parent) if parent else NOTHING
        return Point(name, here, self._of_strangers(name), inherited)

    def owns_rules(self, name: bytes) -> bool:
        """Whether the image has a record of `name`."""
        return self.table.image.find(name) != 0

    def ancestors(self, name: bytes) -> Iterator[bytes]:
        """The names above, the nearest first; neither itself nor the root."""
        position = name[0] + 1
        while position < len(name) and name[position]:
            yield name[position:]
            position += name[position] + 1

    def networks(self) -> list[Network]:
        """The networks that answers must not point into, as enforced, each once."""
        found: dict[tuple[bytes, int], Outcome] = {}
        for class_id, length, family, _, packed in ADDRESS_REF.iter_unpack(self.table.image.refs):
            network = packed[12:] if family == 4 else packed
            if self._is_enforced[class_id]:
                found[network, length] = NOTHING
        for network, length in found:
            # The first rule in force wins, of those whose networks hold all of this one.
            for class_id, _, _, around_length in self.table.addresses_at(network):
                if self._is_enforced[class_id] and around_length <= length:
                    found[network, length] = self._address_outcome(class_id)
                    break
        return [
            Network(packed, length, outcome)
            for (packed, length), outcome in sorted(found.items(), key=_first)
        ]

    def block_rules(self, *, enforced_only: bool = False) -> list[PolicyRule]:
        """The exchanges and block lists that have names or addresses, in the image's order."""
        rules: dict[int, PolicyRule] = {}
        for class_id, origin in enumerate(self.table.image.classes):
            rule = self.table.class_state(class_id).rule
            if rule.is_confidential and self.table.is_shared:
                continue
            if origin.effect is Effect.BLOCK and (self._is_enforced[class_id] or not enforced_only):
                rules.setdefault(id(rule), rule)
        return list(rules.values())

    def concealed_rule_count(self) -> int:
        """How many rules for names are left out because they are confidential."""
        if not self.table.is_shared:
            return 0
        concealed = {
            class_id
            for class_id, origin in enumerate(self.table.image.classes)
            if origin.effect is Effect.BLOCK and self.table.class_state(class_id).rule.is_confidential
        }
        if not concealed:
            return 0
        image = self.table.image
        names = sum(
            class_id in concealed
            for offset in array("I", sorted(filter(None, image.places)))
            for class_id, _ in image.refs_at(_after_name(image.blob, offset))
        )
        return names + sum(class_id in concealed for class_id, *_ in ADDRESS_REF.iter_unpack(image.refs))

    def _address_outcome(self, class_id: int) -> Outcome:
        state = self.table.class_state(class_id)
        if state.origin.effect is not Effect.BLOCK:
            return EXCEPTION
        # An address speaks of one type, so its denial is never NXDOMAIN.
        return self._rule_outcome(state.rule, is_whole=False)

    def _of_strangers(self, name: bytes) -> Outcome:
        for label in _STRANGERS:
            if not self.table.image.find(label + name):
                return self._outcome(self.table.judge_name(label + name, 0.0))
        raise AssertionError("a list holds every label that no list holds")

    def _outcome(self, verdict: Verdict) -> Outcome:
        if verdict.match is None:
            return NOTHING
        if not verdict.is_blocked:
            return EXCEPTION_TO_LISTS if verdict.exemption is Exemption.LISTS else EXCEPTION
        return self._rule_outcome(verdict.match.rule, is_whole=verdict.nxdomain_ok)

    def _rule_outcome(self, rule: PolicyRule, *, is_whole: bool) -> Outcome:
        key = (id(rule), is_whole)
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._make_outcome(rule, is_whole=is_whole)
        return outcome

    def _make_outcome(self, rule: PolicyRule, *, is_whole: bool) -> Outcome:
        action = rule.action
        addresses: tuple[bytes, ...] = ()
        target = b""
        if action is PolicyAction.NXDOMAIN and not is_whole:
            action = PolicyAction.NODATA
        elif action is PolicyAction.TCP_ONLY and not self._knows_tcp_only:
            return EXCEPTION_TO_LISTS
        elif action is PolicyAction.SINKHOLE:
            addresses = (rule.sinkhole_ipv4, rule.sinkhole_ipv6)
        elif rule.local_data is not None:
            addresses, target = rule.local_data.addresses, rule.local_data.redirect
            action = PolicyAction.LOCAL_DATA if target else PolicyAction.SINKHOLE
        return Outcome(
            action, addresses, target, rule.ttl_s, is_whole=is_whole, is_listed=rule.kind == "list"
        )

    def _alone_outcomes(self, class_id: int) -> tuple[Outcome, Outcome] | None:
        """Outcomes at and below a name with one enforced block rule, and none above or below it."""
        state = self.table.class_state(class_id)
        origin = state.origin
        if not state.is_enforced or origin.effect is not Effect.BLOCK or origin.form is None:
            return None
        if origin.form is RuleForm.EXACT:
            return self._rule_outcome(state.rule, is_whole=False), NOTHING
        whole = self._rule_outcome(state.rule, is_whole=True)
        return (whole if origin.form is RuleForm.SUBTREE else NOTHING), whole


def _after_name(blob: memoryview, position: int) -> int:
    """Where the references of the record at `position` begin: behind its name."""
    while length := blob[position]:
        position += length + 1
    return position + 1


def _first(pair: tuple[tuple[bytes, int], Outcome]) -> tuple[int, bytes, int]:
    (packed, length), _ = pair
    return len(packed), packed, length
