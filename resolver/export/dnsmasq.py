"""dnsmasq's `address=`, `local=` and `server=` lines.

Knows: which line denies, which sends upstream, and how `*.` reaches only below (dnsmasq 2.86).
Does not know: dnsmasq's own settings.
Theory: the longest pattern wins, and `/*.x/` is longer than `/x/` and reaches only names below x.  So
two lines say of a name and of what is below it whatever has to be said.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.export.losses import Losses, LossKind
from resolver.export.spelling import address_text, network_text, plain_name
from resolver.export.tree import Outcome, Point, PolicyTree
from resolver.policy.verdict import PolicyAction

LIMITS = (
    "dnsmasq 2.86 or later",
    "names that a CNAME, HTTPS or SVCB record leads to are not looked at",
    "denials carry no SOA, and the TTL of addresses is dnsmasq's `local-ttl`",
    "a name that exists with no data (an ancestor of an exception) answers questions for NAPTR",
    "Extended DNS Errors, contacts and counts per exchange",
)
"""What these lines never say, whatever the policy."""


def configuration_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """A file for `conf-file=`."""
    yield from (f"# {line}\n" for line in header)
    for network in tree.networks():
        # `bogus-nxdomain` denies every type of the name for a while, which is more than was asked.
        losses.note(LossKind.ADDRESSES, network_text(network.packed, network.prefix_length))
    for point in tree.points():
        if point.is_new:
            yield from _patterns(point, losses)


def _patterns(point: Point, losses: Losses) -> Iterator[str]:
    name, here, below, inherited = point
    text = plain_name(name)
    if text is None:
        losses.note(LossKind.NAME, name)
        return
    if here is below and here.action is PolicyAction.NXDOMAIN:
        yield f"address=/{text}/\n"  # Nearly all of a large list.
        return
    if here.is_blocked or inherited.is_blocked:
        yield from _pattern(text, here)
    if here.action is PolicyAction.NODATA:
        # A name with any record of its own exists, whatever the pattern says of the rest.
        yield f"naptr-record={text},0,0,,,\n"
    if _said(below) != (_said(here) if here.is_blocked or inherited.is_blocked else ()):
        yield from _pattern(f"*.{text}", below)
    said_otherwise = (PolicyAction.REFUSED, PolicyAction.DROP, PolicyAction.LOCAL_DATA)
    if here.action in said_otherwise or below.action in (*said_otherwise, PolicyAction.NODATA):
        losses.note(LossKind.DENIAL, name)


def _said(outcome: Outcome) -> tuple[object, ...]:
    """What a pattern can tell apart; empty: nothing is blocked."""
    if not outcome.is_blocked:
        return ()
    return (outcome.action is PolicyAction.SINKHOLE, outcome.addresses)


def _pattern(pattern: str, outcome: Outcome) -> Iterator[str]:
    if not outcome.is_blocked:
        yield f"server=/{pattern}/#\n"
    elif outcome.action is PolicyAction.SINKHOLE:
        for address in outcome.addresses:
            yield f"address=/{pattern}/{address_text(address)}\n"
        # Without it other types would be asked upstream.
        yield f"local=/{pattern}/\n"
    else:
        yield f"address=/{pattern}/\n"
