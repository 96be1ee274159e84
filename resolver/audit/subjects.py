"""What an audit has to prove: every name that a rule, an exception or an order speaks of.

Knows: how to find them in a policy's table, and how they stand there now.  Does not know: questions, servers.
Theory: the image holds each rule's name once with the class it belongs to.  Exchanges, lists that cite an
order and what orders ask are taken whole, other lists by a sample: the names with the smallest hash, so that
the choice is spread over the list and another seed makes another one.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from resolver.audit.results import Kind, Status
from resolver.blocklist.measures import Measure
from resolver.blocklist.rules import BUILT_IN
from resolver.policy.image import ADDRESS_REF, Effect
from resolver.policy.table import PolicyTable
from resolver.policy.verdict import CONFIDENTIAL, Mode, PolicyAction, PolicyRule, RuleForm

LIST_SAMPLE = 1_000
"""Names asked of a list that cites no order, unless told otherwise: a leak in one of a thousand is seen
with two chances in three, and a million names would take a quarter of an hour."""
EXCEPTION_SAMPLE = 200
"""Exceptions, and protected names of the blocklist, that are asked, unless told otherwise."""
BUILT_IN_SAMPLE = 25
"""Of the names that come with the program."""


class Ask(NamedTuple):
    """One host that an order names."""

    order: str
    name: bytes
    """Wire form, lower case."""
    is_confidential: bool
    why: str
    """Why the policy does not enforce it; empty: it does, or will."""
    line: int
    """Of the order in the blocklist."""
    is_beyond_dns: bool = False
    """Whether it is a page, or what else no rule could block: then it is open, and no finding."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One name to be proved."""

    name: bytes
    """The rule's owner: wire form, lower case."""
    form: RuleForm
    kind: str
    """`exchange`, `list`, `allow`, `protected` or `ask`."""
    source: str
    """Exchange id or list name; of an `ask` the order."""
    orders: tuple[str, ...]
    file: str
    line: int
    is_confidential: bool
    status: Status | None
    """What is known without asking: not in force; None: ask."""
    reason: str = ""
    """With a status why; with a flaw what is wrong."""
    flaw: Kind | None = None
    """What is wrong before anybody is asked: the policy itself does not do what is prescribed."""

    @property
    def is_exception(self) -> bool:
        """Whether it is meant to pass."""
        return self.kind in ("allow", "protected")


