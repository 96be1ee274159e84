"""What is blocked now and not afterwards: one blocklist, at one moment, held against another one.

Knows: what each enforces (`in_force`), and how to say what opens.  Does not know: which of them serves, the
clock, whether it is too much (`falls`), what list files hold: a list is told as a whole.
Theory: whatever the cause, an entry taken out, a date, a mode, an exception, an order that ended, the two
sides are judged name by name, so nothing can open and not be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from resolver.blocklist.conflicts import entry_text
from resolver.blocklist.in_force import BELOW, ITSELF, Entry, InForce, next_start, suffixes
from resolver.blocklist.spelling import readable
from resolver.plurals import counted
from resolver.policy.verdict import PolicyRule, RuleForm

NAMES_SHOWN_MAX = 20
"""Named in one remark; the others are counted there, and named in the log."""
NAMES_LOGGED_MAX = 2_000
"""Named in the log for one kind; a fifth of what is usual is far less."""
LINE_CHARS_MAX = 800
"""A log line holds a thousand characters; longer ones are cut."""
CONFIDENTIAL_MARK = " (confidential)"

_PARTS = (RuleForm.EXACT, RuleForm.BELOW)


@dataclass(frozen=True, slots=True)
class Names:
    """What to call things of one kind."""

    texts: tuple[str, ...] = ()
    hidden: int = 0
    """So many more, of which nobody outside is told."""

    def __len__(self) -> int:
        return len(self.texts) + self.hidden

    def shown(self, most: int = NAMES_SHOWN_MAX) -> str:
        """The first `most`, and how many more there are."""
        more = len(self.texts) - most
        said = ", ".join(self.texts[:most]) + (f" and {more:,} more" if more > 0 else "")
        return " and ".join(filter(None, (said, f"{self.hidden:,} confidential" if self.hidden else "")))


@dataclass(frozen=True, slots=True)
class Loss:
    """Things of one kind that were enforced and would not be any more."""

    noun: str
    names: Names
    said: str = "no longer blocked"

    def shown(self) -> str:
        """One remark, with the first names."""
        return f"{self.said}: {counted(len(self.names), self.noun)}: {self.names.shown()}"

    def lines(self) -> Iterator[str]:
        """All names, in as many log lines as they take."""
        head = f"{self.said}: {counted(len(self.names), self.noun)}: "
        line = ""
        for name in self.names.texts[:NAMES_LOGGED_MAX]:
            if line and len(head) + len(line) + len(name) > LINE_CHARS_MAX:
                yield head + line
                line = ""
            line += f", {name}" if line else name
        left_out = len(self.names.texts) - NAMES_LOGGED_MAX
        tail = f" and {left_out:,} more" if left_out > 0 else ""
        if self.names.hidden:
            tail += f"{' and ' if line else ''}{self.names.hidden:,} confidential"
        yield head + line + tail


@dataclass(frozen=True, slots=True)
class Opening:
    """What is blocked on one side and not on the other."""

    exchanges: Names = Names()
    """Those that block nothing any more, each with the day on which it does again."""
    domains: Names = Names()
    networks: Names = Names()
    lists: Names = Names()
    reread: Names = Names()
    """Lists that are read from elsewhere or otherwise; what that opens, only their lines say."""
    allow_lists: Names = Names()
    """Lists of exceptions that were not there, or were read otherwise."""
    orders: Names = Names()
    """Because of which nothing is blocked any more, and something is open now."""
    allowed: Names = Names()
    """Exceptions that were not in force and take something away; what they say, for they open names that
    nobody wrote down."""
    protected: Names = Names()
    others: Names = field(default=Names())
    """Of `domains`: those that are of none of `exchanges`."""

    def __bool__(self) -> bool:
        return any(map(len, (self.exchanges, self.domains, self.networks, self.lists, *self._exceptions)))

    @property
    def _exceptions(self) -> tuple[Names, Names]:
        return (self.allowed, self.protected)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Kind by kind, as far as there is something."""
        losses = (
            Loss("order", self.orders, "no longer in force"),
            Loss("exchange", self.exchanges, "no longer enforced"),
            Loss("domain", self.domains),
            Loss("network", self.networks),
            Loss("list", self.lists, "no longer enforced"),
            # What their lines open has no names here either.
            Loss("list", self.reread, "read from elsewhere or otherwise"),
            Loss("list", self.allow_lists, "new exceptions from lists"),
            Loss("exception", self.allowed, "new under 'allow'"),
            Loss("exception", self.protected, "new under 'protected'"),
        )
        return tuple(loss for loss in losses if len(loss.names))

    def words(self, moment: str = "after this") -> str:
        """One sentence: how much that is blocked now is not `moment`, and the first names; empty: nothing."""
        if not self:
            return ""
        exceptions = Names(
            self.allowed.texts + self.protected.texts, self.allowed.hidden + self.protected.hidden
        )
        kinds = (
            ("exchange", self.exchanges, self.exchanges),
            ("domain", self.domains, self.others),
            ("network", self.networks, Names(self.networks.texts if not len(self.exchanges) else ())),
            ("list", self.lists, self.lists),
            ("exception", exceptions, exceptions),
        )
        counts = [
            counted(len(names), noun) if noun != "exception" else f"names under {counted(len(names), noun)}"
            for noun, names, _ in kinds
            if len(names)
        ]
        texts = tuple(text for _, _, shown in kinds for text in shown.texts)
        hidden = sum(shown.hidden for _, _, shown in kinds)
        # One exchange with one domain are two things; what one exception names may be many.
        verb = "is" if len(counts) == 1 and counts[0].startswith("1 ") else "are"
        return f"{', '.join(counts)} blocked now {verb} not blocked {moment}: {Names(texts, hidden).shown()}"

    def as_json(self, names_max: int | None = None) -> dict[str, Any]:
        """The sentence, and each kind with at most `names_max` names and its count."""
        kinds = {
            "exchanges": self.exchanges,
            "domains": self.domains,
            "networks": self.networks,
            "lists": self.lists,
            "orders": self.orders,
            "allow": self.allowed,
            "protected": self.protected,
        }
        return {
            "words": self.words(),
            **{
                kind: {"count": len(names), "names": list(names.texts[:names_max])}
                for kind, names in kinds.items()
                if len(names)
            },
        }


