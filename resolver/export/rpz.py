"""Response Policy Zones: the one format that many resolvers read.

Knows: draft-vixie-dnsop-dns-rpz's triggers and actions, and what wildcards mean in a zone.
Does not know: which resolver will load it; the zone's name is the reader's to choose.
Theory: `x` and `*.x` are two owners.  A wildcard reaches only names whose closest encloser is its
parent (RFC 4592 §2.2), so a name that stands in the zone hides the wildcards above it from all
names below it, and so do the empty names between.  Hence each owner written gets its
wildcard beside it, and so do the names between it and the next owner above.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from resolver.export.losses import Losses, LossKind
from resolver.export.spelling import WILDCARD_LABEL, address_text, master_name, network_text
from resolver.export.tree import NOTHING, Network, Outcome, Point, PolicyTree
from resolver.policy.verdict import PolicyAction

NAME_OCTETS_MAX = 223
"""Longest owner: with `*.` before it and a zone's name of 30 octets behind it 255 are not exceeded."""
SERIALS = 1 << 32
"""A serial has 32 bits (RFC 1982)."""
DEFAULT_TTL_S = 300
"""Of a policy that blocks nothing, as a blocklist's own default."""

LIMITS = (
    "HTTPS and SVCB targets are not looked at, only names that a CNAME leads to",
    "Extended DNS Errors, contacts and counts per exchange",
    "one SOA for all denials: its owner is the policy zone",
    "Knot Resolver 5: neither CNAME targets nor addresses are looked at, and drop is SERVFAIL",
)
"""What no zone says, whatever the policy."""

_TARGETS = {
    PolicyAction.NXDOMAIN: "CNAME .",
    PolicyAction.NODATA: "CNAME *.",
    PolicyAction.PASSTHRU: "CNAME rpz-passthru.",
    PolicyAction.DROP: "CNAME rpz-drop.",
    PolicyAction.TCP_ONLY: "CNAME rpz-tcp-only.",
}


def zone_lines(tree: PolicyTree, losses: Losses, header: list[str], wall: float) -> Iterator[str]:
    """The lines of a master file with relative owners; its serial is the time, `wall`."""
    rules = tree.block_rules(enforced_only=True)
    ttls = sorted({rule.ttl_s for rule in rules}) or [DEFAULT_TTL_S]
    for rule in rules:
        if rule.ttl_s != ttls[0]:
            losses.note(LossKind.TTL, f"{rule.kind} {rule.label}")
    yield from (f"; {line}\n" for line in header)
    yield f"$TTL {ttls[0]}\n"
    # RFC 2308 §5: MINIMUM caps how long a denial is kept.
    yield f"@ SOA policy.invalid. nobody.invalid. {int(wall) % SERIALS} 3600 600 86400 {ttls[0]}\n"
    yield "@ NS policy.invalid.\n"
    writer = _Zone(losses, ttls[0])
    for network in tree.networks():
        yield from writer.network(network)
    filled: set[bytes] = set()
    for point in tree.points():
        if not point.is_new:
            continue
        yield writer.point(point)
        if point.here.is_listed and point.here.is_exception:
            losses.note(LossKind.LIST_EXCEPTIONS, point.name)
        if point.inherited.is_blocked or point.inherited.is_exception:
            for between in _names_between(tree, point, filled):
                yield writer.point(between)


def _names_between(tree: PolicyTree, point: Point, filled: set[bytes]) -> Iterator[Point]:
    """The names above `point` up to the next one that is written anyway."""
    for name in tree.ancestors(point.name):
        above = tree.point(name)
        if name in filled or above.is_new:
            return
        filled.add(name)
        yield above


class _Zone:
    """Spells owners and outcomes."""

    def __init__(self, losses: Losses, ttl_s: int) -> None:
        self._losses = losses
        self._ttl_s = ttl_s
        self._tails: dict[int, tuple[Outcome, tuple[str, ...]]] = {}

    def point(self, point: Point) -> str:
        """The records of a name and of its wildcard."""
        name, here, below, inherited = point
        if len(name) > NAME_OCTETS_MAX or WILDCARD_LABEL in name or len(name) == 1:
            self._losses.note(LossKind.NAME, name)
            return ""
        if PolicyAction.REFUSED in (here.action, below.action):
            self._losses.note(LossKind.DENIAL, name)
        text = master_name(name)
        # Where nothing is inherited, an owner that is not there says the same as no rule.
        is_covered = inherited.is_blocked
        lines = ""
        if is_covered or here is not NOTHING:
            for tail in self._tail(here):
                lines += text + tail
        if is_covered or below is not NOTHING:
            for tail in self._tail(below):
                lines += "*." + text + tail
        return lines

    def network(self, network: Network) -> Iterator[str]:
        """The records of a response-address trigger."""
        owner = f"{ip_trigger(network.packed, network.prefix_length)}.rpz-ip"
        if network.outcome.action is PolicyAction.REFUSED:
            self._losses.note(LossKind.DENIAL, network_text(network.packed, network.prefix_length))
        for tail in self._tail(network.outcome):
            yield owner + tail

    def _tail(self, outcome: Outcome) -> tuple[str, ...]:
        """What follows the owner, line feed included."""
        known = self._tails.get(id(outcome))
        if known is None:
            # The outcome is kept with its tails, so its id stays its own.
            known = self._tails[id(outcome)] = (outcome, tuple(self._spell(outcome)))
        return known[1]

    def _spell(self, outcome: Outcome) -> Iterator[str]:
        ttl = f" {outcome.ttl_s}" if outcome.is_blocked and outcome.ttl_s != self._ttl_s else ""
        if outcome.action is PolicyAction.SINKHOLE:
            for address in outcome.addresses:
                yield f"{ttl} {'A' if len(address) == 4 else 'AAAA'} {address_text(address)}\n"
            return
        if outcome.action is PolicyAction.LOCAL_DATA:
            yield f"{ttl} CNAME {target_text(outcome.target)}\n"
            return
        action = outcome.action
        if action is PolicyAction.REFUSED:
            # A zone knows no such answer; the nearest denial that is true.
            action = PolicyAction.NXDOMAIN if outcome.is_whole else PolicyAction.NODATA
        yield f"{ttl} {_TARGETS[action]}\n"


def target_text(target: bytes) -> str:
    """A CNAME's target with its last dot; `*.` in front stands for the denied name."""
    if target.startswith(WILDCARD_LABEL):
        return f"*.{master_name(target[len(WILDCARD_LABEL) :])}."
    return f"{master_name(target)}."


def ip_trigger(packed: bytes, prefix_length: int) -> str:
    """`24.0.113.0.203` for 203.0.113.0/24, `32.zz.db8.2001` for 2001:db8::/32."""
    address = ipaddress.ip_address(packed)
    if address.version == 4:
        words = str(address).split(".")
    else:
        words = str(address).replace("::", ":zz:").strip(":").split(":")
    return ".".join([str(prefix_length), *reversed(words)])
