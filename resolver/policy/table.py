"""Judges names and responses by one compiled policy: which rule wins, and how far it reaches.

Knows: the image, the order of tiers, forms and modes, dates as of its making, its group of clients.
Does not know: files, questions' encoding, wall time (given once, when it is made), who asks, the cache.
Theory: a name's suffixes are looked up from the longest to the shortest, and within a record the
references stand in the order of preference, so in each tier the first rule that applies has won.
A table never changes.  When a rule's `from` or `until` comes, the publisher makes a new table over the
same image, so all that depends on dates is worked out once per table, not per question.  So is whom a
rule is for: in the table of a group, a class that is not for the group is as if it were disabled.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_64_intdigest

from resolver.policy import image as layout
from resolver.policy.activity import ClassState, class_state_of, is_exception_below
from resolver.policy.image import EVERYBODY, GROUPS_MAX, Effect, Image, Tier
from resolver.policy.trace import Trace, trace_name
from resolver.policy.verdict import (
    PASS,
    Cause,
    Exemption,
    PolicyAction,
    PolicyRule,
    RuleForm,
    RuleMatch,
    Verdict,
)
from resolver.wire.carried_addresses import NAT64_PREFIXES_MAX, Nat64Prefix, carried_addresses

if TYPE_CHECKING:
    from resolver.wire.response import Response

EXEMPTIONS = (Exemption.ALL, Exemption.ALL, Exemption.LISTS)
"""What a winning exception of each tier switches off on the response side (design: list allow rules
reach lists only)."""

GROUP_SHIFT = 56
"""Where a table's group stands in its generation: generations rise by one and never get there."""

# Looked up once: an enum's members cost a look-up each on a hot path.
SUBTREE = RuleForm.SUBTREE
EXACT = RuleForm.EXACT
NOT_EXEMPT = Exemption.NONE
PASSTHRU = PolicyAction.PASSTHRU
TCP_ONLY = PolicyAction.TCP_ONLY
_FIRST_REF = struct.Struct("<BHI").unpack_from
"""A record's count and its first reference."""


class Applying(NamedTuple):
    """One rule at or above a name."""

    class_id: int
    line: int
    owner_offset: int
    """Where in the name its owner starts; 0: the name itself."""


class Ready(NamedTuple):
    """What a verdict needs of a class when its rule is the only one that speaks of a name."""

    action: PolicyAction
    rule: PolicyRule
    form: RuleForm
    file: str
    valid_until: float