class Comparison:
    """Two sides, and what the first blocks and the second does not."""

    def __init__(self, old: InForce, new: InForce) -> None:
        self.old = old
        self.new = new
        self.domains = [entry for entry in old.domains if old.own_parts(entry) & ~new.parts(entry)]
        """Entries of which at least a part is not blocked any more."""
        self.networks = [network for network in old.networks if not new.has_network(network)]
        self.lists = sorted(
            name for name in old.lists.keys() - new.lists.keys() if not self._is_renamed(name)
        )
        self.reread = sorted(
            name for name in old.lists.keys() & new.lists.keys() if old.readings[name] != new.readings[name]
        )
        self.allow_lists = sorted(
            name for name in new.allow_lists if old.lists and old.readings.get(name) != new.readings[name]
        )
        self.allowed = [entry for entry in new.allow - old.allow if _reaches(entry, old)]
        self.protected = [entry for entry in new.protected - old.protected if _reaches(entry, old)]
        touched = {old.domains[entry] for entry in self.domains}
        touched |= {old.networks[network] for network in self.networks}
        self.exchanges = sorted(label for label in old.exchanges - new.exchanges if label in touched)
        """Those that block nothing any more; one whose names another exchange has taken over is not lost."""
        touched |= {f"list {name}" for name in self.lists}
        self.orders = sorted(
            order
            for order, labels in old.orders.items()
            if order not in new.orders and not touched.isdisjoint(labels)
        )

    def _is_renamed(self, name: str) -> bool:
        """Whether the same file is read likewise under a new name; a download has no copy there yet."""
        old, new = self.old, self.new
        return not old.is_download[name] and any(
            new.readings[other] == old.readings[name] for other in new.lists.keys() - old.lists.keys()
        )

    def points(self) -> set[tuple[bytes, int]]:
        """Every name that either side writes down, with its part, that is blocked and then is not."""
        owners = {rule.owner for side in (self.old, self.new) for rule in side.blocklist.name_rules}
        return {
            (owner, part)
            for owner in owners
            for part in (ITSELF, BELOW)
            if self.old.blocks(owner, part) and not self.new.blocks(owner, part)
        }

    def opening(self, *, conceal: bool) -> Opening:
        """The same in words.  `conceal`: for outside, where what is confidential is a count."""
        old = self.old
        lost = set(self.exchanges)
        domains = [(readable(entry_text(*entry)), old.domains[entry]) for entry in self.domains]
        secret = {label for label in old.exchanges if old.is_confidential(label)}

        def names(pairs: Iterable[tuple[str, bool]]) -> Names:
            return names_of(sorted(pairs), conceal=conceal)

        return Opening(
            exchanges=names(
                (self._returning(label, self.new.rules.get(label)), label in secret)
                for label in self.exchanges
            ),
            domains=names((text, label in secret) for text, label in domains),
            networks=names((str(network), old.networks[network] in secret) for network in self.networks),
            lists=names(
                (self._returning(name, self._list_rule(name)), old.lists[name].at(old.now).is_confidential)
                for name in self.lists
            ),
            reread=names((name, old.lists[name].at(old.now).is_confidential) for name in self.reread),
            allow_lists=names((name, False) for name in self.allow_lists),
            orders=names((order, old.blocklist.orders[order].is_confidential) for order in self.orders),
            allowed=names(self._exceptions(self.allowed)),
            protected=names(self._exceptions(self.protected)),
            others=names((text, label in secret) for text, label in domains if label not in lost),
        )

    def _exceptions(self, entries: Sequence[Entry]) -> Iterator[tuple[str, bool]]:
        """Exceptions, each with whether it tells of something confidential."""
        owners = {owner for (owner, _), label in self.old.domains.items() if self.old.is_confidential(label)}
        for owner, form in entries:
            is_secret = bool(owners) and not owners.isdisjoint(suffixes(owner))
            yield readable(entry_text(owner, form)), is_secret

    def _list_rule(self, name: str) -> PolicyRule | None:
        return next((spec.rule for spec in self.new.blocklist.lists if spec.name == name), None)

    def returns_at(self, rule: PolicyRule | None) -> float | None:
        """When something that is lost is enforced again; None: never."""
        return None if rule is None else next_start(rule, self.new.now)

    def _returning(self, label: str, rule: PolicyRule | None) -> str:
        moment = self.returns_at(rule)
        return label if moment is None else f"{label} until {day_text(moment)}"


def day_text(moment: float) -> str:
    """`2026-12-05`, with the time of day (UTC) where it is not midnight there."""
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when:%Y-%m-%d}" if moment % 86_400 == 0 else f"{when:%Y-%m-%d %H:%M} UTC"


def find_opening(old: InForce, new: InForce, *, conceal: bool = False) -> Opening:
    """What `old` blocks and `new` does not."""
    return Comparison(old, new).opening(conceal=conceal)


def names_of(pairs: Sequence[tuple[str, bool]], *, conceal: bool) -> Names:
    """What to call things, of each of which it is told whether it is confidential."""
    if conceal:
        return Names(
            tuple(text for text, is_secret in pairs if not is_secret),
            sum(is_secret for _, is_secret in pairs),
        )
    return Names(tuple(text + CONFIDENTIAL_MARK * is_secret for text, is_secret in pairs))


def _reaches(entry: Entry, old: InForce) -> bool:
    """Whether an exception takes anything away from what exchanges block, or may take from what lists do."""
    owner, _ = entry
    return bool(old.lists) or owner in old.reached or any(old.parts((owner, form)) for form in _PARTS)
