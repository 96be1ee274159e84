"""BIND: the policy zone, the clause that serves it, and the options that put it to work.

Knows: named.conf's grammar as far as a policy needs it.  Does not know: where named runs.
Theory: a zone clause stands at the top of named.conf, `response-policy` and `validate-except` within
`options`, of which there is but one; so there are two files to include, and the zone.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolver.export.losses import Losses
from resolver.export.rpz import NAME_OCTETS_MAX
from resolver.export.spelling import master_name
from resolver.export.tree import PolicyTree

ZONE_NAME = "exchange-policy.invalid"
"""The policy zone's: `invalid` never exists (RFC 6761 §6.4), so it hides nothing."""

LIMITS = (
    "HTTPS and SVCB targets are not looked at, only names that a CNAME leads to",
    "names of lists get no validate-except (memory)",
    "Extended DNS Errors, contacts and counts per exchange",
    "one SOA for all denials: its owner is the policy zone",
)
"""What these files never say, whatever the policy."""


def clause_lines(header: list[str], zone_file: str, options_file: str) -> Iterator[str]:
    """The file to include at the top level of named.conf."""
    yield from (f"// {line}\n" for line in header)
    yield f'// Include this file at the top level of named.conf, and "{options_file}" within options {{ }}.\n'
    yield f'zone "{ZONE_NAME}" {{\n'
    yield "    type primary;\n"
    yield f'    file "{zone_file}";\n'
    yield "    check-names ignore;\n"
    yield "    allow-query { none; };\n"
    yield "    allow-transfer { none; };\n"
    yield "};\n"


def options_lines(tree: PolicyTree, losses: Losses, header: list[str]) -> Iterator[str]:
    """The file to include within `options`."""
    yield from (f"// {line}\n" for line in header)
    yield "response-policy {\n"
    yield f'    zone "{ZONE_NAME}" policy given;\n'
    # A signed name must not be a way around the policy; denials need not wait for the world.
    yield "} break-dnssec yes qname-wait-recurse no;\n"
    names = [
        point.name
        for point in tree.points()
        if point.here.is_blocked
        and not point.here.is_listed
        and not point.inherited.is_blocked
        and len(point.name) <= NAME_OCTETS_MAX
    ]
    if names:
        # Denials from a filtering upstream are unsigned: a validator would call them bogus.
        yield "validate-except {\n"
        for name in names:
            yield f'    "{master_name(name)}";\n'
        yield "};\n"
