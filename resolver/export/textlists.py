"""Plain lists of names: `hosts`, `domains` and `adblock`.

Knows: how far a line of each reaches.  Does not know: which program reads it, or how that denies.
Theory: none of these blocks a name that passes here.  Where a format can not tell two names
apart, the line that would block both is left out, and that is reported: a name missing from a list is
seen by whoever reads the report, an exception that is blocked by whoever needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from resolver.export.losses import Losses, LossKind
from resolver.export.spelling import address_text, network_text, plain_name
from resolver.export.tree import Outcome, Point, PolicyTree
from resolver.policy.verdict import PolicyAction

_COMMON_LIMITS = (
    "which answer a blocked name gets, and its TTL: the reading program's choice",
    "names that a CNAME, HTTPS or SVCB record leads to, unless the reading program looks at them",
    "Extended DNS Errors, contacts and counts per exchange",
)
HOSTS_LIMITS = ("types but A and AAAA are not blocked", *_COMMON_LIMITS)
DOMAINS_LIMITS = ("each name stands for its whole tree", *_COMMON_LIMITS)
ADBLOCK_LIMITS = ("readers that serve DNS; an exception beats every rule above and below it", *_COMMON_LIMITS)

NO_ADDRESSES = ("0.0.0.0", "::")
"""What hosts lists give names that are to lead nowhere."""


def hosts_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """Lines of hosts(5): each speaks of one name."""
    yield from _head("#", tree, losses, header)
    for point in tree.points():
        name, here, below, _ = point
        text = plain_name(name)
        if text is None:
            losses.note(LossKind.NAME, name)
            continue
        if below.is_blocked:
            losses.note(LossKind.SUBTREE, name)
        if not here.is_blocked:
            continue
        addresses: Iterable[str] = NO_ADDRESSES
        if here.action is PolicyAction.SINKHOLE:
            addresses = map(address_text, here.addresses)
        else:
            _note_denial(name, here, losses)
        for address in addresses:
            yield f"{address} {text}\n"


def domains_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """One name a line, each standing for its tree."""
    yield from _head("#", tree, losses, header)
    for point in tree.points():
        name, here, below, inherited = point
        if not (here.is_blocked or below.is_blocked):
            continue
        text = plain_name(name)
        if text is None:
            losses.note(LossKind.NAME, name)
        elif not here.is_blocked:
            losses.note(LossKind.BELOW, name)
        elif not below.is_blocked:
            losses.note(LossKind.EXACT, name)
        elif not here.is_whole:
            losses.note(LossKind.EXCEPTION, name)
        elif not (inherited.is_blocked and _is_covered(tree, name)):
            _note_denial(name, here if here.action is not PolicyAction.NXDOMAIN else below, losses)
            yield f"{text}\n"


def _is_covered(tree: PolicyTree, name: bytes) -> bool:
    """Whether a line for a name above speaks of this one already."""
    for above in tree.ancestors(name):
        if tree.owns_rules(above):
            point = tree.point(above)
            if point.here.is_blocked and point.below.is_blocked and point.here.is_whole:
                return True
    return False


def adblock_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """`||x^` a tree, `|x^` a name, and `@@` before either an exception."""
    yield from _head("!", tree, losses, header)
    for point in tree.points():
        if point.here.is_blocked == point.below.is_blocked == point.inherited.is_blocked:
            continue
        text = plain_name(point.name)
        if text is None:
            losses.note(LossKind.NAME, point.name)
            continue
        yield from _adblock_rules(tree, point, text, losses)


def _adblock_rules(tree: PolicyTree, point: Point, text: str, losses: Losses) -> Iterator[str]:
    name, here, below, inherited = point
    if inherited.is_blocked:
        if below.is_blocked:
            yield f"@@|{text}^\n"
        else:
            yield f"@@||{text}^\n"
            if here.is_blocked:
                losses.note(LossKind.NESTED, name)
        return
    _note_denial(name, here if here.is_blocked else below, losses)
    if inherited.is_exception and _is_excepted(tree, name):
        losses.note(LossKind.NESTED, name)
    elif not below.is_blocked:
        yield f"|{text}^\n"
    else:
        yield f"||{text}^\n"
        if not here.is_blocked:
            yield f"@@|{text}^\n"


def _is_excepted(tree: PolicyTree, name: bytes) -> bool:
    """Whether an exception for a tree around this name is among the lines."""
    for above in tree.ancestors(name):
        if tree.owns_rules(above):
            point = tree.point(above)
            if point.inherited.is_blocked and not point.below.is_blocked:
                return True
    return False


def _head(sign: str, tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    yield from (f"{sign} {line}\n" for line in header)
    for network in tree.networks():
        losses.note(LossKind.ADDRESSES, network_text(network.packed, network.prefix_length))


def _note_denial(name: bytes, outcome: Outcome, losses: Losses) -> None:
    """A list says that a name is blocked, not how: only what readers do by themselves is said."""
    if outcome.action not in (PolicyAction.NXDOMAIN, PolicyAction.NODATA):
        losses.note(LossKind.DENIAL, name)
