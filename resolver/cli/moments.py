"""Moments as people write them and as they are shown.

Knows: `--at`, the blocklist's time zone; how they are shown is `resolver.moments`.  Does not know: what a
moment is of.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path

from resolver.blocklist.dates import moment_from, zone_from
from resolver.cli.files import BadInput
from resolver.config.yamlsource import YamlMapping, read_yaml
from resolver.moments import day_or_moment, iso_moment, term_text
from resolver.problems import Problem

__all__ = ["day_or_moment", "iso_moment", "moment_or", "term_text", "zone_of"]


def moment_or(now: float, at: str | None, zone: tzinfo) -> float:
    """`--at`, or else `now`, in Unix seconds; a plain date is 00:00 in `zone`.  Raises BadInput."""
    if at is None:
        return now
    try:
        return moment_from(at, zone)
    except ValueError as error:
        raise BadInput([Problem("--at", 0, str(error))]) from None


def zone_of(blocklist: Path) -> tzinfo:
    """The time zone that a blocklist's dates are in; UTC where it cannot be read: others will say so."""
    tree, _ = read_yaml(blocklist)
    defaults = tree.items.get("defaults") if isinstance(tree, YamlMapping) else None
    zone = defaults.items.get("time_zone") if isinstance(defaults, YamlMapping) else None
    try:
        return zone_from(zone) if isinstance(zone, str) else UTC
    except ValueError:
        return UTC
