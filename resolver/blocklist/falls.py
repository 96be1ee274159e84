"""What an edit opens: the blocklist as it would be, held against the one that serves, at one moment.

Knows: which names, exchanges and lists a blocklist enforces, and how much less may be too much.
Does not know: which blocklist serves, what list files hold (`rails` has their sizes), the clock, approvals.
Theory: a file that was cut off, emptied or put into shadow is still a valid blocklist; only what served
before shows that it is none that anybody meant.  Names are judged, not compared: `a.x` is still enforced
where `x` is now, and is no longer enforced where `allow` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.blocklist.spelling import readable
from resolver.plurals import counted
from resolver.policy.verdict import RuleForm
from resolver.problems import Problem
from resolver.wire.names import suffix_offsets

EXCHANGES_FALL_MIN = 5
"""Fewer exchanges may go in one edit, whatever part of all they are."""
DOMAINS_FALL_MIN = 10
"""Fewer domains may go in one edit, whatever part of all they are."""
ALLOW_GROWTH_MAX = 10
"""So many exceptions may come in one edit, however few there were."""
NAMES_SHOWN_MAX = 20
"""Named in one remark; the others are counted there, and named in the log."""
NAMES_LOGGED_MAX = 2_000
"""Named in the log for one kind; a fifth of what is usual is far less."""
LINE_CHARS_MAX = 800
"""A log line holds a thousand characters; longer ones are cut."""

Entry = tuple[bytes, RuleForm]
"""A name with its form, as the file has it."""

_AT = {RuleForm.EXACT: 1, RuleForm.BELOW: 2, RuleForm.SUBTREE: 3}
"""How far a form reaches: bit 0 the owner itself, bit 1 the names below it."""
_ITSELF, _BELOW = 1, 2
_PARTS = (RuleForm.EXACT, RuleForm.BELOW)


class InForce:
    """What one blocklist enforces at one moment."""

    def __init__(self, blocklist: Blocklist, now: float) -> None:
        self._blocked: dict[bytes, int] = {}
        self._allowed: dict[bytes, int] = {}
        self._protected: dict[bytes, int] = {}
        kinds = {"block": self._blocked, "allow": self._allowed, "protect": self._protected}
        active = {rule.label for rule in blocklist.exchanges if rule.is_in_force(now)}
        written: dict[Entry, str] = {}
        self.allow: set[Entry] = set()
        self.protected: set[Entry] = set()
        """The file's own; the built-in ones come with the program."""
        for owner, form, effect, rule, _, line in blocklist.name_rules:
            if effect == "block":
                if rule.label not in active:
                    continue
                written.setdefault((owner, form), rule.label)
            elif line:
                (self.allow if effect == "allow" else self.protected).add((owner, form))
            kind = kinds[effect]
            kind[owner] = kind.get(owner, 0) | _AT[form]
        self._excepted = self._allowed.keys() | self._protected.keys()
        self.domains = {entry: label for entry, label in written.items() if self.blocks(entry)}
        """Every entry that has an effect, and the exchange it is of."""
        self.networks: dict[IPv4Network | IPv6Network, str] = {
            rule.network: rule.rule.label for rule in blocklist.address_rules if rule.rule.label in active
        }
        self.exchanges = {*self.domains.values(), *self.networks.values()}
        """Ids of those that block something."""
        in_force = [spec for spec in blocklist.lists if spec.rule.is_in_force(now)]
        self.lists = {spec.name: _reading(spec) for spec in in_force if spec.kind == "block"}
        """Each that blocks, and how it is read."""
        self.allow_lists = {spec.name: _reading(spec) for spec in in_force if spec.kind == "allow"}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is blocked."""
        return not (self.exchanges or self.lists)

    @cached_property
    def reached(self) -> set[bytes]:
        """Each owner that is blocked, and each name above one: an exception there opens something."""
        return {suffix for owner, _ in self.domains for suffix in suffixes(owner)}

    def blocks(self, entry: Entry) -> bool:
        """Whether all that the entry stands for is blocked, as far as no exception is further down."""
        owner, form = entry
        reach = _AT[form]
        # Nearly every name: its own rule reaches far enough, and no exception is at it or above.
        if self._blocked.get(owner, 0) & reach == reach and not any(
            owner[offset:] in self._excepted for offset in suffix_offsets(owner)
        ):
            return True
        return all(self._wins(owner, bit) for bit in (_ITSELF, _BELOW) if reach & bit)

    def has_network(self, network: IPv4Network | IPv6Network) -> bool:
        """Whether answers that point into the network are blocked."""
        return any(
            network.supernet(new_prefix=length) in self.networks
            for length in range(network.prefixlen, -1, -1)
        )

    def _wins(self, owner: bytes, bit: int) -> bool:
        """Whether a block wins at the owner (or for a name right below it)."""
        pairs = [(suffix, _BELOW) for suffix in suffixes(owner)]
        pairs[0] = (owner, bit)
        if any(self._protected.get(suffix, 0) & reach for suffix, reach in pairs):
            return False
        for suffix, reach in pairs:
            # The longest owner wins, then an exception over a block.
            if self._allowed.get(suffix, 0) & reach:
                return False
            if self._blocked.get(suffix, 0) & reach:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Loss:
    """Things of one kind that were enforced and would not be any more."""

    noun: str
    names: tuple[str, ...]
    said: str = "no longer blocked"

    def shown(self) -> str:
        """One remark, with the first names."""
        return f"{self.said}: {counted(len(self.names), self.noun)}: {listed(self.names)}"

    def lines(self) -> Iterator[str]:
        """All names, in as many log lines as they take."""
        head = f"{self.said}: {counted(len(self.names), self.noun)}: "
        line = ""
        for name in self.names[:NAMES_LOGGED_MAX]:
            if line and len(head) + len(line) + len(name) > LINE_CHARS_MAX:
                yield head + line
                line = ""
            line += f", {name}" if line else name
        left_out = len(self.names) - NAMES_LOGGED_MAX
        yield head + line + (f" and {left_out:,} more" if left_out > 0 else "")


@dataclass(frozen=True, slots=True)
class Fall:
    """How much an edit opens."""

    objections: tuple[str, ...] = field(default=())
    """Why it is too much to be believed; none: it may be loaded."""
    losses: tuple[Loss, ...] = field(default=())
    """What it opens."""

    def problems(self, file: str) -> list[Problem]:
        """What is lost, as warnings, then the objections, which only force overrules."""
        return [
            *(Problem(file, 0, loss.shown(), "warning") for loss in self.losses),
            *(Problem(file, 0, objection, forcible=True) for objection in self.objections),
        ]


def suffixes(owner: bytes) -> list[bytes]:
    """The name and all above it, longest first, the root last."""
    return [owner[offset:] for offset in (*suffix_offsets(owner), len(owner) - 1)]


def listed(names: Sequence[str]) -> str:
    """The first `NAMES_SHOWN_MAX`, and how many more there are."""
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more:,} more" if more > 0 else "")


def find_fall(before: Blocklist, after: Blocklist, now: float) -> Fall:
    """What `after` no longer enforces of what `before` does, both at `now` (Unix seconds)."""
    old, new = InForce(before, now), InForce(after, now)
    domains = [entry for entry in old.domains if not new.blocks(entry)]
    networks = [network for network in old.networks if not new.has_network(network)]
    exchanges = _lost_exchanges(old, new, set(domains), set(networks))
    lists = sorted(old.lists.keys() - new.lists.keys())
    # An exception opens names that nobody wrote down, so what it says is what can be named.
    allowed = [entry for entry in new.allow - old.allow if _reaches(entry, old)]
    protected = [entry for entry in new.protected - old.protected if _reaches(entry, old)]
    losses = (
        Loss("exchange", tuple(exchanges), "no longer enforced"),
        Loss("domain", _texts(domains)),
        Loss("network", tuple(map(str, networks))),
        Loss("list", tuple(lists), "no longer enforced"),
        # What their lines open has no names here either.
        Loss("list", _changed(old.lists, new.lists), "read from elsewhere or otherwise"),
        Loss("list", _new_exceptions(old, new), "new exceptions from lists"),
        Loss("exception", _texts(allowed), "new under 'allow'"),
        Loss("exception", _texts(protected), "new under 'protected'"),
    )
    objections = _objections(old, new, exchanges, domains, lists, after.fall_max_percent)
    return Fall(tuple(objections), tuple(loss for loss in losses if loss.names))


def _texts(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(sorted(readable(entry_text(owner, form)) for owner, form in entries))


def _reading(spec: ListSpec) -> tuple[object, ...]:
    """What decides which names a list has, but for its content."""
    source = str(spec.path) if spec.download is None else spec.download.url
    return source, spec.format, spec.match


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name]))


def _new_exceptions(old: InForce, new: InForce) -> tuple[str, ...]:
    """Lists of exceptions that were not there, or were read otherwise; they open what other lists block."""
    if not old.lists:
        return ()
    known = old.allow_lists
    return tuple(sorted(name for name, reading in new.allow_lists.items() if known.get(name) != reading))


def _reaches(entry: Entry, old: InForce) -> bool:
    """Whether an exception takes anything away from what exchanges block, or may take from what lists do."""
    owner, _ = entry
    return bool(old.lists) or owner in old.reached or any(old.blocks((owner, form)) for form in _PARTS)


def _lost_exchanges(
    old: InForce, new: InForce, domains: set[Entry], networks: set[IPv4Network | IPv6Network]
) -> list[str]:
    """Those that block nothing any more; one whose names another exchange has taken over is not lost."""
    of_lost = {old.domains[entry] for entry in domains} | {old.networks[network] for network in networks}
    return sorted(label for label in old.exchanges - new.exchanges if label in of_lost)


def _objections(
    old: InForce,
    new: InForce,
    exchanges: Sequence[str],
    domains: Sequence[Entry],
    lists: Sequence[str],
    percent: int,
) -> Iterator[str]:
    if new.is_empty and not old.is_empty:
        what = [
            counted(len(old.exchanges), "exchange") if old.exchanges else "",
            counted(len(old.domains), "domain") if old.domains else "",
            counted(len(old.lists), "list") if old.lists else "",
        ]
        yield f"nothing is blocked any more; what serves now enforces {', '.join(filter(None, what))}"
    for lost, total, least, noun, shown in (
        (len(exchanges), len(old.exchanges), EXCHANGES_FALL_MIN, "exchange", listed(exchanges)),
        (len(domains), len(old.domains), DOMAINS_FALL_MIN, "domain", listed(_texts(domains))),
    ):
        if lost >= least and lost * 100 > total * percent:
            yield (
                f"{lost:,} of {counted(total, noun)} in force would no longer be enforced, "
                f"{lost * 100 // total} %; allowed: {percent} % (defaults.fall_max_percent): {shown}"
            )
    if lists and not new.lists:
        before = counted(len(lists), "list")
        yield f"no list is enforced any more; what serves now has {before}: {listed(lists)}"
    if old.protected and not new.protected:
        names = _texts(old.protected)
        yield f"'protected' is gone; what serves now has {counted(len(names), 'name')}: {listed(names)}"
    grown = len(new.allow) - len(old.allow)
    if grown > ALLOW_GROWTH_MAX and len(new.allow) > 2 * len(old.allow):
        names = _texts(new.allow - old.allow)
        yield (
            f"'allow' grows from {len(old.allow):,} to {counted(len(new.allow), 'exception')}, "
            f"more than twice as many: {listed(names)}"
        )