class PolicyTable:
    """One policy at one time for one group of clients; immutable, and safe to use from any thread."""

    def __init__(
        self,
        image: Image,
        generation: int,
        wall: float,
        monotonic: float,
        group: int = EVERYBODY,
        nat64_prefixes: tuple[Nat64Prefix, ...] = (),
        *,
        is_shared: bool = False,
    ) -> None:
        """Make the table as of `wall` (Unix seconds), which is `monotonic` on the verdicts' clock.

        `group`: 0 to `GROUPS_MAX` - 1, else ValueError.  `nat64_prefixes`: those of the network, under which
        IPv6 addresses carry IPv4 ones; at most `NAT64_PREFIXES_MAX` are heeded.  `is_shared`: for readers
        outside, to whom what is confidential is not there.
        """
        if not 0 <= group < GROUPS_MAX:
            raise ValueError(f"group {group}: there are {GROUPS_MAX}")
        self.image = image
        self.group = group
        self.nat64_prefixes = nat64_prefixes[:NAT64_PREFIXES_MAX]
        self.generation = generation | group << GROUP_SHIFT
        """The policy's, with the group above it, so no other table has it: what was judged under another
        one is judged again."""
        self.made_at = (wall, monotonic)
        """The time it is true for, on both clocks."""
        offset = wall - monotonic
        self._class_states = tuple(
            class_state_of(origin, wall, offset, group, is_shared=is_shared) for origin in image.classes
        )
        self.is_shared = is_shared
        self._ready = tuple(map(_ready, self._class_states))
        self._octets = image.octets
        self._homes = image.homes
        self._tags = image.tags_offset
        self._places = image.places
        self._blob = image.blob_offset
        self._seed = image.seed
        # Under the root's rules a marker may stand at a top-level domain that owns no rule.
        self._skips_top = not (image.has_top_level_owner or image.has_root_owner)
        self._root = image.find(b"\0") if image.has_root_owner else 0
        meta = image.meta
        self.is_filtering: bool = any(
            state.is_enforced and state.origin.effect is Effect.BLOCK for state in self._class_states
        )
        """Whether any rule blocks anything for this group now."""
        self.exchanges: tuple[PolicyRule, ...] = tuple(image.sources[index] for index in meta["exchanges"])
        """All of them, in file order, those without domains included."""
        self.lists: tuple[PolicyRule, ...] = tuple(image.sources[index] for index in meta["lists"])
        self.orders: dict[str, dict[str, Any]] = meta["orders"]
        """Order id -> its fields (`authority`, `title`, `reference`, `date`, `url`, `imposed_by`)."""
        self.counts: dict[str, Any] = meta["counts"]
        """`exchanges`, `domains`, `addresses`, `list_names`; also `per_exchange`, `per_list`: {id: count}."""
        self.contact: str | None = meta["contact"]

    # The question's side.

    def judge_name(self, qname: bytes, now: float) -> Verdict:
        """What the rules say of `qname` (wire form, lower case); `PASS` itself when they say nothing."""
        # This loop is `Image.find` spelt out: it runs for every question.
        homes = self._homes
        tags = self._tags
        seed = self._seed
        octets = self._octets
        position = 0
        length = qname[0]
        owner_at = refs_at = 0
        others = None
        while length:
            following = position + length + 1
            length = qname[following]
            if not length and self._skips_top:
                break  # A top-level domain, and no rule is owned by one.
            suffix = qname[position:] if position else qname
            digest = xxh3_64_intdigest(suffix, seed)
            at = tags + digest % homes
            while tag := octets[at]:
                if tag == (digest >> 56 or 1):
                    start = self._blob + self._places[at - tags]
                    end = start + len(suffix)
                    if octets[start:end] == suffix:
                        if not refs_at:
                            owner_at, refs_at = position, end
                        elif others is None:
                            others = [(position, end)]
                        else:
                            others.append((position, end))
                        break
                at += 1
            position = following
        if others is None and not self._root:
            return self._judge_owner(qname, owner_at, refs_at) if refs_at else PASS
        found = [(owner_at, refs_at), *(others or ())] if refs_at else []
        return self._decide(qname, self._applying(qname, found), skip_lists=False)

    def _judge_owner(self, qname: bytes, owner_at: int, refs_at: int) -> Verdict:
        """The verdict where one owner alone is at or above `qname`."""
        # Nearly always one rule speaks: no tiers, no exceptions below (they would be marked here).
        count, class_id, line = _FIRST_REF(self._octets, refs_at)
        ready = self._ready[class_id]
        if count == 1 and ready is not None:
            action, rule, form, file, valid_until = ready
            if form is SUBTREE or (form is EXACT) is (owner_at == 0):
                # Without their `__init__`s, which cost half of a judgement.
                match = RuleMatch.__new__(RuleMatch)
                match.rule = rule
                match.form = form
                match.owner = qname[owner_at:]
                match.file = file
                match.line = line
                verdict = Verdict.__new__(Verdict)
                verdict.action = action
                verdict.match = match
                verdict.shadow = verdict.over_stream = verdict.cause = None
                verdict.exemption = NOT_EXEMPT
                verdict.denied = qname
                verdict.nxdomain_ok = form is not EXACT
                verdict.valid_until = valid_until
                verdict.kept_links = 0
                return verdict
        return self._decide(qname, self._applying(qname, [(owner_at, refs_at)]), skip_lists=False)

    def _applying(self, qname: bytes, found: list[tuple[int, int]]) -> list[Applying]:
        """Every reference at the found suffixes, the longest owner first, markers included."""
        refs = [
            Applying(class_id, line, position)
            for position, end in found
            for class_id, line in self.image.refs_at(end - self._blob)
        ]
        if self._root:
            root = len(qname) - 1
            refs += [Applying(class_id, line, root) for class_id, line in self.image.refs_at(self._root)]
        return refs

    def applying(self, qname: bytes) -> list[Applying]:
        """Every rule and marker at or above `qname`, the longest owner first."""
        found = []
        position = 0
        while qname[position]:
            end = self.image.find(qname[position:])
            if end:
                found.append((position, end + self._blob))
            position += qname[position] + 1
        return self._applying(qname, found)

    def trace(self, name: bytes, at: float) -> Trace:
        """Why `name` is judged as it is at wall time `at`: for people, at leisure."""
        return trace_name(PolicyTable(self.image, self.generation, at, at, self.group), name, at)

    def class_state(self, class_id: int) -> ClassState:
        """A class as of this table's time, for its group."""
        return self._class_states[class_id]

    def _decide(self, qname: bytes, applying: list[Applying], *, skip_lists: bool) -> Verdict:
        """The general decision over all rules at or above `qname`."""
        winners: list[Applying | None] = [None, None, None]
        seconds: list[Applying | None] = [None, None, None]
        below: list[Applying | None] = [None, None, None]
        exception_tier = 3
        valid_until = below_until = math.inf
        for ref in applying:
            origin, _, is_enforced, is_counted, is_coming, changes_at = self._class_states[ref.class_id]
            tier = origin.tier
            if skip_lists and tier is Tier.LISTS:
                continue
            if origin.effect is Effect.MARKER:
                if ref.owner_offset == 0:
                    below_until = min(below_until, changes_at)
                    # One to come counts, too: a name that will exist must not be denied now (RFC 8020),
                    # and whoever keeps NXDOMAIN keeps it for all below.
                    if is_enforced or is_coming:
                        exception_tier = min(exception_tier, tier)
                continue
            if reaches_below(origin.form):
                below_until = min(below_until, changes_at)
                if is_enforced and below[tier] is None:
                    below[tier] = ref
                if is_coming and ref.owner_offset == 0 and is_exception_below(origin):
                    exception_tier = min(exception_tier, tier)
            if not reaches(origin.form, ref.owner_offset):
                continue
            valid_until = min(valid_until, changes_at)
            if is_enforced and winners[tier] is None:
                winners[tier] = ref
            if is_counted and seconds[tier] is None:
                seconds[tier] = ref
        winner = _first(winners)
        second = _first(seconds)
        shadow = None
        if second is not None and not self._class_states[second.class_id].is_enforced:
            shadow = self._match(qname, second)
        if winner is None:
            if shadow is None and valid_until == math.inf:
                return PASS
            return Verdict(shadow=shadow, valid_until=valid_until)
        origin = self._class_states[winner.class_id].origin
        match = self._match(qname, winner)
        if origin.effect is not Effect.BLOCK:
            exemption = EXEMPTIONS[origin.tier]
            return Verdict(PolicyAction.PASSTHRU, match, shadow, exemption, valid_until=valid_until)
        child = _first(below)
        nxdomain_ok = False
        if child is not None:
            heir = self._class_states[child.class_id].origin
            # RFC 8020: NXDOMAIN says that nothing exists below, so every name below must be blocked.
            nxdomain_ok = heir.effect is Effect.BLOCK and exception_tier > heir.tier
        return Verdict(
            match.rule.action,
            match,
            shadow,
            Exemption.NONE,
            qname,
            nxdomain_ok,
            min(valid_until, below_until),
        )

    def judge_target(self, name: bytes, now: float) -> Verdict:
        """What the rules but those of lists say of a name that a list's rule leads to."""
        return self._judge_later(name, now, skip_lists=True)

    def _match(self, qname: bytes, ref: Applying) -> RuleMatch:
        origin, rule, *_ = self._class_states[ref.class_id]
        return RuleMatch(rule, origin.form, qname[ref.owner_offset :], origin.file, ref.line)

    # The response's side.

    def judge_response(
        self, qname_verdict: Verdict, qname: bytes, qtype: int, response: Response, now: float
    ) -> Verdict:
        """What the rules say of an answer to `qname`, which itself is not blocked.

        `qname_verdict` itself comes back when the answer adds nothing to it.
        """
        if qname_verdict.exemption is Exemption.ALL:
            return qname_verdict
        if not response.links and not response.service_targets and not self.image.interval_starts:
            return qname_verdict
        held: Verdict | None = None
        for verdict in self._opinions(qname_verdict, response, now):
            if verdict.action is TCP_ONLY:
                held = held or verdict
            elif held is None:
                return verdict
            else:
                held.over_stream = verdict
        assert held is not None
        return held

    def _opinions(self, qname_verdict: Verdict, response: Response, now: float) -> Iterator[Verdict]:
        """What each part of an answer comes to, in order, up to the first that does not depend on TCP."""
        skip_lists = qname_verdict.exemption is Exemption.LISTS
        shadow = qname_verdict.shadow
        valid_until = qname_verdict.valid_until
        links = response.links
        names = [link.target for link in links]
        addresses = response.addresses if self.image.interval_starts else ()
        for kept_links, name in enumerate([*names, *response.service_targets], start=1):
            verdict = self._judge_later(name, now, skip_lists)
            if verdict is PASS:
                continue
            valid_until = min(valid_until, verdict.valid_until)
            if shadow is None:
                shadow = verdict.shadow
            if kept_links <= len(links) and is_protected(verdict):
                # Whoever is led to a protected name gets what whoever asks for it gets: all behind it.
                addresses = ()
                break
            if verdict.is_blocked:
                on_chain = kept_links <= len(links)
                yield Verdict(
                    verdict.action,
                    verdict.match,
                    shadow,
                    Exemption.NONE,
                    name if on_chain else response.name_at_end,
                    on_chain and verdict.nxdomain_ok,
                    valid_until,
                    kept_links if on_chain else len(links),
                    cause=None if on_chain else Cause(name),
                )
                if verdict.action is not TCP_ONLY:
                    return
                skip_lists = True  # The list has spoken; over a stream the rest is for exchanges.
        for address in addresses:
            if not (networks := self.networks_around(address)):
                continue
            match, bits, address_shadow, changes_at = self._judge_address(networks, skip_lists)
            valid_until = min(valid_until, changes_at)
            if shadow is None:
                shadow = address_shadow
            if match is not None:
                # An address speaks of one type only, so the name may still exist: never NXDOMAIN.
                end = response.name_at_end
                action = match.rule.action
                spoken = Verdict(action, match, shadow, Exemption.NONE, end, False, valid_until, len(links))
                spoken.cause = Cause(address, bits)
                yield spoken
                if action is not TCP_ONLY:
                    return
                skip_lists = True
        if shadow is qname_verdict.shadow and valid_until == qname_verdict.valid_until:
            yield qname_verdict
        else:
            exemption = qname_verdict.exemption
            yield Verdict(PASSTHRU, qname_verdict.match, shadow, exemption, valid_until=valid_until)

    def _judge_later(self, name: bytes, now: float, skip_lists: bool) -> Verdict:
        if not skip_lists:
            return self.judge_name(name, now)
        return self._decide(name, self.applying(name), skip_lists=True)

    def networks_around(self, address: bytes) -> list[tuple[int, int, bytes, int]]:
        """`addresses_at`, then the same of each IPv4 address that an IPv6 address carries."""
        networks = self.addresses_at(address)
        if len(address) == 16:
            for carried in carried_addresses(address, self.nat64_prefixes):
                networks += self.addresses_at(carried)
        return networks

    def addresses_at(self, address: bytes) -> list[tuple[int, int, bytes, int]]:
        """(class, line, packed network, prefix length) of each network around an address, smallest first."""
        image = self.image
        index = bisect_right(image.interval_starts, layout.mapped_address(address))
        if index == 0:
            return []
        _, first, count = layout.INTERVAL.unpack_from(image.intervals, (index - 1) * layout.INTERVAL.size)
        networks = []
        for number in range(first, first + count):
            fields = layout.ADDRESS_REF.unpack_from(image.refs, number * layout.ADDRESS_REF.size)
            class_id, length, family, line, network = fields
            networks.append((class_id, line, network[12:] if family == 4 else network, length))
        return networks

    def _judge_address(
        self, networks: list[tuple[int, int, bytes, int]], skip_lists: bool
    ) -> tuple[RuleMatch | None, int, RuleMatch | None, float]:
        """The enforced rule and its network's bits, the shadow rule, and when either may change."""
        winner = second = None
        bits = 0
        valid_until = math.inf
        for class_id, line, network, length in networks:
            origin, rule, is_enforced, is_counted, _, changes_at = self._class_states[class_id]
            if skip_lists and origin.tier is Tier.LISTS:
                continue
            valid_until = min(valid_until, changes_at)
            if origin.effect is Effect.ALLOW:
                if is_enforced:
                    break  # A list's exception, in a network no wider than those that would follow.
                continue
            match = RuleMatch(rule, None, network, origin.file, line)
            if is_enforced and winner is None:
                winner, bits = match, length
            if is_counted and second is None:
                second = match
        return winner, bits, None if second is winner else second, valid_until


