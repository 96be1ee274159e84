"""Unbound's own configuration: `local-zone` and `local-data`.

Knows: which zone type denies how, and what local data at the zone's own name changes.
Does not know: RPZ, which Unbound reads as well, and which says more.
Theory: the nearest `local-zone` at or above a name decides.  `always_*` and `redirect` speak of the
whole tree alike; in a `static` zone names without data do not exist while the zone's own name, which
has data, does; a `transparent` zone leaves all alone but names with data.
So a zone says what becomes of names below it, and data at its own name what becomes of that.
A name that passes while names below it are blocked is what no type says.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.export.losses import Losses, LossKind
from resolver.export.spelling import address_text, master_name, network_text
from resolver.export.tree import Outcome, Point, PolicyTree
from resolver.policy.verdict import PolicyAction

LIMITS = (
    "names that a CNAME, HTTPS or SVCB record leads to are not looked at",
    "names of lists are denied without a SOA, and without domain-insecure (memory)",
    "questions for DS of the topmost blocked name go upstream; of an exception they are denied",
    "Extended DNS Errors, contacts and counts per exchange",
)
"""What these files never say, whatever the policy."""

SOA = "SOA policy.invalid. nobody.invalid. 1 3600 600 86400"
"""Nobody's server, as in the answers of this program; MINIMUM follows."""

_WHOLE_ZONES = {
    PolicyAction.NXDOMAIN: "always_nxdomain",
    PolicyAction.NODATA: "always_nodata",
    PolicyAction.SINKHOLE: "redirect",
    PolicyAction.REFUSED: "always_refuse",
    PolicyAction.DROP: "always_deny",
    PolicyAction.LOCAL_DATA: "always_nodata",
}
_ONLY_WHOLE = (PolicyAction.REFUSED, PolicyAction.DROP, PolicyAction.LOCAL_DATA)
"""What data at a zone's own name can not do."""


def configuration_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """A file to `include:`."""
    yield from (f"# {line}\n" for line in header)
    yield "server:\n"
    for network in tree.networks():
        losses.note(LossKind.ADDRESSES, network_text(network.packed, network.prefix_length))
    for point in tree.points():
        if point.is_new:
            yield from _zone(point, losses)


def _zone(point: Point, losses: Losses) -> Iterator[str]:
    name, here, below, inherited = point
    if len(name) == 1:
        losses.note(LossKind.NAME, name)
        return
    text = master_name(name) + "."
    if here is below and here.is_listed and here.action is PolicyAction.NXDOMAIN:
        yield f'local-zone: "{text}" always_nxdomain\n'  # Nearly all of a large list.
        return
    if not here.is_blocked:
        if below.is_blocked:
            losses.note(LossKind.BELOW, name)
        if inherited.is_blocked:
            yield f'local-zone: "{text}" transparent\n'
        return
    if not here.is_listed and not inherited.is_blocked:
        yield f'domain-insecure: "{text}"\n'
    if not below.is_blocked:
        # An `=` rule: the name has data, so it exists, and all the rest is left alone.
        yield f'local-zone: "{text}" transparent\n'
        yield from _data(text, here, with_soa=True)
        if here.action in _ONLY_WHOLE:
            losses.note(LossKind.DENIAL, name)
    elif below == here or below.action is not PolicyAction.NXDOMAIN:
        yield f'local-zone: "{text}" {_WHOLE_ZONES[below.action]}\n'
        is_answered = below.action not in (PolicyAction.REFUSED, PolicyAction.DROP)
        yield from _data(text, below, with_soa=is_answered and not below.is_listed)
        is_same = (below.action, below.addresses) == (here.action, here.addresses)
        if not is_same or below.action is PolicyAction.LOCAL_DATA:
            losses.note(LossKind.DENIAL, name)
    else:
        is_same = here.action is PolicyAction.NXDOMAIN
        yield f'local-zone: "{text}" {"always_nxdomain" if is_same else "static"}\n'
        yield from _data(text, here, with_soa=not is_same or not below.is_listed)
        if here.action in _ONLY_WHOLE:
            losses.note(LossKind.DENIAL, name)


def _data(text: str, outcome: Outcome, *, with_soa: bool) -> Iterator[str]:
    """Data at a zone's own name: addresses, and the SOA that tells how long a denial holds."""
    if outcome.action is PolicyAction.SINKHOLE:
        for address in outcome.addresses:
            rtype = "A" if len(address) == 4 else "AAAA"
            yield f'local-data: "{text} {outcome.ttl_s} {rtype} {address_text(address)}"\n'
    if with_soa:
        yield f'local-data: "{text} {outcome.ttl_s} {SOA} {outcome.ttl_s}"\n'