@dataclass(slots=True)
class Found:
    """The subjects of one policy."""

    subjects: list[Subject] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Exchange or list -> names beyond the sample."""
    address_rules: int = 0

    def leave_out(self, subject: Subject, count: int) -> None:
        """So many names of this one's source are not in the sample."""
        # Only the sum of what is confidential: the source's very name would tell.
        source = CONFIDENTIAL if subject.is_confidential else subject.source
        self.left_out[source] = self.left_out.get(source, 0) + count


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them; empty: all."""

    order: str = ""
    exchange: str = ""
    register: str = ""
    sample: int | None = None
    """At most so many names that are in force, over all sources; None: the default set."""
    seed: int = 0
    names: frozenset[bytes] | None = None
    """Only subjects of these names (wire form, lower case); None: of any."""
    first: frozenset[bytes] = frozenset()
    """Subjects of these names are in every sample: what was wrong before is asked until it is right."""

    @property
    def is_part(self) -> bool:
        """Whether something in particular is wanted."""
        return bool(self.order or self.exchange or self.register)

    def has_name(self, name: bytes) -> bool:
        """Whether subjects of this name are wanted."""
        return self.names is None or name in self.names

    def has(self, rule: PolicyRule) -> bool:
        """Whether the names of a source are wanted."""
        if self.exchange and (rule.kind, rule.id) != ("exchange", self.exchange):
            return False
        if self.register and (rule.kind, rule.id) != ("list", self.register):
            return False
        return not self.order or self.order in rule.orders


def find_subjects(
    table: PolicyTable,
    wall: float,
    wanted: Wanted,
    asks: Iterable[Ask] = (),
    measures: Mapping[str, Measure] | None = None,
) -> Found:
    """Every subject of a table made for `wall` (Unix seconds)."""
    found = Found()
    chosen: dict[tuple[int, bool], _Choice] = {}
    classes = table.image.classes
    wants = [
        origin.effect is not Effect.MARKER and _wants(wanted, origin.rule, origin.effect)
        for origin in classes
    ]
    for name, class_id, line in references(table):
        if not wants[class_id] or not wanted.has_name(name):
            continue
        source, is_built_in = classes[class_id].rule, classes[class_id].file == BUILT_IN
        choice = chosen.get((id(source), is_built_in))
        if choice is None:
            most = BUILT_IN_SAMPLE if is_built_in else _most(source, wanted)
            choice = chosen[id(source), is_built_in] = _Choice(most, wanted.seed, wanted.first)
        choice.add(name, class_id, line)
    for choice in chosen.values():
        picked = [_subject(table, wall, measures or {}, *one) for one in choice.picked()]
        found.subjects += picked
        if choice.left_out and picked:
            found.leave_out(picked[0], choice.left_out)
    found.subjects += [
        _of_ask(table, ask)
        for ask in asks
        if (not wanted.is_part or ask.order == wanted.order) and wanted.has_name(ask.name)
    ]
    found.subjects.sort(key=lambda subject: _KINDS.index(subject.kind))
    if wanted.sample is not None:
        _cut(found, wanted.sample, wanted.seed, wanted.first)
    found.address_rules = sum(
        table.class_state(class_id).is_enforced for class_id, *_ in ADDRESS_REF.iter_unpack(table.image.refs)
    )
    return found


_KINDS = ("exchange", "ask", "list", "allow", "protected")
_OPEN = {
    Mode.SHADOW: (Status.SHADOWED, "its mode is shadow: counted, not enforced"),
    Mode.DISABLED: (Status.DISABLED, "its mode is disabled"),
}


class _Choice:
    """Of one source's references those with the smallest hashes, and `first`; all where there is no bound."""

    def __init__(self, most: int | None, seed: int, first: frozenset[bytes]) -> None:
        self._most = most
        self._first = first
        self._seed = seed
        self._all: list[tuple[bytes, int, int]] = []
        self._least: list[tuple[int, bytes, int, int]] = []
        self._count = 0

    def add(self, name: bytes, class_id: int, line: int) -> None:
        self._count += 1
        if self._most is None or name in self._first:
            self._all.append((name, class_id, line))
            return
        entry = (-xxh3_64_intdigest(name, self._seed), name, class_id, line)
        if len(self._least) < self._most:
            heapq.heappush(self._least, entry)
        elif self._least and entry > self._least[0]:
            heapq.heapreplace(self._least, entry)

    def picked(self) -> list[tuple[bytes, int, int]]:
        """In the order of their lines."""
        chosen = self._all + [entry[1:] for entry in self._least]
        return sorted(chosen, key=lambda one: (one[1], one[2]))

    @property
    def left_out(self) -> int:
        return self._count - len(self._all) - len(self._least)


def _wants(wanted: Wanted, rule: PolicyRule, effect: Effect) -> bool:
    if effect is Effect.BLOCK:
        return wanted.has(rule)
    # Exceptions belong to no order: they are looked at when everything is.
    return not wanted.is_part and rule.kind in ("allow", "protected")


def _most(rule: PolicyRule, wanted: Wanted) -> int | None:
    if rule.kind in ("allow", "protected"):
        return EXCEPTION_SAMPLE if wanted.sample is None else min(wanted.sample, EXCEPTION_SAMPLE)
    if wanted.sample is not None:
        return wanted.sample
    is_whole = rule.kind == "exchange" or rule.orders or rule.id == wanted.register
    return None if is_whole else LIST_SAMPLE


def references(table: PolicyTable) -> Iterator[tuple[bytes, int, int]]:
    """(owner, class, line) of everything in the image."""
    image = table.image
    blob = image.blob
    for offset in array("I", sorted(filter(None, image.places))):
        end = offset
        while length := blob[end]:
            end += length + 1
        name = bytes(blob[offset : end + 1])
        for class_id, line in image.refs_at(end + 1):
            yield name, class_id, line


