"""What one blocklist enforces at one moment: names, networks, exchanges, lists and orders.

Knows: which rule wins among the blocklist's own names.  Does not know: what list files hold, the clock.
Theory: names are judged, not compared: `a.x` is still enforced where `x` is, and not where `allow` has it.
A name is judged in two parts, itself and the names right below it, for that is what forms tell apart.
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Network, IPv6Network

from resolver.blocklist.rules import Blocklist, ListSpec
from resolver.policy.verdict import Mode, PolicyRule, RuleForm
from resolver.wire.names import suffix_offsets

Entry = tuple[bytes, RuleForm]
"""A name with its form, as the file has it."""

ITSELF, BELOW = 1, 2
"""The two parts of a name, as bits."""
REACHES = {RuleForm.EXACT: ITSELF, RuleForm.BELOW: BELOW, RuleForm.SUBTREE: ITSELF | BELOW}
"""Which parts of its owner a form reaches."""


class InForce:
    """What one blocklist enforces at `now` (Unix seconds)."""

    def __init__(self, blocklist: Blocklist, now: float) -> None:
        self.blocklist = blocklist
        self.now = now
        self._blocked: dict[bytes, int] = {}
        self._allowed: dict[bytes, int] = {}
        self._protected: dict[bytes, int] = {}
        kinds = {"block": self._blocked, "allow": self._allowed, "protect": self._protected}
        self.rules: dict[str, PolicyRule] = {rule.label: rule for rule in blocklist.exchanges}
        """Exchange id -> its rule, in force or not."""
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
            elif not rule.is_in_force(now):
                continue
            elif line:
                (self.allow if effect == "allow" else self.protected).add((owner, form))
            kind = kinds[effect]
            kind[owner] = kind.get(owner, 0) | REACHES[form]
        self._excepted = self._allowed.keys() | self._protected.keys()
        self.domains: dict[Entry, str] = {}
        """Every entry that has an effect, and the exchange it is of."""
        self._partial: dict[Entry, int] = {}
        for entry, label in written.items():
            if parts := self.parts(entry):
                self.domains[entry] = label
                if parts != REACHES[entry[1]]:
                    self._partial[entry] = parts
        self.networks: dict[IPv4Network | IPv6Network, str] = {
            rule.network: rule.rule.label for rule in blocklist.address_rules if rule.rule.label in active
        }
        self.exchanges = {*self.domains.values(), *self.networks.values()}
        """Ids of those that block something."""
        self.lists: dict[str, PolicyRule] = {
            spec.name: spec.rule
            for spec in blocklist.lists
            if spec.kind == "block" and spec.rule.is_in_force(now)
        }
        self.readings = {spec.name: _reading(spec) for spec in blocklist.lists if spec.rule.is_in_force(now)}
        """How each list is read, those of exceptions, too."""
        self.is_download = {spec.name: spec.download is not None for spec in blocklist.lists}
        self.allow_lists = {
            spec.name for spec in blocklist.lists if spec.kind == "allow" and spec.rule.is_in_force(now)
        }

    @property
    def is_empty(self) -> bool:
        """Whether nothing is blocked."""
        return not (self.exchanges or self.lists)

    @cached_property
    def reached(self) -> set[bytes]:
        """Each owner that is blocked, and each name above one: an exception there opens something."""
        return {suffix for owner, _ in self.domains for suffix in suffixes(owner)}

    @cached_property
    def orders(self) -> dict[str, set[str]]:
        """Id of each order because of which something is blocked -> exchanges, and lists as `list x`."""
        found: dict[str, set[str]] = {}
        for label in self.exchanges:
            for order in self._orders_of(self.rules[label]):
                found.setdefault(order, set()).add(label)
        for name, rule in self.lists.items():
            for order in self._orders_of(rule):
                found.setdefault(order, set()).add(f"list {name}")
        return found

    def _orders_of(self, rule: PolicyRule) -> list[str]:
        orders = self.blocklist.orders
        return [key for key in rule.at(self.now).orders if orders[key].is_in_force(self.now)]

    def is_confidential(self, label: str) -> bool:
        """Whether nobody outside is told that this exchange is blocked."""
        return self.rules[label].at(self.now).is_confidential

    def parts(self, entry: Entry) -> int:
        """Which parts of what the entry stands for are blocked, as far as no exception is further down."""
        owner, form = entry
        reach = REACHES[form]
        # Nearly every name: its own rule reaches far enough, and no exception is at it or above.
        if self._blocked.get(owner, 0) & reach == reach and not any(
            owner[offset:] in self._excepted for offset in suffix_offsets(owner)
        ):
            return reach
        return sum(bit for bit in (ITSELF, BELOW) if reach & bit and self.blocks(owner, bit))

    def own_parts(self, entry: Entry) -> int:
        """The same of one of `domains`, without judging it again."""
        return self._partial.get(entry) or REACHES[entry[1]]

    def has_network(self, network: IPv4Network | IPv6Network) -> bool:
        """Whether answers that point into the network are blocked."""
        return any(
            network.supernet(new_prefix=length) in self.networks
            for length in range(network.prefixlen, -1, -1)
        )

    def blocks(self, owner: bytes, part: int) -> bool:
        """Whether a block wins at the owner (or for a name right below it)."""
        pairs = [(suffix, BELOW) for suffix in suffixes(owner)]
        pairs[0] = (owner, part)
        if any(self._protected.get(suffix, 0) & reach for suffix, reach in pairs):
            return False
        for suffix, reach in pairs:
            # The longest owner wins, then an exception over a block.
            if self._allowed.get(suffix, 0) & reach:
                return False
            if self._blocked.get(suffix, 0) & reach:
                return True
        return False


def next_start(rule: PolicyRule, now: float) -> float | None:
    """When the rule is enforced next after `now`; None: never again."""
    return min(
        (
            phase.starts_at
            for phase in rule.phases or (rule,)
            if phase.mode is Mode.ENFORCE and phase.starts_at is not None and now < phase.starts_at
        ),
        default=None,
    )


def suffixes(owner: bytes) -> list[bytes]:
    """The name and all above it, longest first, the root last."""
    return [owner[offset:] for offset in (*suffix_offsets(owner), len(owner) - 1)]


def _reading(spec: ListSpec) -> tuple[object, ...]:
    """What decides which names a list has, but for its content."""
    source = str(spec.path) if spec.download is None else spec.download.url
    return source, spec.register or spec.format, spec.match