def is_protected(verdict: Verdict) -> bool:
    """Whether a protected name decided; an exception of `allow` speaks for itself alone."""
    match = verdict.match
    return verdict.exemption is Exemption.ALL and match is not None and match.rule.kind == "protected"


def reaches(form: RuleForm | None, owner_offset: int) -> bool:
    """Whether a rule of this form applies to a name whose suffix at `owner_offset` is its owner."""
    if form is RuleForm.SUBTREE:
        return True
    return (form is RuleForm.EXACT) is (owner_offset == 0)


def reaches_below(form: RuleForm | None) -> bool:
    """Whether a rule at or above a name applies to names directly under it."""
    return form is not RuleForm.EXACT


def _first(tiers: list[Applying | None]) -> Applying | None:
    return tiers[0] or tiers[1] or tiers[2]


def _ready(state: ClassState) -> Ready | None:
    origin = state.origin
    if not state.is_enforced or origin.effect is not Effect.BLOCK or origin.form is None:
        return None
    return Ready(state.rule.action, state.rule, origin.form, origin.file, state.changes_at)


def open_table(
    path: Path,
    wall: float,
    monotonic: float,
    generation: int,
    nat64_prefixes: tuple[Nat64Prefix, ...] = (),
    *,
    is_shared: bool = False,
) -> PolicyTable:
    """The policy in the image at `path`, checked, as of `wall`.  Raises `ImageUnusable`."""
    image = Image(path)
    image.verify()
    return PolicyTable(image, generation, wall, monotonic, nat64_prefixes=nat64_prefixes, is_shared=is_shared)