def _subject(
    table: PolicyTable,
    wall: float,
    measures: Mapping[str, Measure],
    name: bytes,
    class_id: int,
    line: int,
) -> Subject:
    state = table.class_state(class_id)
    origin, rule = state.origin, state.rule
    form = origin.form
    assert form is not None
    status, reason = (None, "") if state.is_enforced else _standing(rule, wall)
    flaw = None
    if status is None and origin.effect is Effect.BLOCK:
        if reason := _what_opens(table, name, form):
            # Lists of strangers are made to be excepted from; what an order names is not.
            is_plain_list = rule.kind == "list" and not rule.orders
            status, flaw = (Status.OPEN, None) if is_plain_list else (None, Kind.EXCEPTED)
        elif reason := _unfulfilled(rule, measures):
            flaw = Kind.MEASURE
    is_confidential = rule.is_confidential or (
        origin.effect is not Effect.BLOCK and _is_within_confidential(table, name)
    )
    return Subject(
        name,
        form,
        rule.kind,
        rule.id,
        rule.orders,
        origin.file,
        line,
        is_confidential,
        status,
        reason,
        flaw,
    )


def _unfulfilled(rule: PolicyRule, measures: Mapping[str, Measure]) -> str:
    """What its orders prescribe where it does nothing of that; empty: it does, or they prescribe nothing."""
    prescribed = [(order, measures[order]) for order in rule.orders if order in measures]
    if not prescribed or any(_fulfils(rule, measure) for _, measure in prescribed):
        return ""
    order, measure = prescribed[0]
    return f"order {order} prescribes {measure}, and the policy says {rule.action.value}"


def _fulfils(rule: PolicyRule, measure: Measure) -> bool:
    if rule.action is not measure.action or rule.local_data != measure.local_data:
        return False
    if rule.action is not PolicyAction.SINKHOLE:
        return True
    return (rule.sinkhole_ipv4, rule.sinkhole_ipv6) == (measure.ipv4, measure.ipv6)


def _is_within_confidential(table: PolicyTable, name: bytes) -> bool:
    """Whether an exception would tell of a confidential rule above it."""
    return any(
        table.class_state(ref.class_id).origin.rule.is_ever_confidential for ref in table.applying(name)
    )


def _standing(rule: PolicyRule, wall: float) -> tuple[Status, str]:
    """Why a rule is not in force."""
    if rule.mode is not Mode.ENFORCE:
        return _OPEN[rule.mode]
    if rule.starts_at is not None and wall < rule.starts_at:
        return Status.PENDING, "its rule begins later"
    return Status.EXPIRED, "its rule has ended"


def _what_opens(table: PolicyTable, name: bytes, form: RuleForm) -> str:
    """Which exception takes from a rule the very name it has; empty: none."""
    asked = b"\x01\xff" + name if form is RuleForm.BELOW else name
    if len(asked) > 255:
        return ""
    verdict = table.judge_name(asked, 0.0)
    match = verdict.match
    if match is None or verdict.is_blocked:
        return ""
    place = f"{match.file}:{match.line}" if match.line else match.file
    return f"an exception opens it ({match.rule.kind}, {place})"


def _of_ask(table: PolicyTable, ask: Ask) -> Subject:
    is_open = not table.judge_name(ask.name, 0.0).is_blocked
    # The report names it with its reason.  A finding that nobody can mend would hide those that matter.
    is_beyond = is_open and ask.is_beyond_dns
    return Subject(
        ask.name,
        RuleForm.EXACT,
        "ask",
        ask.order,
        (ask.order,),
        "",
        ask.line,
        ask.is_confidential,
        Status.OPEN if is_beyond else None,
        (ask.why or "the policy does not block it") if is_open else "",
        Kind.NOT_ENFORCED if is_open and not is_beyond else None,
    )


def _cut(found: Found, most: int, seed: int, first: frozenset[bytes]) -> None:
    """Leave `most` subjects that are to be asked: of each source in turn one, so that each has some.

    Of `first` all stay, however many they are, and count.
    """
    by_source: dict[tuple[str, str], list[Subject]] = {}
    for subject in found.subjects:
        if subject.status is None and not subject.is_exception:
            by_source.setdefault((subject.kind, subject.source), []).append(subject)
    for subjects in by_source.values():
        subjects.sort(key=lambda one: xxh3_64_intdigest(one.name, seed))
    kept = {
        id(subject)
        for subject in found.subjects
        if subject.name in first and subject.status is None and not subject.is_exception
    }
    rank = 0
    while len(kept) < most and any(rank < len(subjects) for subjects in by_source.values()):
        for subjects in by_source.values():
            if rank < len(subjects) and len(kept) < most:
                kept.add(id(subjects[rank]))
        rank += 1
    remaining = []
    for subject in found.subjects:
        if subject.status is None and not subject.is_exception and id(subject) not in kept:
            found.leave_out(subject, 1)
        else:
            remaining.append(subject)
    found.subjects = remaining
